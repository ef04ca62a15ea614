"""Published days of a shop with everything that a report shows, made without a build: shifts on known days, and text that attacks."""

import dataclasses
import datetime
import hashlib
import pathlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from google.protobuf import text_format
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies, AnomalyInfo

from retrolabel.schemas.manifest import DayManifest, InputFile, PartFile, RejectedExample, SourceCounts
from retrolabel.schemas.metadata_files import to_bytes
from retrolabel.transforms.kernels.delays import as_published, count_delays
from retrolabel.transforms.kernels.statistics_proto import statistics_list
from retrolabel.transforms.kernels.table_statistics import sliced_statistics
from retrolabel.transforms.publish import publish
from retrolabel.transforms.storage import write_once

HOUR = 3_600_000_000
DAY = 24 * HOUR
FIRST = datetime.date(2026, 11, 1)

_IMMATURE = 300
"""Predictions of a last day whose windows are open."""


@dataclasses.dataclass(frozen=True)
class World:
    """How a day's rows come about."""

    ios: float = 0.3
    """The share of one device."""
    rate: float = 0.08
    """How often visitors with other devices click."""
    ios_rate: float = 0.16
    price: float = 3.0
    """The mean of the logarithm of prices."""


def rows_of(day: int, rows: int, world: World, extra: int = 0) -> pa.Table:
    """The examples of a day."""
    random = np.random.default_rng(day)
    device = np.where(random.random(rows) < world.ios, "ios", np.where(random.random(rows) < 0.6, "android", "web"))
    clicked = random.random(rows) < np.where(device == "ios", world.ios_rate, world.rate)
    price = random.lognormal(world.price, 0.8, rows)
    columns = {
        "prediction_id": pa.array([f"p{day}-{number}" for number in range(rows)]),
        "device": pa.array(device),
        "price": pa.array(price, mask=random.random(rows) < 0.05),
        "position": pa.array(random.integers(1, 6, rows)),
        "is_member": pa.array(random.random(rows) < 0.4),
        **{f"feature_{number:03d}": pa.array(random.normal(number, 1, rows)) for number in range(extra)},
        "clicked": pa.array(clicked),
    }
    return pa.table(columns)


def publish_days(
    root: pathlib.Path, days: int, *, rows: int = 4000, world: Callable[[int], World] = lambda _: World(), extra: int = 0,
    text: str = "", statistics: bool = True, closed: bool = False, rejected: int = 12,
) -> None:  # fmt: skip
    """Publishes days one after the other.

    Args:
        root: the dataset's folder.
        days: how many, from `FIRST` on.
        rows: examples of the last; the others have a few more.
        world: what holds on each day.
        extra: columns of numbers beside the usual ones.
        text: stands wherever the content of a log can stand.
        statistics: whether the builds made statistics and anomalies.
        closed: whether every window of the last day is closed.
        rejected: lines of each.
    """
    for day in range(days):
        last = day == days - 1 and not closed
        _publish_day(
            root,
            day,
            rows_of(day, rows if last or text else rows + _IMMATURE, world(day), extra),
            text,
            statistics,
            rejected,
            open_=last,
        )


