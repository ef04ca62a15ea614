"""What a log store's API is: how a stretch of time is cut into slices, and how a slice is read as JSON lines."""

import dataclasses
import datetime
import os
from collections.abc import Callable, Iterable, Iterator

from retrolabel.configs.model import Auth, Secret
from retrolabel.schemas.errors import InputError


@dataclasses.dataclass(frozen=True)
class Query:
    """What a log store is asked for: the events of one source. It holds no secret, only where they are kept."""

    format: str
    resource: str
    """What is asked: a path of the source."""
    filter: str
    """In the store's own language, as text or JSON; empty for everything."""
    time: tuple[str, ...]
    """Where the event time stands in a record."""
    auth: Auth | None
    patience: float
    """Seconds for which a request is tried again that cannot be answered now."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """A stretch of time whose events make about one block."""

    begin: int
    """The first moment, in microseconds of UTC."""
    end: int
    """The first moment after it."""
    size: int
    """About how many bytes of text it gives."""


@dataclasses.dataclass(frozen=True)
class Api:
    """How a log store is asked.

    A slice is to a build what a file is: it has a name, a size, a checksum and positions. So the lines of a slice must come in the same
    order however often it is read, each event once, whatever happens to the connection.
    """

    format: str
    """Of the lines: that of the files which the store exports."""
    answers: Callable[[str], bool]
    """Whether a path names a resource of this store, and no file."""
    slices: Callable[[Query, int, int], Iterable[Slice]]
    """Cuts a stretch of time, in microseconds of UTC; raises `NotThereError` or `InputError`."""
    lines: Callable[[Query, int, int], Iterator[bytes]]
    """Reads a slice, in pieces of whole lines; raises `InputError`."""
    reaches: Callable[[Query, int], bool]
    """Whether the store holds an event at or after a moment, in microseconds of UTC; raises `NotThereError` or `InputError`."""


class NotThereError(InputError):
    """The log store has no such index or project."""


def secret_of(secret: Secret) -> str:
    """The secret itself.

    Raises:
        InputError: it is not where it should be.
    """
    if secret.env is not None:
        value = os.environ.get(secret.env, "")
        if not value:
            raise InputError(f"the environment has no variable {secret.env!r}, which 'auth' names")
        return value
    path = secret.file or ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the secret in {path!r}, which 'auth' names: {type(error).__name__}") from None


def rfc3339(micros: int) -> str:
    """A moment in microseconds of UTC, as text."""
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=micros)
    return moment.isoformat().replace("+00:00", "Z")
