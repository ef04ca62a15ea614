"""Small datasets at rest, made without a build."""

import hashlib
from pathlib import Path

import pyarrow as pa

from retrolabel.schemas.manifest import DayManifest, PartFile, SourceCounts
from retrolabel.transforms.kernels.hashing import shard_of, stable_hash
from retrolabel.transforms.parts import encode
from retrolabel.transforms.publish import Published, publish
from retrolabel.transforms.storage import write_once

TYPES = {"prediction_id": pa.string(), "clicked": pa.bool_(), "revenue": pa.float64()}


def examples(clicked: dict[str, bool | None], revenue: dict[str, float | None] | None = None) -> pa.Table:
    """Examples by key; the revenue is null where none is given."""
    amounts = [(revenue or {}).get(key) for key in clicked]
    return pa.table(
        {"prediction_id": list(clicked), "clicked": list(clicked.values()), "revenue": amounts}, schema=pa.schema(TYPES)
    )


def store(
    root: Path | str, rows: pa.Table, *, build: str = "a" * 16, date: str = "2026-11-20", shards: int = 1,
    file_format: str = "parquet", immature: int = 0, split: str = "train",
) -> tuple[DayManifest, str]:  # fmt: skip
    """Writes the part files of a day's build, dealt into shards as a build does; the manifest and the build's folder."""
    folder, files = f"{date}/{build}", []
    shard = shard_of(stable_hash(rows, ("prediction_id",), "join"), shards)
    for number in range(shards):
        part = rows.filter(pa.array(shard == number))
        if not part.num_rows:
            continue
        data = encode(part, file_format)
        digest = hashlib.sha256(data).hexdigest()
        path = f"{folder}/{split}/part-{number:05d}-of-{shards:05d}-{digest[:16]}.{file_format}"
        write_once(str(Path(root) / path), data)  # as a build does: others may be reading the very file
        files.append(PartFile(kind="examples", split=split, shard=number, path=path, rows=part.num_rows, bytes=len(data),
                              sha256=digest))  # fmt: skip
    made = SourceCounts(lines=rows.num_rows + immature, parsed=rows.num_rows + immature, unique=rows.num_rows + immature,
                        examples=rows.num_rows, immature=immature, sampled_out=0)  # fmt: skip
    manifest = DayManifest(
        dataset="shoes", date=date, timezone="UTC", config={}, contracts={}, software={}, inputs=[], watermarks={"click": None},
        accounting={"predictions": made}, rejected_examples=[], splits={split: {"rows": rows.num_rows, "labels": {}}}, key=["prediction_id"], labels=["clicked", "revenue"], shards=shards, files=files,
        example_schema=[{"name": field.name, "type": str(field.type), "nullable": True} for field in rows.schema],
    )  # fmt: skip
    return manifest, folder


def publish_day(root: Path | str, rows: pa.Table, **chosen: object) -> Published:
    """Stores and commits a day."""
    return publish(str(root), *store(root, rows, **chosen))  # type: ignore[arg-type]
