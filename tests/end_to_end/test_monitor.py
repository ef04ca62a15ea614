"""A model in production from logs to alert: what it is known to do is what the command tells."""

import hashlib
import json
import pathlib

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn import metrics

from retrolabel.pipelines.build_command import build_day
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.cli import commands
from retrolabel.pipelines.monitored import read_monitored
from retrolabel.pipelines.runner import choose_runner
from retrolabel.schemas.errors import ConfigError, InputError
from retrolabel.transforms import monitor
from tests.support.served import Served, serve, write

MONITOR = """\
score: score
label: clicked
model: model
position: position
query: query
propensity: propensity
policies: {other: {probability: other, value: expected}}
groups: [gender]
alerts: {auc: {min: 0.7}, decay: {max: 0}}
"""


def build(config: pathlib.Path, days: list[Served], **options) -> str:
    project = check_project(str(config))
    for day in days:
        build_day(project, day.date, {}, choose_runner([]))
    return str(config.parent / "datasets" / "shop")


@pytest.fixture(scope="module")
def decayed(tmp_path_factory):
    """Six days of a model whose scores say nothing of men's dresses from the fifth day on."""
    folder = tmp_path_factory.mktemp("decayed")
    days = [serve(1, day, blind="mens-dress" if day >= 4 else None) for day in range(6)]
    return build(write(folder, days, MONITOR), days), days


def test_a_list_too_long_for_memory_is_measured_on_disk_with_the_same_bytes(tmp_path, monkeypatch):
    day = serve(1, 0)
    day.columns["query"][:500] = day.columns["query"][0]
    measured = {}
    for name, held in (("memory", monitor.HELD_BYTES), ("disk", 0)):
        monkeypatch.setattr(monitor, "HELD_BYTES", held)
        root = build(write(tmp_path / name, [day], MONITOR), [day])
        measured[name] = {path.name: path.read_bytes() for path in pathlib.Path(root).rglob("monitor-*.parquet")}
    assert measured["memory"] == measured["disk"]
    assert len(measured["disk"]) == 1


def run(*arguments: str):
    return CliRunner().invoke(commands, ["monitor", *arguments])


def test_the_decay_comes_out_by_itself(decayed):
    root, _ = decayed
    ran = run(root)
    assert ran.exit_code == 9
    line = next(line for line in ran.stdout.splitlines() if "mens-dress since" in line)
    assert line.strip().startswith("AUC fell from 0.81 (0.79 to 0.83) to 0.50 (")
    assert line.endswith("on category = mens-dress since 14 November 2026")
    assert "AUC is 0.52 (0.47 to 0.58) on category = mens-dress, 0.82 (0.80 to 0.84) elsewhere" in ran.stdout
    assert "monitor.alerts are broken:" in ran.stderr
    assert "mens-dress" in ran.stderr


def test_every_measure_is_that_of_what_was_served(decayed):
    root, days = decayed
    found = json.loads(run(root, "--json").stdout)
    for day in days:
        score, clicked = day.columns["score"], day.clicked
        told = found["days"][str(day.date)]
        assert told["rows"] == len(score)
        assert told["auc"]["estimate"] == pytest.approx(metrics.roc_auc_score(clicked, score), abs=told["auc_grid"])
        assert told["log_loss"]["estimate"] == pytest.approx(metrics.log_loss(clicked, score), abs=5e-6)
    last = days[-1]
    score, clicked, columns = last.columns["score"], last.clicked, last.columns
    assert found["measures"]["accuracy"]["estimate"] == pytest.approx(((score >= 0.5) == clicked).mean())
    gain = clicked.astype(float).reshape(-1, 5)
    lists = gain[gain.sum(axis=1) > 0]
    expected = [metrics.ndcg_score([one], [[5, 4, 3, 2, 1]]) for one in lists]
    assert found["ranking"]["queries"] == 400
    assert found["ranking"]["with_gain"] == len(lists)
    assert found["ranking"]["ndcg"]["estimate"] == pytest.approx(np.mean(expected))
    for entry in found["positions"]:
        assert entry["rate"]["estimate"] == pytest.approx(clicked[columns["position"] == entry["position"]].mean())
    for entry in found["models"]:
        chosen = columns["model"] == entry["model"]
        assert entry["rows"] == chosen.sum()
        assert entry["auc"]["estimate"] == pytest.approx(
            metrics.roc_auc_score(clicked[chosen], score[chosen]), abs=entry["auc_grid"]
        )
    weight = columns["other"] / columns["propensity"]
    robust = columns["expected"] + weight * (clicked - score)
    assert found["policies"]["other"]["ips"]["estimate"] == pytest.approx((weight * clicked).mean())
    assert found["policies"]["other"]["doubly_robust"]["estimate"] == pytest.approx(robust.mean())


