"""The SQL of a block: which parsed rows take part in the build."""

import dataclasses

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms.kernels.engine import connection
from retrolabel.transforms.kernels.expressions import quoted

KEPT, FILTERED, OUT_OF_RANGE = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Selected:
    """`parsed = filtered + out_of_range + kept`."""

    kept: pa.Table
    filtered: int
    out_of_range: int
    latest: int | None
    """The latest event time of all parsed rows, whether kept or not: how far the log reaches. Microseconds of UTC."""


def select_sql(where: str | None, time: str, begin: int, end: int) -> str:
    """The query over `block` that says of each row whether it is kept (0), filtered (1) or out of range (2).

    Args:
        where: the source's filter.
        time: its event-time field.
        begin: microseconds of UTC of the first moment in range.
        end: of the first moment after it.
    """
    filtered = f"WHEN NOT coalesce(({where}), false) THEN {FILTERED}\n     " if where else ""
    moment = f"epoch_us({quoted(time)})"
    return (
        f"SELECT CASE {filtered}WHEN {moment} < {begin} OR {moment} >= {end} THEN {OUT_OF_RANGE}\n"
        f"            ELSE {KEPT} END::UTINYINT AS fate\nFROM block"
    )


def select(block: pa.Table, sql: str, time: str) -> Selected:
    """Runs the query of `select_sql` over a parsed block.

    Raises:
        ConfigError: the filter fails on a value that stands in the block.
    """
    if not block.num_rows:
        return Selected(block, 0, 0, None)
    engine = connection()
    engine.register("block", block)
    try:
        fates = engine.sql(sql).fetchnumpy()["fate"]
    except duckdb.Error as error:
        raise ConfigError(
            f"the filter fails on the log: {type(error).__name__}; guard it, for example with TRY_CAST"
        ) from None
    finally:
        engine.unregister("block")
    counts = np.bincount(fates, minlength=3)
    latest = pc.max(block.column(time)).cast(pa.int64()).as_py()
    kept = block if counts[KEPT] == block.num_rows else block.filter(pa.array(fates == KEPT))
    return Selected(kept, int(counts[FILTERED]), int(counts[OUT_OF_RANGE]), latest)
