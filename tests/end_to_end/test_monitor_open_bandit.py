"""Logged bandit feedback that is real: what other policies would have earned, against what they did earn.

The Open Bandit Dataset (Saito et al. 2021) holds impressions of two policies in the same weeks: one that chose at random, and Bernoulli
Thompson sampling. From the log of the one the value of the other is estimated, and compared with its own clicks.
"""

import datetime
import gzip
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from retrolabel.pipelines.build_command import build_day
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.monitored import read_monitored
from retrolabel.pipelines.runner import choose_runner

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/open_bandit"

MONITOR = """
monitor:
  score: propensity
  label: clicked
  position: position
  propensity: propensity
  policies:
    random: "CASE campaign WHEN 'men' THEN 1.0 / 34 WHEN 'women' THEN 1.0 / 46 ELSE 1.0 / 80 END"
    same: propensity
"""


@pytest.fixture(scope="module")
def logs():
    spec = importlib.util.spec_from_file_location("fetch", EXAMPLE / "fetch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if "GENERATED" in module.main():
        pytest.skip("the Open Bandit Dataset cannot be fetched here, and generated logs say nothing of real policies")
    return EXAMPLE / "logs"


def impressions(logs: Path) -> dict[str, np.ndarray]:
    """Every impression of the log, read by other means than the product's."""
    clicked = {
        json.loads(line)["request_id"] for path in logs.glob("clicks/*.log") for line in path.read_text().splitlines()
    }
    rows = []
    for path in sorted(logs.glob("serving/*.log*")):
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        for line in text.splitlines():
            row = json.loads(line.split("\t")[2])
            rows.append(
                (
                    row["ts"][:10],
                    row["policy"],
                    row["campaign"],
                    row["position"],
                    row["propensity"],
                    row["request_id"] in clicked,
                )
            )
    columns = zip(*rows, strict=True)
    return {
        name: np.array(column)
        for name, column in zip(
            ("day", "policy", "campaign", "position", "propensity", "clicked"), columns, strict=True
        )
    }


def test_policies_are_valued_as_they_earned(logs, tmp_path):
    text = (EXAMPLE / "open_bandit.yaml").read_text()
    text = (
        re.sub(r"(path: )logs/", rf"\g<1>{logs}/", text)
        .replace("schema: ", f"schema: {EXAMPLE}/")
        .replace("path: datasets", f"path: {tmp_path}/datasets")
    )
    (tmp_path / "bandit.yaml").write_text(
        text.replace("  key: request_id", "  where: policy = 'bts'\n  key: request_id", 1) + MONITOR
    )
    project = check_project(str(tmp_path / "bandit.yaml"))
    everything = impressions(logs)
    date = "2019-11-26"
    build_day(project, datetime.date.fromisoformat(date), {}, choose_runner([]))
    found = read_monitored(f"{tmp_path}/datasets/open_bandit")

    day = (everything["policy"] == "bts") & (everything["day"] == date)
    reward, propensity = everything["clicked"][day].astype(float), everything["propensity"][day]
    items = {"men": 34, "women": 46, "all": 80}
    weight = np.array([1 / items[campaign] for campaign in everything["campaign"][day]]) / propensity
    random, same = found.policies["random"], found.policies["same"]
    assert random["rows"] == day.sum() > 3000
    assert random["ips"].value == pytest.approx((weight * reward).mean(), rel=1e-12)
    assert random["snips"].value == pytest.approx((weight * reward).sum() / weight.sum(), rel=1e-12)
    assert random["ips"].deviation == pytest.approx((weight * reward).std(ddof=1) / np.sqrt(len(weight)), rel=1e-9)
    assert same["ips"].value == pytest.approx(reward.mean(), rel=1e-12)

    at_random = everything["clicked"][everything["policy"] == "random"].mean()
    assert random["ips"].low < at_random < random["ips"].high
    assert random["snips"].low < at_random < random["snips"].high

    for entry in found.positions:
        shown = everything["position"][day] == entry["position"]
        assert entry["rows"] == shown.sum()
        assert entry["rate"].value == pytest.approx(reward[shown].mean(), rel=1e-12)
