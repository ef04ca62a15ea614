"""What an engine says when a build fails there, brought back to the error that it is.

In process an error comes as itself. An engine's workers are other processes: from them it comes as a text, with the traceback of the worker,
within a text of the engine. Schedulers decide by the exit code, so it must be the same everywhere.
"""

import re

from retrolabel.schemas import errors
from retrolabel.schemas.errors import RetrolabelError

_OURS = re.compile(
    rf"{re.escape(errors.__name__)}\.(?P<kind>\w+): (?P<text>.*?)\s*"
    r"(?:\[while running|\n\s*(?:During handling of|The above exception|Traceback \(|at [\w.$]+\()|\Z)",
    re.DOTALL,
)
_STATE = re.compile(r"^Pipeline \S+ failed in state (?P<state>\w+): ")


def is_failed_job(error: Exception) -> bool:
    """Whether Beam says by this that a job failed, or could not be sent; anything else is a mistake in a program."""
    return (
        isinstance(error, RuntimeError)
        or type(error).__name__ == "DataflowRuntimeException"
        or type(error).__module__.partition(".")[0] == "grpc"
    )


def from_engine(error: Exception, runner: str) -> RetrolabelError:
    """The error that a failed job tells of: ours, in its own class; or that the engine failed, and how."""
    text = str(error)
    if found := _OURS.search(text):
        return _class_of(found["kind"])(found["text"])
    state = _STATE.match(text)
    if state and state["state"] != "FAILED":
        return RetrolabelError(
            f"the job on {runner} ended as {state['state']}. What it had not published is not published"
        )
    return RetrolabelError(
        f"the job on {runner} failed: {_cause(_STATE.sub('', text)) or type(error).__name__}\n"
        "  Nothing is published half. The log of the engine says more; once it is mended, run again"
    )  # fmt: skip


def tells_of_ours(text: str) -> bool:
    """Whether a text of the engine's log is an error of ours, which is told once, at the end."""
    return _OURS.search(text) is not None


def _class_of(kind: str) -> type[RetrolabelError]:
    found = getattr(errors, kind, None)
    return found if isinstance(found, type) and issubclass(found, RetrolabelError) else RetrolabelError


def _cause(text: str) -> str:
    """The line that says what went wrong: below the frames of a traceback in Python, else the first."""
    lines = [line for line in text.splitlines() if line.strip()]
    frames = [index for index, line in enumerate(lines) if "Traceback (most recent call last)" in line]
    below = [line for line in lines[frames[0] + 1 :] if not line[0].isspace()] if frames else []
    return (below or lines or [""])[0].strip()
