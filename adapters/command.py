"""The one thing that every adapter does: it runs the command, and reads what it says."""

import dataclasses
import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

PUBLISHED = (0, 9, 10)
"""Exit codes of a run after which new versions stand: all well; the model decays; a hook failed."""

NOTHING_TO_DO, NOT_READY = 8, 4

TRANSIENT = (1, 7, 137, 143, -9, -15)
"""Exit codes that another try may mend: a crash, full storage, a kill. The others say the same again until a person does something."""


@dataclasses.dataclass(frozen=True)
class Ran:
    """What `retrolabel run` came to."""

    exit_code: int
    days: list[dict[str, Any]]
    """A line of its `--json` each."""
    messages: str
    """What it said on standard error."""

    @property
    def published(self) -> list[dict[str, Any]]:
        """The days of which there is a new version."""
        return [day for day in self.days if day.get("outcome") == "published"]

    def __str__(self) -> str:
        told = [
            f"{day['date']} {day['outcome']}: {day.get('message') or day['why']}"
            for day in self.days
            if day.get("outcome")
        ]
        return "\n".join([f"retrolabel run ended with {self.exit_code}", *told, self.messages[-2000:].strip()]).strip()


def run_command(
    config: str,
    arguments: Sequence[str] = (),
    executable: str = "retrolabel",
    environment: Mapping[str, str] | None = None,
) -> Ran:
    """Runs `retrolabel run CONFIG --json` to its end.

    Args:
        config: the config's path.
        arguments: more of the command's arguments.
        executable: the command; retrolabel may live in an environment of its own.
        environment: instead of this process's own.
    """
    command = command_line(config, arguments, executable)
    done = subprocess.run(  # noqa: S603 - no shell
        command, env=None if environment is None else dict(environment), capture_output=True, text=True, check=False
    )
    return Ran(done.returncode, days_of(done.stdout), done.stderr)


def command_line(config: str, arguments: Sequence[str] = (), executable: str = "retrolabel") -> list[str]:
    """The words of the command."""
    return [executable, "run", config, "--json", *arguments]


def days_of(output: str) -> list[dict[str, Any]]:
    """What the command printed, a day a line."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
