"""The data card that a build leaves, read by the reference library of MLCommons."""

import os
from pathlib import Path

import pytest

from tests.end_to_end.test_privacy import KEY, build, write_project

mlcroissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant: make test-integrations")

pytestmark = [pytest.mark.integrations, pytest.mark.filterwarnings("default")]


def test_mlcroissant_finds_no_error_in_a_card_and_reads_the_rows_by_it(tmp_path: Path) -> None:
    config = write_project(tmp_path / "project")
    config.write_text(config.read_text() + "card: {license: CC-BY-4.0, purpose: Training a ranking}\n")
    done = build(config, {**os.environ, "SHOP_KEY": KEY})
    assert done.returncode == 0, done.stderr
    dataset = mlcroissant.Dataset(jsonld=tmp_path / "project/datasets/shop/croissant-00000001.json")
    assert not dataset.metadata.ctx.issues.errors
    assert {records.uuid for records in dataset.metadata.record_sets} == {"train", "test"}
    rows = [row for split in ("train", "test") for row in dataset.records(record_set=split)]
    assert len(rows) == 40
    assert {row.get("train/item", row.get("test/item")) for row in rows} == {
        f"item-{number}".encode() for number in range(40)
    }
