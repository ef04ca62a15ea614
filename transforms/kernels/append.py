"""Rows on their way into a table of an engine that keeps them on disk."""

import duckdb
import pyarrow as pa

from retrolabel.transforms.kernels.engine import in_the_room_there_is
from retrolabel.transforms.kernels.expressions import quoted


def append(engine: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    """Adds rows to a table, which is created if it is not there.

    Raises:
        StorageError: memory or disk are full.
    """
    engine.register("run", rows)
    with in_the_room_there_is():
        engine.execute(f"CREATE TEMP TABLE IF NOT EXISTS {quoted(table)} AS FROM run LIMIT 0")
        engine.execute(f"INSERT INTO {quoted(table)} BY NAME FROM run")
    engine.unregister("run")