def test_slices_are_found_in_every_field_that_has_few_values(decayed):
    root, days = decayed
    found = read_monitored(root)
    assert {of[0] for of in found.by_slice} == {
        "category",
        "device",
        "gender",
        "price",
        "position",
        "other",
        "expected",
    }
    assert found.left_out["user"] == "too many values"
    assert found.by_slice["category", "boots"]["rows"] == (days[-1].columns["category"] == "boots").sum()


def test_groups_below_the_minimum_are_not_told(decayed):
    root, days = decayed
    found = read_monitored(root)
    assert (days[-1].columns["gender"] == "x").sum() < 100
    assert set(found.groups["gender"]["groups"]) == {"f", "m"}
    assert found.left_out["gender"].startswith("1 of its values, with ")


def test_an_earlier_day_and_an_earlier_version_can_be_asked_for(decayed):
    root, days = decayed
    ran = run(f"{root}@4", "--json")
    assert ran.exit_code == 0
    found = json.loads(ran.stdout)
    assert (found["version"], found["date"], found["decay"], found["broken"]) == (4, str(days[3].date), [], [])
    assert json.loads(run(root, "--date", str(days[3].date), "--json").stdout)["decay"] == []


def test_the_summary_of_a_build_says_how_good_the_model_was(decayed):
    root, _ = decayed
    ran = CliRunner().invoke(commands, ["show", root])
    assert "  model: auc 0.7456 (0.7217 to 0.7681), log_loss 0.5406 (" in ran.stdout


def test_the_report_of_a_version_says_it_too(decayed):
    from retrolabel.pipelines.report.material import gather
    from retrolabel.pipelines.report.page import render

    page = render(gather(decayed[0]))
    assert "on category = mens-dress since 14 November 2026" in page
    assert "Calibration: the share of positives by the mean score of ten bins" in page


def test_the_file_of_a_day_is_listed_and_named_by_its_content(decayed):
    root, _ = decayed
    (part,) = [part for part in read_monitored(root).manifest.files if part.kind == "monitor"]
    data = (pathlib.Path(root) / part.path).read_bytes()
    assert hashlib.sha256(data).hexdigest() == part.sha256
    assert part.sha256[:16] in part.path


def test_the_daily_command_notices_the_day_it_shows(tmp_path):
    """The days before publish with exit code 0; the first bad one with 9, and whoever is notified is told why."""
    days = [serve(12, day, blind="mens-dress" if day >= 3 else None) for day in range(4)]
    config = write(tmp_path, days, "score: score\nlabel: clicked\nalerts: {decay: {max: 0}}")
    config.write_text(config.read_text() + "on_publish: {file: told.json}\n")

    def daily(last: Served):
        arguments = ["run", str(config), "--json", "--now", "2026-12-01T00:00:00Z", "--to", str(last.date)]
        return CliRunner().invoke(commands, arguments)

    assert daily(days[2]).exit_code == 0
    ran = daily(days[3])
    assert ran.exit_code == 9
    (result,) = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (result["outcome"], result["exit_code"]) == ("published", 9)
    assert f"on category = mens-dress since {days[3].date.day} November 2026" in result["message"]
    assert json.loads((tmp_path / "told.json").read_text())["alerts"] == result["message"].split("; ")


