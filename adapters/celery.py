"""Celery: a task for any app, and its entry in the beat schedule."""

import datetime
import zoneinfo
from collections.abc import Callable, Sequence
from typing import Any

from celery import shared_task
from celery.schedules import crontab

from retrolabel.adapters.command import NOT_READY, NOTHING_TO_DO, PUBLISHED, TRANSIENT, run_command
from retrolabel.configs.load import load_project

RETRY_SECONDS = 900
"""Between two tries of a run whose data is not ready, or that was cut short."""


@shared_task(bind=True, name="retrolabel.run", acks_late=True, reject_on_worker_lost=True, max_retries=95)
def run(task: Any, config: str, arguments: Sequence[str] = (), executable: str = "retrolabel") -> list[dict[str, Any]]:
    """Builds what is due; tries again for a day while data is not ready.

    A message that is delivered twice does no harm: the second run finds nothing to do, or the first at work.

    Returns:
        The published days.

    Raises:
        RuntimeError: a day may not be published, or the config is wrong; another try would only say so again.
    """
    ran = run_command(config, ["--no-wait", *arguments], executable)
    if ran.exit_code in (NOT_READY, *TRANSIENT):
        raise task.retry(exc=RuntimeError(str(ran)), countdown=RETRY_SECONDS)
    if ran.exit_code not in (*PUBLISHED, NOTHING_TO_DO):
        raise RuntimeError(str(ran))
    return [{"date": day["date"], "version": day["version"], "path": day["path"]} for day in ran.published]


def beat_entry(config: str) -> dict[str, Any]:
    """The entry of `beat_schedule` that runs it daily, at the hour at which the config's days are due, by the config's clock."""
    project = load_project(config)
    minutes = int(project.config.schedule.lag.total_seconds()) // 60 % (24 * 60)
    at = crontab(hour=minutes // 60, minute=minutes % 60, nowfun=_now_in(project.config.timezone))
    return {"task": "retrolabel.run", "schedule": at, "args": [config]}


def _now_in(timezone: str) -> Callable[[], datetime.datetime]:
    zone = zoneinfo.ZoneInfo(timezone)
    return lambda: datetime.datetime.now(zone)
