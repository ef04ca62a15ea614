"""The embedded SQL engine: one locked-down DuckDB connection per thread."""

import threading

import duckdb

_local = threading.local()


def connection() -> duckdb.DuckDBPyConnection:
    """This thread's connection: one thread of its own, no access to files, network or extensions, settings locked."""
    if not hasattr(_local, "connection"):
        opened = duckdb.connect(
            ":memory:",
            config={
                "threads": 1,
                "enable_external_access": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            },
        )
        opened.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET lock_configuration = true")
        _local.connection = opened
    found: duckdb.DuckDBPyConnection = _local.connection
    return found
