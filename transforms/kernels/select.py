"""The SQL of a block: which parsed rows take part in the build."""

import dataclasses

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms.kernels.engine import connection
from retrolabel.transforms.kernels.expressions import quoted

KEPT, FILTERED, OUT_OF_RANGE, NO_CONSENT, AROUND = 0, 1, 2, 3, 4


@dataclasses.dataclass(frozen=True)
class Selected:
    """`parsed = filtered + out_of_range + no_consent + kept`."""

    kept: pa.Table
    around: pa.Table
    """Those out of range that lie in `Selection.around`."""
    filtered: int
    out_of_range: int
    no_consent: int
    latest: int | None
    """The latest event time of all parsed rows, whether kept or not: how far the log reaches. Microseconds of UTC."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which rows of a source take part in a build."""

    where: str | None
    """The source's filter."""
    time: str
    """Its event-time field; empty if all its rows are in range."""
    begin: int
    """The first moment in range, in microseconds of UTC."""
    end: int
    """The first moment after it."""
    consent: str | None = None
    """The field that says whether a row may be used."""
    around: tuple[int, int] | None = None
    """From when to when rows out of range are given all the same, aside, in microseconds of UTC."""

    @property
    def sql(self) -> str:
        """The query over `block` that says of each row whether it is kept (0), filtered (1), out of range (2), without consent (3) or around the range (4)."""
        filtered = f"WHEN NOT coalesce(({self.where}), false) THEN {FILTERED}\n            " if self.where else ""
        refused = f"WHEN {quoted(self.consent)} IS NOT TRUE THEN {NO_CONSENT}\n            " if self.consent else ""
        moment = f"epoch_us({quoted(self.time)})"
        away = f"{moment} < {self.begin} OR {moment} >= {self.end}" if self.time else "false"
        near = ""
        if self.around:
            consent = f" AND {quoted(self.consent)} IS TRUE" if self.consent else ""
            within = f"{moment} >= {self.around[0]} AND {moment} < {self.around[1]}"
            near = f"WHEN ({away}) AND {within}{consent} THEN {AROUND}\n            "
        return (
            f"SELECT CASE {filtered}{near}WHEN {away} THEN {OUT_OF_RANGE}\n"
            f"            {refused}ELSE {KEPT} END::UTINYINT AS fate\nFROM block"
        )


def select(block: pa.Table, selection: Selection) -> Selected:
    """Selects rows of a parsed block. Most blocks need no query: no filter, and all of a day's file in the day.

    Raises:
        ConfigError: the filter fails on a value that stands in the block.
    """
    none = block.slice(0, 0)
    if not block.num_rows:
        return Selected(block, none, 0, 0, 0, None)
    earliest, latest = selection.begin, None
    if selection.time:
        earliest, latest = (end.as_py() for end in pc.min_max(block.column(selection.time).cast(pa.int64())).values())
    in_range = selection.begin <= earliest and (latest is None or latest < selection.end)
    if selection.where is None and selection.consent is None and in_range:
        return Selected(block, none, 0, 0, 0, latest)
    engine = connection()
    engine.register("block", block)
    try:
        fates = engine.sql(selection.sql).fetchnumpy()["fate"]
    except duckdb.Error as error:
        raise ConfigError(
            f"the filter fails on the log: {type(error).__name__}; guard it, for example with TRY_CAST"
        ) from None
    finally:
        engine.unregister("block")
    filtered, out_of_range, no_consent, around = np.bincount(fates, minlength=5).tolist()[FILTERED:]
    kept = block if (fates == KEPT).all() else block.filter(pa.array(fates == KEPT))
    near = block.filter(pa.array(fates == AROUND)) if around else none
    return Selected(kept, near, filtered, out_of_range + around, no_consent, latest)