def test_measuring_changes_no_row(tmp_path):
    import retrolabel

    day = serve(2, rows=300)
    with_it, without = tmp_path / "with", tmp_path / "without"
    build(write(with_it, [day], MONITOR), [day])
    config = write(without, [day], MONITOR)
    config.write_text(config.read_text().partition("monitor:")[0])
    build(config, [day])
    one, other = (retrolabel.load(str(folder / "datasets/shop")).to_table() for folder in (with_it, without))
    assert one.equals(other)
    assert "__delay" not in one.column_names


def test_sampled_out_negatives_are_measured_all_the_same(tmp_path):
    day = serve(3, rows=1000)
    config = write(tmp_path, [day], MONITOR)
    config.write_text(config.read_text() + "sample: {negatives: 0.1}\n")
    found = read_monitored(build(config, [day]))
    assert found.measures["rows"] == 1000
    assert found.measures["auc"].value == pytest.approx(
        metrics.roc_auc_score(day.clicked, day.columns["score"]), abs=1e-3
    )


def test_a_day_whose_outcomes_are_still_coming_is_corrected_by_the_days_before(tmp_path):
    days = [serve(4, day, rows=4000) for day in range(3)]
    root = build(write(tmp_path, days, MONITOR, until=f"{days[2].date}T23:00:00+00:00"), days)
    found = read_monitored(root)
    seen = days[2].clicked & (days[2].columns["seconds"] + np.nan_to_num(days[2].delay) < 23 * 3600)
    assert found.counts["immature"] > 500
    assert found.measures["corrected"] > 300
    assert found.measures["rate"].low < days[2].clicked.mean() < found.measures["rate"].high
    assert found.measures["bias"].low < 0 < found.measures["bias"].high
    ran = run(root)
    assert "are in these numbers: by the delays of " in ran.stdout
    assert "it cannot be told yet what will become of them" in ran.stdout
    assert seen.sum() < days[2].clicked.sum()


def test_one_day_alone_without_matured_outcomes_says_that_it_cannot_tell(tmp_path):
    day = serve(5, rows=300)
    found = read_monitored(build(write(tmp_path, [day], MONITOR, until=f"{day.date}T02:00:00+00:00"), [day]))
    assert found.measures["rows"] == 0
    assert found.measures["auc"] is None
    assert found.broken == []


def test_a_label_that_is_a_number_is_measured_by_its_errors(tmp_path):
    day = serve(6, rows=1000)
    day.columns["score"] = day.columns["price"] * 0.3
    text = "score: score\nlabel: spent\nmodel: model\nalerts: {mae: {max: 5}}\n"
    found = read_monitored(build(write(tmp_path, [day], text), [day]))
    spent = np.where(day.clicked, day.columns["price"], 0.0)
    assert found.measures["mae"].value == pytest.approx(metrics.mean_absolute_error(spent, day.columns["score"]))
    assert found.measures["rmse"].value == pytest.approx(metrics.root_mean_squared_error(spent, day.columns["score"]))
    assert set(found.by_model) == {"v1", "v2"}
    assert found.broken[0].startswith("mae is ")
    assert "above 5" in found.broken[0]


def test_predictions_without_a_score_are_counted(tmp_path):
    day = serve(7, rows=300)
    day.columns["score"][:50] = np.nan
    found = read_monitored(build(write(tmp_path, [day], MONITOR), [day]))
    assert found.counts["unscored"] == 50
    assert found.measures["rows"] == 250


