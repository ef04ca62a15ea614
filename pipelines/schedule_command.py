"""`retrolabel schedule`: what a scheduler needs to call `retrolabel run`, ready to be used."""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable

import click

from retrolabel.configs.load import Project
from retrolabel.pipelines.check_command import check_project

_CRON = """\
# {dataset}: what is due is built soon after it is due; cron knows no retry, so it looks every hour, and mostly finds nothing to do.
{minute} * * * * {command} run {config} --no-wait --idle-ok >>{log} 2>&1
"""

_SYSTEMD = """\
# /etc/systemd/system/{name}.service
[Unit]
Description=retrolabel: build the days of {dataset} that need it
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart={command} run {config}
# Published, but the model decays or a hook failed; and: nothing to do.
SuccessExitStatus=8 9 10
# Data is not ready: look again.
RestartForceExitStatus=4
RestartSec=15min

# /etc/systemd/system/{name}.timer
[Unit]
Description=retrolabel: {dataset} is due

[Timer]
OnCalendar=*-*-* {hour:02}:{minute:02}:00 {timezone}
Persistent=true

[Install]
WantedBy=timers.target
"""

_AIRFLOW = """\
import datetime

from airflow.sdk import DAG, Asset, CronTriggerTimetable
from retrolabel.adapters.airflow import RetrolabelReadySensor, RetrolabelRunOperator

CONFIG = {config}
COMMAND = {command}

with DAG(
    {name},
    schedule=CronTriggerTimetable("{minute} {hour} * * *", timezone={timezone}),
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    catchup=False,
    max_active_runs=1,
    default_args={{"retries": 3, "retry_delay": datetime.timedelta(minutes=15)}},
) as dag:
    ready = RetrolabelReadySensor(
        task_id="ready", config=CONFIG, executable=COMMAND, poke_interval=300, timeout=12 * 3600
    )
    build = RetrolabelRunOperator(
        task_id="build", config=CONFIG, executable=COMMAND, outlets=[Asset(name={dataset!r}, uri={uri})]
    )
    ready >> build
"""

_ARGO = """\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata:
  name: {name}
spec:
  schedules: ["{minute} {hour} * * *"]
  timezone: {timezone}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  workflowSpec:
    entrypoint: run
    templates:
      - name: run
        # Data is not ready, or the pod was cut short: try again. Other codes would say the same again.
        retryStrategy:
          limit: "48"
          retryPolicy: Always
          expression: "lastRetry.status == 'Error' || asInt(lastRetry.exitCode) in [4, 7, 137, 143]"
          backoff: {{duration: 15m}}
        container:
          image: {image}
          command: [retrolabel]
          args: [run, {config}, --no-wait, --idle-ok]
"""

_KUBEFLOW = """\
components:
  comp-run:
    executorLabel: exec-run
    inputDefinitions:
      parameters:
        config:
          parameterType: STRING
deploymentSpec:
  executors:
    exec-run:
      container:
        args: [run, "{{{{$.inputs.parameters['config']}}}}", --idle-ok]
        command: [retrolabel]
        image: {image}
pipelineInfo:
  description: {description}
  name: {name}
root:
  dag:
    tasks:
      run:
        cachingOptions: {{}}
        componentRef:
          name: comp-run
        inputs:
          parameters:
            config:
              componentInputParameter: config
        retryPolicy:
          backoffDuration: 900s
          backoffFactor: 1.0
          backoffMaxDuration: 3600s
          maxRetryCount: 12
        taskInfo:
          name: run
  inputDefinitions:
    parameters:
      config:
        defaultValue: {config}
        isOptional: true
        parameterType: STRING
schemaVersion: 2.1.0
sdkVersion: kfp-2.16.1
"""

_LUIGI = """\
# luigi --module {module} Daily --date "$(date --date yesterday +%F)"
import luigi
from retrolabel.adapters.luigi import BuildDay


class Daily(luigi.WrapperTask):
    \"\"\"What has to be there every day; add what trains on it with `requires`.\"\"\"

    date = luigi.DateParameter()

    def requires(self):
        return BuildDay(config={config}, date=self.date, executable={command})
"""

