"""Lies in Airflow's folder of DAGs beside the one that `retrolabel schedule airflow` prints; as a program it runs them all on SQLite."""

import datetime
import json
import os
import pathlib
import runpy
import sys

import pendulum
from airflow.models.asset import AssetEvent
from airflow.sdk import DAG
from airflow.utils.session import create_session

from retrolabel.adapters.airflow import RetrolabelReadySensor, RetrolabelReadyTrigger, RetrolabelRunOperator

CONFIG, COMMAND = os.environ["SHOP_CONFIG"], os.environ["SHOP_COMMAND"]
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

with DAG("broken", schedule=None, start_date=START) as broken:
    RetrolabelRunOperator(
        task_id="build", config=CONFIG.replace("shop.yaml", "broken.yaml"), executable=COMMAND, retries=3
    )

with DAG("waiting", schedule=None, start_date=START) as waiting:
    RetrolabelReadySensor(
        task_id="never", config=CONFIG, executable=COMMAND, date="2099-01-01", deferrable=False, poke_interval=0.01,
        timeout=0.01, soft_fail=True,
    )  # fmt: skip

with DAG("deferred", schedule=None, start_date=START) as deferred:
    RetrolabelReadySensor(
        task_id="soon",
        config=CONFIG.replace("shop.yaml", "soon.yaml"),
        executable=os.environ["SHOP_LATE_COMMAND"],
        poke_interval=0.1,
    )


def tested(dag: DAG) -> dict[str, str]:
    """The state of each task after a run of the whole DAG."""
    run = dag.test(logical_date=pendulum.now("UTC"))
    return {instance.task_id: str(instance.state) for instance in run.get_task_instances()}


def main(output: str) -> None:
    """Runs every DAG and writes down what came of it."""
    printed = runpy.run_path(str(pathlib.Path(__file__).with_name("printed.py")))["dag"]
    told: dict[str, object] = {"tasks": {task.task_id: sorted(task.downstream_task_ids) for task in printed.tasks}}
    told["first"] = tested(printed)
    with create_session() as session:
        told["events"] = [{"uri": event.uri, "extra": event.extra} for event in session.query(AssetEvent)]
    told |= {
        "second": tested(printed),
        "broken": tested(broken),
        "waiting": tested(waiting),
        "deferred": tested(deferred),
    }
    told["trigger"] = RetrolabelReadyTrigger(CONFIG, "2026-11-20", COMMAND, 1.0).serialize()
    pathlib.Path(output).write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
