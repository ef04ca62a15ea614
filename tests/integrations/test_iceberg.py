"""The Iceberg table of a dataset, read by PyIceberg itself."""

import datetime
import os

import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.pipelines.cli import commands
from tests.end_to_end.test_hooks import run, shop
from tests.support.daily import midnight, serve

pyiceberg_catalog = pytest.importorskip("pyiceberg.catalog", reason="needs PyIceberg: make test-integrations")

pytestmark = [pytest.mark.integrations, pytest.mark.filterwarnings("default")]


def table_of(folder, **properties: str):
    place = folder / "datasets/_iceberg"
    known = {"type": "sql", "uri": f"sqlite:///{place}/catalog.db", "warehouse": f"file://{place}"}
    return pyiceberg_catalog.load_catalog("retrolabel", **(properties or known)).load_table("ml.shop")


def version_of(snapshot) -> str | None:
    return snapshot.summary.additional_properties.get("retrolabel.version")


def rows(table, **chosen: object) -> list[tuple]:
    found = table.scan(selected_fields=("dataset_date", "split", "id", "clicked"), **chosen).to_arrow().to_pylist()
    return sorted(tuple(row.values()) for row in found)


def test_the_table_holds_the_newest_version_with_a_snapshot_a_version_and_a_tag_a_day(tmp_path):
    folder = shop(tmp_path, "on_publish: {iceberg: {table: ml.shop}}\n")
    run(folder)
    table = table_of(folder)
    examples = retrolabel.load(str(folder / "datasets/shop")).to_table()
    assert table.scan().to_arrow().select(examples.column_names).sort_by("id").cast(examples.schema) == (
        examples.sort_by("id").combine_chunks()
    )
    assert [version_of(snapshot) for snapshot in table.snapshots()] == ["1", "2", "3"]
    assert {name for name in table.refs() if name != "main"} == {"2026-11-20", "2026-11-21", "2026-11-22"}
    day = datetime.date(2026, 11, 21)
    assert {row[0] for row in rows(table)} == {datetime.date(2026, 11, 20), day}
    assert (
        len(list(table.scan(row_filter="dataset_date = '2026-11-21'").plan_files())) == 1
    )  # others are not even opened
    assert {row[:2] for row in rows(table, row_filter="dataset_date = '2026-11-21'")} == {(day, "all")}
    tagged = rows(table, snapshot_id=table.refs()["2026-11-20"].snapshot_id)
    assert {row[0] for row in tagged} == {datetime.date(2026, 11, 20)}
    # Nothing new: nothing happens. A late file: the day is replaced in one snapshot, and its tag moves.
    run(folder, code=8)
    assert len(table_of(folder).snapshots()) == 3
    serve(folder, "2026-11-20", range(12), name="served-late")
    (folder / "logs/2026/11/20/served-late.json").write_text(
        (folder / "logs/2026/11/20/served-late.json").read_text().replace('"2026-11-20/', '"late/')
    )
    run(folder)
    table = table_of(folder)
    assert version_of(table.current_snapshot()) == "4"
    assert table.refs()["2026-11-20"].snapshot_id == table.current_snapshot().snapshot_id
    assert table.scan().to_arrow().num_rows == examples.num_rows + 12
    assert table.scan(snapshot_id=table.snapshots()[2].snapshot_id).to_arrow().num_rows == examples.num_rows


def test_a_label_that_is_added_widens_the_table(tmp_path):
    folder = shop(tmp_path, "on_publish: {iceberg: {table: ml.shop}}\n")
    run(folder, "--date", "2026-11-20")
    config = folder / "shop.yaml"
    config.write_text(config.read_text().replace(
        "on_publish:", "  clicks: {outcome: click, window: 24h, value: count}\non_publish:"
    ))  # fmt: skip
    run(folder, "--date", "2026-11-21")
    read = table_of(folder).scan().to_arrow()
    counted = dict(zip(read.column("id").to_pylist(), read.column("clicks").to_pylist(), strict=True))
    assert {value for key, value in counted.items() if key.startswith("2026-11-20")} == {None}
    assert {value for key, value in counted.items() if key.startswith("2026-11-21")} == {1}


def test_versions_that_retention_removes_leave_the_table_too(tmp_path):
    folder = shop(tmp_path, "retention: {versions: 1}\non_publish: {iceberg: {table: ml.shop}}\n")
    run(folder, "--date", "2026-11-20")
    serve(folder, "2026-11-20", range(25), name="served-a")
    run(folder, "--date", "2026-11-20")
    for path in (folder / "datasets/shop").rglob("*"):
        os.utime(path, (midnight("2026-11-20").timestamp(),) * 2)
    run(folder, "--date", "2026-11-21")
    run(folder, "--date", "2026-11-22")
    table = table_of(folder)
    assert [version_of(snapshot) for snapshot in table.snapshots()] == ["2", "3", "4"]
    assert table.scan().to_arrow().num_rows == retrolabel.load(str(folder / "datasets/shop")).count_rows()


def test_any_catalog_can_be_named_and_one_that_refuses_takes_nothing_back(tmp_path):
    folder = shop(
        tmp_path, "on_publish: {iceberg: {table: ml.shop, catalog: {type: rest, uri: 'http://127.0.0.1:9'}}}\n"
    )
    assert "on_publish.iceberg failed" in run(folder, "--date", "2026-11-20", code=10).stderr
    (tmp_path / "wh").mkdir()
    config = folder / "shop.yaml"
    config.write_text(config.read_text().replace(
        "{type: rest, uri: 'http://127.0.0.1:9'}", f"{{type: sql, uri: 'sqlite:///{tmp_path}/c.db', warehouse: '{tmp_path}/wh'}}"
    ))  # fmt: skip
    run(folder, "--date", "2026-11-20", code=8)
    table = table_of(folder, type="sql", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"{tmp_path}/wh")
    assert table.scan().to_arrow().num_rows == 24


def test_a_person_who_is_forgotten_leaves_the_table_and_no_older_snapshot_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "k" * 32)
    folder = shop(tmp_path, "on_publish: {iceberg: {table: ml.shop}}\nprivacy: {key: {env: SHOP_KEY}}\n")
    run(folder)
    result = CliRunner().invoke(commands, ["forget", str(folder / "shop.yaml"), "--subject", "id=2026-11-20/07"])
    assert result.exit_code == 0, result.output
    run(folder, code=8)
    table = table_of(folder)
    assert [version_of(snapshot) for snapshot in table.snapshots()] == ["4"]
    assert table.scan().to_arrow().num_rows == 47
    assert "2026-11-20/07" not in table.scan().to_arrow().column("id").to_pylist()
