"""The commands that people are told to type exist, and CI runs the same ones."""

import re
import subprocess
from pathlib import Path

import pytest

FIRST_COMMANDS = ["make demo", "make test"]


def targets(makefile: Path) -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", makefile.read_text("utf-8"), flags=re.MULTILINE))


def code_of(path: Path) -> str:
    """What a reader may paste into a shell: of Markdown only the code, line by line; of other files all."""
    text = path.read_text("utf-8")
    if path.suffix != ".md":
        return text
    return "\n".join(
        block or inline for block, inline in re.findall(r"^```\w*\n(.*?)^```|`([^`\n]+)`", text, flags=re.M | re.S)
    )


def make_commands(code: str) -> set[str]:
    lines = re.findall(r"^\s*(?:- run: )?make ((?:[a-z-]+ ?)+)", code, flags=re.MULTILINE)
    return {target for line in lines for target in line.split()}


def test_the_readme_opens_with_the_demo_and_the_tests(root: Path) -> None:
    first_code_block = re.search(r"^```\w*\n(.*?)^```", (root / "README.md").read_text("utf-8"), flags=re.M | re.S)

    assert first_code_block is not None
    commands = [line.split("#")[0].strip() for line in first_code_block[1].splitlines()]
    assert [command for command in commands if command.startswith("make ")][:2] == FIRST_COMMANDS


def test_ci_runs_the_commands_of_the_readme_in_their_order(root: Path) -> None:
    lines = [line.split("|")[0].strip() for line in (root / ".ci/run").read_text("utf-8").splitlines()]

    assert [line for line in lines if line in FIRST_COMMANDS] == FIRST_COMMANDS


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/ci.yml"])
def test_every_make_command_that_is_written_down_exists(root: Path, name: str) -> None:
    commands = make_commands(code_of(root / name))

    assert commands, "the file names at least one make target"
    assert commands <= targets(root / "Makefile")


def test_every_target_for_people_explains_itself(root: Path) -> None:
    shown = subprocess.run(["make", "--no-print-directory"], cwd=root, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([a-z-]+) ", shown.stdout, flags=re.MULTILINE))

    assert listed == targets(root / "Makefile") - {"link"}


def test_ci_stops_at_the_first_failure(root: Path) -> None:
    script = root / ".ci/run"

    assert "set -euo pipefail" in script.read_text("utf-8")
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
