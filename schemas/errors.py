"""What can go wrong for a reason that a person can mend, and the exit code that tells a scheduler which."""

import dataclasses
import difflib
import os
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a config."""

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}  {key}{self.message}"


class RetrolabelError(Exception):
    """A mistake or a condition that the user can mend; shown as its text alone, never as a traceback."""

    exit_code = 1


class ConfigError(RetrolabelError):
    """The config, a contract or a command-line argument is wrong."""

    exit_code = 2
    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, path: str, problems: Sequence[Problem]) -> "ConfigError":
        """All the mistakes of one config, in the order in which they stand there."""
        ordered = tuple(sorted(problems))
        count = "1 problem" if len(ordered) == 1 else f"{len(ordered)} problems"
        error = cls(f"{os.path.basename(path)} has {count}:\n" + "\n".join(f"  {problem}" for problem in ordered))
        error.problems = ordered
        return error


class ValidationError(RetrolabelError):
    """The build ran, and its result must not be published: too many rejected lines, an identity that does not hold."""

    exit_code = 3


class InputError(RetrolabelError):
    """Input is missing, or it changed while it was read."""

    exit_code = 4


class ForgottenError(InputError):
    """Somebody was forgotten while the build ran, so what it read of them must not be published."""


class AnomalyError(RetrolabelError):
    """The build ran, and its data has an anomaly that the config calls an error."""

    exit_code = 5


class IntegrityError(RetrolabelError):
    """What is stored is not what its manifest says."""

    exit_code = 6


class StorageError(RetrolabelError):
    """The storage is full, or refuses to be written."""

    exit_code = 7


class AlertError(RetrolabelError):
    """What was built is published, and the model that it measures is outside of the bounds of `monitor.alerts`."""

    exit_code = 9


class HookError(RetrolabelError):
    """Something that follows a publication failed; what is published stays so, and the next run repeats it."""

    exit_code = 10


class MentionedError(RetrolabelError):
    """People were forgotten, and something below the dataset's folder still mentions them that is not for us to change."""

    exit_code = 11


def nearest_name(name: str, names: Iterable[str]) -> str:
    """A question about the nearest valid name, or the list of all."""
    known = list(names)
    return did_you_mean(name, known) or f"Known are {', '.join(map(repr, known))}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question about the nearest valid name; empty if none is near."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else ""


def printable(text: str) -> str:
    """Text of a log as it may be shown: control characters, and what turns the direction of text, are spelled out."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
