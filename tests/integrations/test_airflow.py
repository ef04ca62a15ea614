"""Airflow runs our DAG, in an environment of its own, with the command in ours."""

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrolabel.configs.load import load_project
from retrolabel.pipelines.cli import commands
from retrolabel.pipelines.due_days import last_due_day
from tests.support.daily import click, make_shop, serve

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "build/airflow/bin/python"

LATE = """\
#!/bin/sh
{command} "$@"
code=$?
echo look >>{folder}/looks
[ -e {folder}/shop/late ] || cp -r {folder}/shop/logs {folder}/shop/late
exit $code
"""
"""The command, for logs that come just after it has looked for the first time."""

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs Airflow in build/airflow: make schedulers"),
]


def airflow(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{PYTHON.parent}:{os.environ['PATH']}", "HOME": str(home), "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "SHOP_CONFIG": str(home / "shop/shop.yaml"), "SHOP_COMMAND": str(Path(sys.executable).parent / "retrolabel"),
        "SHOP_LATE_COMMAND": str(home / "late.sh"),
    }  # fmt: skip
    return subprocess.run([str(PYTHON), *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What came of everything that airflow_dags.py does."""
    folder = tmp_path_factory.mktemp("airflow")
    config = make_shop(folder / "shop", "schedule: {lag: 2h30m}\ntimezone: Europe/Berlin\n")
    last = last_due_day(load_project(config), datetime.datetime.now(datetime.UTC))  # Airflow's clock is the machine's
    dates = [(last - datetime.timedelta(days=days)).isoformat() for days in (2, 1, 0)]
    for date in dates:
        serve(folder / "shop", date)
        click(folder / "shop", date)
    printed = CliRunner().invoke(commands, ["schedule", "airflow", config])
    assert printed.exit_code == 0, printed.output
    text = (folder / "shop/shop.yaml").read_text()
    (folder / "shop/broken.yaml").write_text(text.replace("time: at", "time: att"))
    (folder / "shop/soon.yaml").write_text(
        text.replace("dataset: shop", "dataset: soon")
        .replace('"logs/', '"late/')
        .replace("lag: 2h30m", f"since: {dates[1]}")
    )
    (folder / "late.sh").write_text(LATE.format(command=Path(sys.executable).parent / "retrolabel", folder=folder))
    (folder / "late.sh").chmod(0o755)
    (folder / "dags").mkdir()
    (folder / "dags/printed.py").write_text(printed.output)
    shutil.copy(Path(__file__).with_name("airflow_dags.py"), folder / "dags/others.py")
    migrated = airflow(folder, "-m", "airflow", "db", "migrate")
    assert migrated.returncode == 0, migrated.stderr[-3000:]
    ran = airflow(folder, str(folder / "dags/others.py"), str(folder / "told.json"))
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-5000:]
    return json.loads((folder / "told.json").read_text()) | {
        "looks": (folder / "looks").read_text(), "root": str(folder / "shop/datasets/shop"), "home": folder, "dates": dates,
    }  # fmt: skip


def test_the_printed_dag_waits_then_builds(told):
    assert told["tasks"] == {"ready": ["build"], "build": []}
    assert told["first"] == {"ready": "success", "build": "success"}


def test_what_was_published_is_told_with_the_asset(told):
    (event,) = told["events"]
    assert event["uri"] == f"file://{told['root']}/" or event["uri"] == f"file://{told['root']}"
    assert [(day["date"], day["version"]) for day in event["extra"]["versions"]] == list(
        zip(told["dates"], (1, 2, 3), strict=True)
    )


def test_with_nothing_to_do_what_follows_is_skipped_and_no_asset_told(told):
    assert told["second"] == {"ready": "success", "build": "skipped"}


def test_a_wrong_config_fails_at_once_for_all_its_retries(told):
    assert told["broken"] == {"build": "failed"}


def test_a_day_that_is_not_ready_is_waited_for(told):
    assert told["waiting"] == {"never": "skipped"}


def test_the_sensor_gives_its_worker_back_and_the_triggerer_sees_the_data_come(told):
    assert told["deferred"] == {"soon": "success"}
    assert told["looks"] == "look\nlook\n"  # the worker's, in vain, and the triggerer's
    assert told["trigger"][0] == "retrolabel.adapters.airflow.RetrolabelReadyTrigger"
    assert told["trigger"][1]["date"] == "2026-11-20"


def test_airflow_lists_the_provider(told):
    listed = airflow(told["home"], "-m", "airflow", "providers", "list", "--output", "json")
    assert "retrolabel" in [provider["package_name"] for provider in json.loads(listed.stdout)]
