"""What `retrolabel schedule` prints, and our tasks, in the hands of the schedulers' own packages."""

import datetime
import importlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.test_schedule_command import config, printed, versions

__all__ = ["config"]

pytestmark = pytest.mark.integrations

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
KUBEFLOW = Path(__file__).parents[2] / "build/kubeflow/bin/python"
"""An environment of its own: with Google's packages beside it, Beam imports other things."""
DATE = datetime.date(2026, 11, 20)


def test_argo_accepts_the_workflow(config):
    models = pytest.importorskip("hera.workflows.models", reason="needs hera, Argo's SDK: make test-integrations")
    text = printed("argo", config, "--image", "shop/retrolabel:1", "--config-in-image", "/app/shop.yaml")
    workflow = models.CronWorkflow.model_validate(yaml.safe_load(text))
    assert workflow.spec.schedules == ["30 2 * * *"]
    assert workflow.spec.timezone == "Europe/Berlin"
    (template,) = workflow.spec.workflow_spec.templates
    assert template.container.args == ["run", "/app/shop.yaml", "--no-wait", "--idle-ok"]
    assert template.container.image == "shop/retrolabel:1"
    known = models.CronWorkflow.model_validate(workflow.model_dump(by_alias=True, exclude_none=True))
    assert known == workflow


COMPILE = """
import sys
from kfp import compiler, components, dsl

@dsl.container_component
def run(config: str):
    return dsl.ContainerSpec(image="shop/retrolabel:1", command=["retrolabel"], args=["run", config, "--idle-ok"])

@dsl.pipeline(name="retrolabel-shop", description="Builds the days of shop that need it.")
def pipeline(config: str = "/app/shop.yaml"):
    run(config=config).set_retry(
        num_retries=12, backoff_duration="900s", backoff_factor=1.0
    ).set_caching_options(False)

compiler.Compiler().compile(pipeline, sys.argv[2])
print(components.load_component_from_file(sys.argv[1]).component_spec.name)
"""


@pytest.mark.skipif(not KUBEFLOW.exists(), reason="needs kfp in build/kubeflow: make schedulers")
def test_kubeflows_compiler_makes_the_same_pipeline(config, tmp_path):
    text = printed("kubeflow", config, "--image", "shop/retrolabel:1", "--config-in-image", "/app/shop.yaml")
    ours, theirs = tmp_path / "ours.yaml", tmp_path / "theirs.yaml"
    ours.write_text(text)
    done = subprocess.run(
        [str(KUBEFLOW), "-c", COMPILE, str(ours), str(theirs)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["retrolabel-shop"]  # it reads ours
    compiled = yaml.safe_load(theirs.read_text())
    assert yaml.safe_load(text) | {"sdkVersion": None} == compiled | {"sdkVersion": None}


def test_luigi_builds_a_day_once(config, tmp_path, monkeypatch):
    luigi = pytest.importorskip("luigi", reason="needs luigi: make test-integrations")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "retrolabel_shop.py").write_text(printed("luigi", config))
    daily = importlib.import_module("retrolabel_shop").Daily(date=DATE)
    (task,) = daily.deps()
    assert not task.complete()
    assert luigi.build([daily], local_scheduler=True, log_level="WARNING")
    assert task.complete()
    assert versions(config) == ["00000001.json"]
    assert luigi.build([daily], local_scheduler=True, log_level="WARNING")
    assert versions(config) == ["00000001.json"]
    (Path(config).parent / "logs/2026/11/21/served-a.json").write_text("not json\n")
    assert not luigi.build(
        [type(daily)(date=DATE + datetime.timedelta(days=1))], local_scheduler=True, log_level="CRITICAL"
    )


@pytest.fixture
def redis(tmp_path):
    """A broker; its URL."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    pytest.importorskip("redis", reason="needs celery[redis]: make test-integrations")
    socket = tmp_path / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert any("ready to accept connections" in line.lower() for line in server.stdout)
        yield f"redis+socket://{socket}"
        server.terminate()


CELERY_APP = """
from celery import Celery
from retrolabel.adapters import celery as retrolabel

app = Celery("shop", broker={url!r}, backend={url!r})
app.conf.broker_connection_retry_on_startup = True
app.conf.beat_schedule = {{"shop": {{**retrolabel.beat_entry({config!r}), "schedule": {seconds}, "args": [{config!r}, {arguments}, {executable!r}]}}}}
"""

DIES_FIRST = """#!/bin/sh
[ -e {marker} ] && exec retrolabel "$@"
echo $$ > {marker}.part && mv {marker}.part {marker}
exec tail -f /dev/null
"""


def test_celery_with_a_broker_builds_when_beat_says_so_and_again_when_a_worker_dies(config, redis, tmp_path):
    pytest.importorskip("celery", reason="needs celery: make test-integrations")
    marker, executable = tmp_path / "first", tmp_path / "dies-first"
    executable.write_text(DIES_FIRST.format(marker=marker))
    executable.chmod(0o755)
    now = ["--now", "2026-11-22T12:00:00Z"]
    (tmp_path / "shop_app.py").write_text(
        CELERY_APP.format(url=redis, config=config, seconds=1.0, arguments=now, executable=str(executable))
    )
    command = [sys.executable, "-m", "celery", "--app", "shop_app", "worker", "--beat", "--concurrency", "1", "--loglevel", "INFO",
               "--schedule", str(tmp_path / "beat")]  # fmt: skip
    environment = {**os.environ, "PATH": PATH, "PYTHONPATH": str(tmp_path), "C_FORCE_ROOT": "1"}
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as worker:  # fmt: skip
        try:
            said = []
            for line in worker.stdout:
                said.append(line)
                if "Sending due task" in line and marker.exists():  # beat goes on while the build hangs
                    break
            build = Path(f"/proc/{marker.read_text().strip()}/stat").read_text()
            os.kill(int(build.rpartition(")")[2].split()[1]), signal.SIGKILL)  # its parent: the worker's process
            os.kill(int(marker.read_text()), signal.SIGKILL)
            assert any("succeeded" in line and "'version': 1" in line for line in worker.stdout), said
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
    assert versions(config) == ["00000001.json"]


def test_celery_builds_what_is_due_retries_and_fails(config, monkeypatch):
    celery = pytest.importorskip("celery", reason="needs celery: make test-integrations")
    from retrolabel.adapters import celery as ours

    monkeypatch.setenv("PATH", PATH)
    app = celery.Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    app.conf.beat_schedule = {"shop": ours.beat_entry(config)}
    entry = app.conf.beat_schedule["shop"]
    task = app.tasks[entry["task"]]
    now = ["--now", "2026-11-22T12:00:00Z"]
    assert task.apply(args=[*entry["args"], now]).get() == [
        {"date": "2026-11-20", "version": 1, "path": str(Path(config).parent / "datasets/shop")}
    ]
    assert task.apply(args=[config, now]).get() == []  # delivered again
    with pytest.raises(RuntimeError, match="ended with 2"):
        task.apply(args=["/nowhere.yaml"]).get()
    (Path(config).parent / "logs/2026/11/21/served-a.json").unlink()
    monkeypatch.setattr(task, "max_retries", 2)
    late = task.apply(args=[config, ["--now", "2026-11-23T12:00:00Z"]])
    assert late.state == "FAILURE"  # after three tries
    assert "2026-11-21 not_ready" in str(late.result)
    schedule = entry["schedule"]
    assert (min(schedule.hour), min(schedule.minute)) == (2, 30)
    assert str(schedule.nowfun().tzinfo) == "Europe/Berlin"
