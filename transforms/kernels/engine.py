"""The embedded SQL engine: one locked-down DuckDB connection per thread, and one for each computation that needs a disk."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import duckdb

from retrolabel.schemas.errors import StorageError

_local = threading.local()

_LOCKED: dict[str, Any] = {
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
_SETTINGS = "SET TimeZone = 'UTC'; SET enable_progress_bar = false"


def connection() -> duckdb.DuckDBPyConnection:
    """This thread's connection: one thread of its own, no access to files, network or extensions, settings locked."""
    if not hasattr(_local, "connection"):
        opened = duckdb.connect(":memory:", config={**_LOCKED, "enable_external_access": False})
        opened.execute(f"{_SETTINGS}; SET lock_configuration = true")
        _local.connection = opened
    found: duckdb.DuckDBPyConnection = _local.connection
    return found


MEMORY = "256MB"
"""What a connection holds before it uses its folder."""


def on_disk(folder: str) -> duckdb.DuckDBPyConnection:
    """A connection of its own, for the caller to close: what exceeds `MEMORY` waits in a folder; else it is locked down like the others."""
    opened = duckdb.connect(":memory:", config={**_LOCKED, "memory_limit": MEMORY, "temp_directory": folder})
    # Where files are denied from the beginning, the folder is too.
    opened.execute(f"{_SETTINGS}; SET enable_external_access = false; SET lock_configuration = true")
    return opened


@contextlib.contextmanager
def in_the_room_there_is() -> Iterator[None]:
    """Tells of a full memory or disk as what it is."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.TransactionException) as error:
        why = str(error).partition("\n")[0]
        raise StorageError(f"no room to bring the rows of a key together: {why}; free some memory or disk") from None