def test_a_dataset_without_monitor_says_what_to_do(tmp_path):
    day = serve(8, rows=50)
    config = write(tmp_path, [day], MONITOR)
    config.write_text(config.read_text().partition("monitor:")[0])
    with pytest.raises(InputError, match="built without 'monitor' in its config"):
        read_monitored(build(config, [day]))


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("score: scroe\nlabel: clicked", "monitor.score", "Did you mean 'score'?"),
        ("score: model\nlabel: clicked", "monitor.score", "'model' is a string; expected a number"),
        ("score: score\nlabel: click", "monitor.label", "Did you mean 'clicked'?"),
        ("score: score\nlabel: clicked\nslices: [categry]", "monitor.slices.0", "Did you mean 'category'?"),
        (
            "score: score\nlabel: clicked\ngroups: [score]",
            "monitor.groups",
            "expected a string, an integer or a boolean",
        ),
        ("score: score\nlabel: clicked\nalerts: {acu: {min: 1}}", "monitor.alerts.acu", "Did you mean 'auc'?"),
        ("score: score\nlabel: clicked\nalerts: {auc: {mn: 1}}", "monitor.alerts.auc.mn", "Did you mean 'min'?"),
        ("score: score\nlabel: clicked\nalerts: {auc: {}}", "monitor.alerts.auc", "give 'min', 'max' or both"),
        ("score: score\nlabel: clicked\npolicies: {a: '1'}", "monitor.policies", "only where 'propensity' names"),
        ("score: score\nlabel: clicked\npropensity: propensity\npolicies: {a: 'othr'}", "monitor.policies.a", "othr"),
        (
            "score: score\nlabel: clicked\npropensity: propensity\npolicies: {a: 'random()'}",
            "monitor.policies.a",
            "must be repeatable",
        ),
        (
            "score: score\nlabel: clicked\npropensity: propensity\npolicies: {a: model}",
            "monitor.policies.a",
            "expected a number",
        ),
    ],
)
def test_a_mistake_in_the_config_is_told_with_its_place(tmp_path, text, where, said):
    config = write(tmp_path, [serve(9, rows=1)], text)
    with pytest.raises(ConfigError) as caught:
        check_project(str(config))
    assert any(where in str(problem) and said in str(problem) for problem in caught.value.problems), caught.value


def test_personal_data_is_no_slice(tmp_path):
    day = serve(10, rows=300)
    config = write(tmp_path, [day], "score: score\nlabel: clicked")
    contract = tmp_path / "served.avsc"
    contract.write_text(contract.read_text().replace('"name": "gender"', '"name": "gender", "pii": "drop"'))
    assert "gender" not in {of[0] for of in read_monitored(build(config, [day])).by_slice}
    config.write_text(config.read_text() + "  groups: [gender]\n")
    with pytest.raises(ConfigError, match="'gender' is personal data"):
        check_project(str(config))


@pytest.mark.slow
def test_of_a_model_that_stays_as_it_is_hardly_anything_is_told(tmp_path):
    """Twenty worlds of ten days in which nothing changes: one day in twenty at most tells of a fall, and one of a weak slice."""
    monitor = (
        "score: score\nlabel: clicked\nmodel: model\ngroups: [device]\nslices: [category, device, model]\nmin_rows: 30"
    )
    looked, told = 0, []
    for seed in range(20):
        days = [serve(2000 + seed, day, rows=400) for day in range(10)]
        root = build(write(tmp_path / str(seed), days, monitor), days)
        for day in days[1:]:
            found = read_monitored(root, date=str(day.date))
            looked += 1
            unfair = [name for name, one in found.groups["device"]["differences"].items() if one["difference"].low > 0]
            if found.decay or found.weak or unfair:
                told.append((seed, str(day.date), list(found.decay), list(found.weak), unfair))
    assert looked == 180
    assert len([one for one in told if one[2]]) <= 9
    assert len([one for one in told if one[3]]) <= 9
    assert len([one for one in told if one[4]]) <= 36, (
        "each difference between groups has an interval of 95% of its own"
    )
