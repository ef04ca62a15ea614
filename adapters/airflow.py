"""Airflow 3: an operator that builds what is due and emits assets, and a sensor that waits for the data of a day.

Only this file and `command.py` are needed where DAGs are parsed; the command itself may live in another environment.
"""

import asyncio
import datetime
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from retrolabel.adapters.command import (
    NOT_READY,
    NOTHING_TO_DO,
    PUBLISHED,
    TRANSIENT,
    command_line,
    days_of,
    run_command,
)


class RetrolabelRunOperator(BaseOperator):
    """Runs `retrolabel run`; returns the published days, and tells the versions with the assets in `outlets`.

    A run with nothing to do skips what follows. A failure that another try would only repeat (the config, the data) is not retried.

    Args:
        config: the config's path.
        date: one day, such as `{{ ds }}`; by default all that need a build.
        arguments: more arguments of the command, Beam's after `--`.
        executable: the command, in whatever environment it is installed.
        **options: of every operator.
    """

    template_fields: Sequence[str] = ("config", "date", "arguments")

    def __init__(
        self, *, config: str, date: str | None = None, arguments: Sequence[str] = (), executable: str = "retrolabel", **options: Any
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.config = config
        self.date = date
        self.arguments = list(arguments)
        self.executable = executable

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Runs it.

        Raises:
            AirflowSkipException: there was nothing to do.
            AirflowFailException: it would fail again.
            AirflowException: it may be retried.
        """
        ran = run_command(self.config, [*_date(self.date), *self.arguments], self.executable)
        self.log.info("%s", ran)
        if ran.exit_code == NOTHING_TO_DO:
            raise AirflowSkipException("nothing to do")
        late = ran.exit_code == NOT_READY and ran.published  # what is missing, the next run looks for again
        if ran.exit_code in (NOT_READY, *TRANSIENT) and not late:
            raise AirflowException(str(ran))
        if ran.exit_code not in PUBLISHED and not late:
            raise AirflowFailException(str(ran))
        versions = [{"date": day["date"], "version": day["version"], "path": day["path"]} for day in ran.published]
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {"versions": versions}
        return versions


class RetrolabelReadySensor(BaseSensorOperator):
    """Waits until the data of a day is there, by the config's own rules: `retrolabel run --dry-run` no longer says that it is not ready.

    Args:
        config: the config's path.
        date: the day; by default the newest that is due.
        executable: the command, in whatever environment it is installed.
        deferrable: whether to wait in the triggerer, where it holds no worker.
        **options: of every sensor.
    """

    template_fields: Sequence[str] = ("config", "date")

    def __init__(
        self,
        *,
        config: str,
        date: str | None = None,
        executable: str = "retrolabel",
        deferrable: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.config = config
        self.date = date
        self.executable = executable
        self.deferrable = deferrable

    def execute(self, context: Any) -> None:
        """Waits in the triggerer if need be, or as sensors do."""
        if not self.deferrable:
            super().execute(context)
        elif not self.poke(context):
            self.defer(
                trigger=RetrolabelReadyTrigger(self.config, self.date, self.executable, self.poke_interval),
                method_name="execute_complete",
                timeout=datetime.timedelta(seconds=self.timeout),
            )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> None:
        """Comes back from the triggerer."""
        if event["status"] != "ready":
            raise AirflowException(event["message"])

    def poke(self, context: Any) -> bool:
        """Looks once."""
        ran = run_command(self.config, _look(self.date), self.executable)
        if ran.exit_code != 0:
            raise AirflowException(str(ran))
        return _is_ready(ran.days)


class RetrolabelReadyTrigger(BaseTrigger):
    """Looks every so often, without blocking the triggerer."""

    def __init__(self, config: str, date: str | None, executable: str, poke_interval: float) -> None:
        super().__init__()
        self.config, self.date, self.executable, self.poke_interval = config, date, executable, poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer makes it from."""
        fields = ("config", "date", "executable", "poke_interval")
        return "retrolabel.adapters.airflow.RetrolabelReadyTrigger", {name: getattr(self, name) for name in fields}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Gives one event: ready, or why it cannot be said."""
        while True:
            process = await asyncio.create_subprocess_exec(
                *command_line(self.config, _look(self.date), self.executable),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            output, errors = await process.communicate()
            if process.returncode:
                yield TriggerEvent({"status": "failed", "message": errors.decode(errors="replace")[-2000:]})
                return
            if _is_ready(days_of(output.decode())):
                yield TriggerEvent({"status": "ready"})
                return
            await asyncio.sleep(self.poke_interval)


def _date(date: str | None) -> list[str]:
    return ["--date", date] if date else []


def _look(date: str | None) -> list[str]:
    return ["--dry-run", *_date(date)]


def _is_ready(days: list[dict[str, Any]]) -> bool:
    return not days or days[-1]["state"] != "not_ready"
