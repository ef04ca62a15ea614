"""Manifests: their exact bytes, and the identities of the accounting."""

from pathlib import Path

import pydantic
import pytest

from retrolabel.schemas.manifest import (
    DayManifest,
    InputFile,
    PartFile,
    RejectedExample,
    SourceCounts,
    VersionRecord,
    broken_identities,
)

GOLDEN = Path(__file__).parents[2] / "golden"

DAY = DayManifest(
    dataset="shoes",
    date="2026-11-20",
    timezone="Europe/Zürich",
    config={"dataset": "shoes", "predictions": {"key": "prediction_id"}},
    contracts={"predictions": {"type": "record", "name": "P", "fields": [{"name": "prediction_id", "type": "string"}]}},
    software={"retrolabel": "0.1.0"},
    inputs=[InputFile(source="predictions", path="logs/a.log.gz", bytes=90, crc32c="00c0ffee", lines=5, damaged="cut off")],
    watermarks={"click": "2026-11-22T00:00:00Z"},
    accounting={
        "click": SourceCounts(attributed=0, unattributed=0, orphan=0),
        "predictions": SourceCounts(lines=5, blank=1, rejected=1, parsed=3, duplicate=1, conflicting=1, unique=2, examples=1,
                                    immature=1, sampled_out=0, reasons={"malformed": 1}),
    },
    rejected_examples=[RejectedExample(source="predictions", reason="malformed", path="logs/a.log.gz", offset=17, detail="cut")],
    splits={"train": {"rows": 1, "labels": {"clicked": {"values": {"true": 1}, "mean": 1.0, "deviation": float("nan")}}}},
    anomalies=[{"feature": "price", "severity": "warning", "description": "New column", "types": ["SCHEMA_NEW_COLUMN"]}],
    compared_with="2026-11-19/fedcba9876543210/manifest-fedcba9876543210.json",
    delays={"clicked": {"window": 86400.0, "bins": [[1.091, 1, 0], [43200.0, 0, 1]]}},
    example_schema=[{"name": "prediction_id", "type": "string", "nullable": False}],
    key=["prediction_id"],
    labels=["clicked"],
    shards=1,
    files=[PartFile(kind="examples", split="train", shard=0, path="2026-11-20/0123456789abcdef/train/part.parquet", rows=1,
                    bytes=400, sha256="ab" * 32)],
)  # fmt: skip

VERSION = VersionRecord(
    dataset="shoes",
    version=7,
    parent=6,
    date="2026-11-20",
    changes={"examples_added": 1, "labels": {"clicked": {"changed": 1, "transitions": {"false -> true": 1}}}},
    days={"2026-11-20": "2026-11-20/0123456789abcdef/manifest-0123456789abcdef.json"},
)


@pytest.mark.parametrize(("made", "name"), [(DAY, "day_manifest.json"), (VERSION, "version_record.json")])
def test_the_bytes_are_those_that_were_published_and_are_read_for_ever(made, name):
    published = (GOLDEN / name).read_bytes()
    assert made.to_json().encode() == published
    assert type(made).from_json(published, name).to_json().encode() == published


def test_a_manifest_does_not_change():
    with pytest.raises(pydantic.ValidationError):
        DAY.shards = 2  # type: ignore[misc]


PREDICTIONS = SourceCounts(
    lines=100, blank=1, rejected=4, parsed=95, filtered=5, out_of_range=10, duplicate=20, unique=60, examples=50, immature=7,
    sampled_out=3, reasons={"malformed": 3, "wrong_type": 1},
)  # fmt: skip
OUTCOMES = PREDICTIONS.model_copy(
    update={"examples": None, "immature": None, "sampled_out": None, "attributed": 40, "unattributed": 15, "orphan": 5}
)


def test_counts_that_add_up_break_nothing():
    assert broken_identities("predictions", PREDICTIONS) == []
    assert broken_identities("click", OUTCOMES) == []


@pytest.mark.parametrize(
    ("source", "wrong", "told"),
    [
        ("predictions", {"blank": 2}, ["lines 100 is not blank 2 + rejected 4 + parsed 95"]),
        (
            "predictions",
            {"duplicate": 19},
            ["parsed 95 is not filtered 5 + out_of_range 10 + duplicate 19 + unique 60"],
        ),
        (
            "predictions",
            {"no_consent": 2},
            ["parsed 95 is not filtered 5 + out_of_range 10 + no_consent 2 + duplicate 20 + unique 60"],
        ),
        ("predictions", {"immature": None}, ["unique 60 is not examples 50 + immature 0 + sampled_out 3"]),
        ("click", {"orphan": 1005}, ["unique 60 is not attributed 40 + unattributed 15 + orphan 1,005"]),
        ("click", {"reasons": {}}, ["rejected 4 is not the sum of its reasons, 0"]),
    ],
)
def test_each_identity_that_does_not_hold_is_told_in_words(source, wrong, told):
    counts = PREDICTIONS if source == "predictions" else OUTCOMES
    assert broken_identities(source, counts.model_copy(update=wrong)) == told
