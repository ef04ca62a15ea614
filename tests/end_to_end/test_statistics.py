"""What a build tells of its examples: statistics, schema and anomalies beside the part files."""

import pyarrow.compute as pc
import pytest
import yaml

import retrolabel
from retrolabel.pipelines.build_command import build_day
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.runner import choose_runner
from retrolabel.schemas.errors import AnomalyError, ConfigError
from retrolabel.schemas.metadata_files import to_bytes
from retrolabel.transforms.dataset import head_version, read_anomalies, read_schema, read_statistics
from retrolabel.transforms.verify import verify
from tests.support.daily import click, make_shop, serve
from tests.support.messy import DAY, write_logs


def build(folder, **changes):
    path = folder / "shoes.yaml"
    config = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return build_day(check_project(str(path)), DAY.date(), {}, choose_runner([]))


@pytest.fixture
def logs(tmp_path):
    write_logs(tmp_path, seed=4)
    return tmp_path


def features_of(dataset):
    return {feature.path.step[0]: feature for feature in dataset.features}


def test_the_statistics_are_those_of_the_published_rows(logs):
    built = build(logs, slices=["category", ["category", "item"]])
    datasets = {one.name: one for one in read_statistics(built.root, built.manifest).datasets}
    rows = retrolabel.load(built.root).to_table()
    everything = features_of(datasets["All Examples"])

    assert next(iter(datasets)) == "All Examples"
    assert datasets["All Examples"].num_examples == rows.num_rows
    assert set(everything) == set(rows.column_names)
    price = everything["price"].num_stats
    assert price.mean == pytest.approx(pc.mean(rows["price"]).as_py())
    assert price.common_stats.num_missing == rows["price"].null_count
    for split in ("train", "eval", "test"):
        assert datasets[f"split_{split}"].num_examples == retrolabel.load(built.root, split=split).count_rows()
    for value in pc.unique(rows["category"]).drop_null().to_pylist():
        kept = rows.filter(pc.equal(rows["category"], value))
        found = datasets[f"category_{value}"]
        assert found.num_examples == kept.num_rows
        assert features_of(found)["price"].num_stats.mean == pytest.approx(pc.mean(kept["price"]).as_py())
    for label in ("true", "false"):
        assert datasets[f"clicked_{label}"].num_examples == pc.sum(pc.equal(rows["clicked"], label == "true")).as_py()


def test_the_same_inputs_give_the_same_bytes_and_all_files_are_listed(logs, tmp_path):
    first = build(logs)
    again = tmp_path / "again"
    again.mkdir()
    write_logs(again, seed=4)
    second = build(again)

    assert first.manifest.digest == second.manifest.digest
    assert {"statistics", "schema"} <= {part.kind for part in first.manifest.files}
    assert list(verify(first.root, first.manifest)) == []
    assert read_anomalies(first.root, first.manifest) is None


def test_an_error_publishes_nothing_and_a_warning_is_marked(logs):
    built = build(logs)
    schema = read_schema(built.root, built.manifest)
    next(feature for feature in schema.feature if feature.name == "price").type = 1  # BYTES
    (logs / "shoes.pbtxt").write_bytes(to_bytes(schema, "shoes.pbtxt"))

    with pytest.raises(AnomalyError, match=r"price: Expected data of type: BYTES but got FLOAT") as refused:
        build(logs, validation={"schema": "shoes.pbtxt"})
    assert refused.value.exit_code == 5
    assert head_version(built.root).version == 1

    marked = build(logs, validation={"schema": "shoes.pbtxt", "severity": {"UNEXPECTED_DATA_TYPE": "warning"}})
    assert marked.published.version == 2
    (anomaly,) = marked.manifest.anomalies
    assert (anomaly["feature"], anomaly["severity"]) == ("price", "warning")
    assert set(read_anomalies(marked.root, marked.manifest).anomaly_info) == {"price"}


def test_a_config_that_names_no_schema_or_no_anomaly_is_told_so(logs):
    with pytest.raises(
        ConfigError, match=r"(?s)shoes.yaml:\d+:\d+  validation.schema: cannot read 'none.pbtxt'.*schema infer"
    ):
        build(logs, validation={"schema": "none.pbtxt"})
    with pytest.raises(ConfigError, match="did you mean SCHEMA_NEW_COLUMN"):
        build(logs, validation={"schema": "none.pbtxt", "severity": {"schema_new_colum": "warning"}})
    with pytest.raises(ConfigError, match=r"slices.*no field 'categry'. Did you mean 'category'"):
        build(logs, validation=None, slices=["categry"])


def test_drift_is_measured_against_the_day_before_or_the_version_that_is_pinned(tmp_path):
    shop = tmp_path / "shop"
    config = make_shop(shop)
    for date, hours in (
        ("2026-11-20", range(24)),
        ("2026-11-21", range(24)),
        ("2026-11-22", range(0)),
        ("2026-11-23", range(0)),
        ("2026-11-24", range(0)),
    ):
        serve(shop, date)
        click(shop, date, hours)

    def day(number):
        return build_day(check_project(config), DAY.date().replace(day=number), {}, choose_runner([]))

    first = day(20)
    schema = read_schema(first.root, first.manifest)
    clicked = next(feature for feature in schema.feature if feature.name == "clicked")
    clicked.drift_comparator.jensen_shannon_divergence.threshold = 0.1
    (shop / "shop.pbtxt").write_bytes(to_bytes(schema, "shop.pbtxt"))
    severity = "severity: {BOOL_TYPE_BIG_INT: error, COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH: warning}"
    make_shop_config(config, f"validation: {{schema: shop.pbtxt, {severity}}}\n")

    same, fewer, after = day(21), day(22), day(23)
    assert same.manifest.anomalies == []
    assert [anomaly["feature"] for anomaly in fewer.manifest.anomalies] == ["clicked"]
    assert "between current and previous" in fewer.manifest.anomalies[0]["description"]
    assert fewer.manifest.compared_with.startswith("2026-11-21/")
    assert after.manifest.anomalies == []  # as the day before, though not as it was

    make_shop_config(config, f"validation: {{schema: shop.pbtxt, against: 1, {severity}}}\n")
    pinned = day(23)
    assert pinned.manifest.compared_with.startswith("2026-11-20/")
    assert [anomaly["feature"] for anomaly in pinned.manifest.anomalies] == ["clicked"]


def make_shop_config(path, sections):
    with open(path) as file:
        text = file.read().partition("validation:")[0]
    with open(path, "w") as file:
        file.write(text + sections)