def _publish_day(
    root: pathlib.Path, day: int, table: pa.Table, text: str, statistics: bool, rejected: int, *, open_: bool
) -> None:
    date = (FIRST + datetime.timedelta(days=day)).isoformat()
    folder = f"{date}/{day:016x}"
    if text:
        table = table.set_column(
            1,
            "device",
            pa.array([text if n % 7 == 0 else value for n, value in enumerate(table.column("device").to_pylist())]),
        )
        table = table.append_column(f"column {text}"[:900], pa.array(np.arange(table.num_rows)))
    files = []
    if statistics:
        found = to_bytes(statistics_list(sliced_statistics(table, [["device"]], ["clicked"])), ".pb")
        files.append(_store(root, folder, "statistics", "pb", found))
        anomalies = Anomalies()
        if open_:
            info = anomalies.anomaly_info["device"]
            info.severity = AnomalyInfo.ERROR if text else AnomalyInfo.WARNING
            info.short_description = "Unexpected string values"
            info.reason.add(type=AnomalyInfo.ENUM_TYPE_UNEXPECTED_STRING_VALUES, short_description="Unexpected string values",
                            description=f"Examples contain values missing from the schema: {text or 'tv'} (<1%).")  # fmt: skip
        files.append(_store(root, folder, "anomalies", "pbtxt", text_format.MessageToString(anomalies).encode()))
    rows, immature = table.num_rows, _IMMATURE if open_ else 0
    counts = SourceCounts(lines=rows + immature + rejected + 90, blank=0, rejected=rejected, parsed=rows + immature + 90, duplicate=90,
                          conflicting=1 if text else 0, unique=rows + immature, examples=rows, immature=immature, sampled_out=0,
                          reasons={"wrong_type": rejected} if rejected else {})  # fmt: skip
    clicks = int(sum(table.column("clicked").to_pylist()))
    clicked = SourceCounts(
        lines=clicks + 40,
        parsed=clicks + 40,
        filtered=10,
        unique=clicks + 30,
        attributed=clicks,
        unattributed=20,
        orphan=10,
    )
    manifest = DayManifest(
        dataset="shop", date=date, timezone="Europe/Zurich", config={"dataset": "shop"}, contracts={}, software={"retrolabel": "0.1.0"},
        inputs=[InputFile(source="predictions", path=f"logs/{text}served.log", bytes=1_234_567, crc32c="00c0ffee", lines=counts.lines,
                          damaged=f"cut {text}" if text else None),
                InputFile(source="click", path="logs/clicks.log", bytes=45_678, crc32c="00c0ffee", lines=clicked.lines)],
        watermarks={"click": f"{date}T23:00:00Z" if open_ else f"{date}T23:59:59Z"},
        accounting={"predictions": counts, "click": clicked},
        rejected_examples=[RejectedExample(source="predictions", reason="wrong_type", path=f"logs/{text}served.log", offset=4711,
                                           detail=f"price: expected a number {text}")] if rejected else [],
        splits={"train": _split(table.slice(0, rows * 8 // 10)), "eval": _split(table.slice(rows * 8 // 10))},
        delays={"clicked": _delays(day, table, immature)}, key=["prediction_id"], labels=["clicked"], shards=1, files=files,
        example_schema=[{"name": field.name, "type": str(field.type), "nullable": True} for field in table.schema],
    )  # fmt: skip
    publish(str(root), manifest, folder)


def _store(root: pathlib.Path, folder: str, kind: str, ending: str, data: bytes) -> PartFile:
    digest = hashlib.sha256(data).hexdigest()
    path = f"{folder}/{kind}-{digest[:16]}.{ending}"
    write_once(str(root / path), data)
    return PartFile(kind=kind, split=None, shard=0, path=path, rows=0, bytes=len(data), sha256=digest)


def _split(table: pa.Table) -> dict:
    positive = int(sum(table.column("clicked").to_pylist()))
    values = {"false": table.num_rows - positive, "true": positive}
    return {"rows": table.num_rows, "labels": {"clicked": {"values": values, "rows": table.num_rows, "missing": 0}}}


def _delays(day: int, table: pa.Table, immature: int) -> dict:
    random = np.random.default_rng(1000 + day)
    clicked = np.concatenate([table.column("clicked").to_numpy(), np.zeros(immature, np.bool_)])
    delays = np.where(clicked, np.minimum(random.lognormal(6, 2, len(clicked)) * 1_000_000, DAY - 1), -1).astype(
        np.int64
    )
    seen = np.concatenate([np.full(table.num_rows, DAY), random.integers(HOUR, DAY, immature)])
    return as_published(count_delays(delays, seen, DAY), DAY)