_CELERY = """\
# celery --app {module} worker --beat
from celery import Celery
from retrolabel.adapters import celery as retrolabel

app = Celery({name}, broker="redis://localhost")
app.conf.beat_schedule = {{{name}: retrolabel.beat_entry({config})}}
# Longer than the longest build, or the broker delivers the message again while it runs. That does no harm, and costs a look.
app.conf.broker_transport_options = {{"visibility_timeout": 24 * 3600}}
"""


def _for_shells(template: str) -> Callable[[Project, str, str], str]:
    def text(project: Project, config: str, _: str) -> str:
        log = os.path.splitext(config)[0] + ".log"
        quoted = {"command": shlex.quote(_command()), "config": shlex.quote(config), "log": shlex.quote(log)}
        return template.format(**_known(project), **{name: value.replace("%", r"\%") for name, value in quoted.items()})

    return text


def _systemd(project: Project, config: str, _: str) -> str:
    quoted = {
        name: json.dumps(value).replace("%", "%%") for name, value in (("command", _command()), ("config", config))
    }
    return _SYSTEMD.format(**_known(project), **quoted)


def _in_json_strings(template: str) -> Callable[[Project, str, str], str]:
    """Python and YAML read JSON's strings as their own."""

    def text(project: Project, config: str, image: str) -> str:
        known = _known(project)
        quoted = {
            "config": config, "command": _command(), "image": image, "name": known["name"], "timezone": known["timezone"],
            "uri": project.root if "://" in project.root else f"file://{os.path.abspath(project.root)}",
            "description": f"Builds the days of {known['dataset']} that need it.",
        }  # fmt: skip
        return template.format(**known | {name: json.dumps(value) for name, value in quoted.items()})

    return text


KINDS: dict[str, Callable[[Project, str, str], str]] = {
    "cron": _for_shells(_CRON),
    "systemd": _systemd,
    "airflow": _in_json_strings(_AIRFLOW),
    "argo": _in_json_strings(_ARGO),
    "kubeflow": _in_json_strings(_KUBEFLOW),
    "luigi": _in_json_strings(_LUIGI),
    "celery": _in_json_strings(_CELERY),
}
"""Of each scheduler, what to print for a config (its path, and the image of a container)."""


def _known(project: Project) -> dict[str, str | int]:
    lag = int(project.config.schedule.lag.total_seconds()) // 60
    dataset = project.config.dataset
    name = re.sub(r"[^a-z0-9]+", "-", f"retrolabel-{dataset}".lower()).strip("-")
    return {
        "dataset": dataset, "name": name, "module": name.replace("-", "_"), "timezone": project.config.timezone,
        "hour": lag // 60 % 24, "minute": lag % 60,
    }  # fmt: skip


def _command() -> str:
    """The command of this environment."""
    beside = os.path.join(os.path.dirname(sys.executable), "retrolabel")
    return beside if os.path.exists(beside) else "retrolabel"


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("config", type=click.Path())
@click.option("--image", default="retrolabel:latest", show_default=True, help="argo, kubeflow: the container image.")
@click.option("--config-in-image", metavar="PATH", help="argo, kubeflow: where the config is there. Default: as given.")
def command(kind: str, config: str, image: str, config_in_image: str | None) -> None:
    """Print what a scheduler needs to run CONFIG every day: a crontab line, units, a DAG, a workflow, a pipeline, tasks.

    The time of day follows the config: midnight in its timezone, plus `schedule.lag`.

    \b
    Examples:
      retrolabel schedule cron shoes.yaml | crontab -
      retrolabel schedule airflow shoes.yaml > dags/shoes.py
      retrolabel schedule argo shoes.yaml --image eu.gcr.io/shop/retrolabel:1 --config-in-image /app/shoes.yaml | kubectl apply -f -
    """
    project = check_project(config)
    path = config_in_image or (config if kind in ("argo", "kubeflow") else os.path.abspath(config))
    click.echo(KINDS[kind](project, path, image), nl=False)
