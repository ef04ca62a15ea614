"""`retrolabel run`: the daily command, which builds whatever needs it and nothing else."""

import contextlib
import dataclasses
import datetime
import itertools
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import click

from retrolabel.configs.load import Project
from retrolabel.configs.model import within_years
from retrolabel.pipelines.build_command import Built, build_day, leave_report, parse_date, summary_of
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.due_days import TO_BUILD, Day, due_days
from retrolabel.pipelines.freshness import PAUSE
from retrolabel.pipelines.hooks import begin_hooks, run_hooks
from retrolabel.pipelines.monitored import alerts_of
from retrolabel.pipelines.retention import expire
from retrolabel.pipelines.runner import Runner, choose_runner
from retrolabel.pipelines.show_progress import show_progress
from retrolabel.pipelines.summary import render_summary
from retrolabel.pipelines.tell import tell
from retrolabel.schemas.errors import AlertError, RetrolabelError, printable
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import head_version, version_numbers

NOTHING_TO_DO = 8
NOT_READY = 4
_GRAVITY = (1, 2, 7, 6, 3, 5, 4, 9, 10, 0, NOTHING_TO_DO)
"""Exit codes, the gravest first: of all that came of a run, the first of these is told."""

_HOPELESS = (2, 7)
"""After an error with such a code (config wrong, storage full) the other days would only fail too."""

Clock = Callable[[], datetime.datetime]


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of one day."""

    day: Day
    outcome: Literal["published", "unchanged", "failed", "not_ready"]
    exit_code: int
    message: str | None = None
    built: Built | None = None

    def to_json(self) -> dict[str, Any]:
        """For machines: with the summary of the build if there is one."""
        told = {"date": self.day.date.isoformat(), "outcome": self.outcome, "reason": self.day.state, "why": self.day.why,
                "exit_code": self.exit_code, "message": self.message}  # fmt: skip
        return (summary_of(self.built) if self.built else {}) | told


def run_due_days(
    project: Project, runner: Runner, clock: Clock, *, first: datetime.date | None = None, last: datetime.date | None = None,
    wait: datetime.timedelta | None = None, pause: Callable[[float], None] = time.sleep, log_format: str = "text",
) -> Iterator[Result]:  # fmt: skip
    """Builds the days that need it, the oldest first; waits for the data of those that are due.

    Args:
        project: the config, checked.
        runner: where the pipelines run.
        clock: what time it is.
        first: the first day to look at, and `last` the last; by default all that are due.
        last: see `first`.
        wait: how long to wait for data; by default as the schedule says.
        pause: waits so many seconds.
        log_format: how progress is shown.

    Yields:
        A result for each day that was built, or is not ready. A day that fails does not keep the others from being built.
    """
    patience = project.config.schedule.wait if wait is None else wait
    deadline = clock() + patience
    settled: set[datetime.date] = set()
    while True:
        days = [day for day in due_days(project, clock(), first, last) if day.date not in settled]
        due = [day for day in days if day.state in TO_BUILD]
        for result in _build_all(project, due, runner, log_format):
            settled.add(result.day.date)
            yield result
            if result.exit_code in _HOPELESS:
                return
        waiting = [day for day in days if day.state == "not_ready"]
        if not waiting or clock() >= deadline:
            yield from (Result(day, "not_ready", NOT_READY, day.why) for day in waiting)
            return
        click.echo(
            f"waiting until {deadline.isoformat(timespec='seconds')} for {waiting[0].date}: {waiting[0].why}", err=True
        )
        pause(min(PAUSE, max((deadline - clock()).total_seconds(), 0.0)))


def _build_all(project: Project, days: Sequence[Day], runner: Runner, log_format: str) -> Iterator[Result]:
    """Builds days in their order, as many at once as the schedule allows; results come in the same order."""
    at_once = project.config.schedule.parallel

    def build(day: Day) -> Result:
        with show_progress(day.date, log_format) if at_once == 1 else contextlib.nullcontext():
            return _build(project, day, runner)

    if at_once == 1:
        yield from map(build, days)
        return
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="build")
    try:
        yield from pool.map(build, days)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _build(project: Project, day: Day, runner: Runner) -> Result:
    try:
        built = build_day(project, day.date, {}, runner, may_shrink=False)
    except RetrolabelError as error:
        return Result(day, "failed", error.exit_code, str(error))
    if not built.published.is_new:
        return Result(day, "unchanged", NOTHING_TO_DO, built=built)
    monitor, date = project.config.monitor, day.date.isoformat()
    broken = alerts_of(built.root, built.published.version, date, monitor) if monitor else []
    return Result(day, "published", AlertError.exit_code if broken else 0, "; ".join(broken) or None, built)


@contextlib.contextmanager
def alone(root: str) -> Iterator[bool]:
    """Whether this is the only run of a dataset on this file system: two at once would do the same work twice.

    Nothing depends on it for being right, and on an object store it is always true: a version is committed by whoever creates its
    record, and the other build finds that it is there. The system gives the lock back when its holder dies.
    """
    if not storage.is_local(root):
        yield True
        return
    with storage.locked(storage.join(root, "_tmp", "run.lock"), wait=False) as held:
        if held is None:
            click.echo(
                f"warning: the file system of {root} has no locks: of two runs at once both do the work", err=True
            )
        yield held is not False


def parse_now(_: click.Context, __: click.Parameter, value: str | None) -> datetime.datetime | None:
    """A click callback for moments; one without offset is UTC."""
    if value is None:
        return None
    try:
        moment = within_years(datetime.datetime.fromisoformat(value))
    except ValueError:
        raise click.BadParameter(f"expected a time such as 2026-11-21T06:00:00Z, got {value!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _clock(now: datetime.datetime | None) -> Clock:
    """Time that goes on from a given moment, or the machine's."""
    started = time.monotonic()
    begin = now or datetime.datetime.now(datetime.UTC)
    return lambda: begin + datetime.timedelta(seconds=time.monotonic() - started)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("config", type=click.Path())
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
@click.option("--date", callback=parse_date, help="Look at this day only.")
@click.option("--from", "first", callback=parse_date, help="Look at the days from this one on.")
@click.option("--to", "last", callback=parse_date, help="Look at the days up to this one.")
@click.option("--no-wait", is_flag=True, help="Do not wait for data, whatever the config says.")
@click.option("--idle-ok", is_flag=True, help="End with 0, not 8, when there was nothing to do.")
@click.option("--now", callback=parse_now, help="The moment to take for now. Default: the clock's.")
@click.option("--dry-run", is_flag=True, help="Only say what would be built, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON, a line a day.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", help="How progress is written to stderr."
)
def command(
    config: str, beam_options: tuple[str, ...], date: datetime.date | None, first: datetime.date | None, last: datetime.date | None,
    no_wait: bool, idle_ok: bool, now: datetime.datetime | None, dry_run: bool, as_json: bool, log_format: str,
) -> None:  # fmt: skip
    """Build the days of CONFIG that need it: never built or failed, immature when last built, or with late data since.

    For a scheduler: it can be started as often as one likes, and by several at once. `schedule:` in the config says which days are due,
    `retention:` what is kept. What follows `--` goes to Beam.

    \b
    Examples:
      retrolabel run shoes.yaml --dry-run
      retrolabel run shoes.yaml
      retrolabel run shoes.yaml --from 2026-11-01 --to 2026-11-20
      retrolabel run shoes.yaml --json -- --runner DataflowRunner --project shop --region europe-west1 --temp_location gs://shop/tmp

    \b
    Exit codes: 0 published; 8 nothing to do; 4 data is not ready; 3 and 5 a day may not be published (its rows, its data);
    9 published, but the model is outside of monitor.alerts; 10 published, but a hook failed; 2 the config is wrong; 6 stored data is damaged; 7 storage is full or refuses; 1 a bug. Of several, the gravest.
    """
    if date and (first or last):
        raise click.UsageError("give --date, or --from and --to")
    first, last = (date, date) if date else (first, last)
    if first and last and last < first:
        raise click.UsageError("--from is after --to")
    project = check_project(config)
    runner = choose_runner(beam_options)
    clock = _clock(now)
    if dry_run:
        _tell_plan(due_days(project, clock(), first, last), as_json)
        return
    codes = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with alone(project.root) as is_alone:
        if not is_alone:
            click.echo(f"another run of {project.root} is at work; nothing to do", err=True)
            raise SystemExit(0 if idle_ok else NOTHING_TO_DO)
        wait = datetime.timedelta(0) if no_wait else None
        begin_hooks(project)
        leave_report(project.root, head_version(project.root))
        for result in run_due_days(project, runner, clock, first=first, last=last, wait=wait, log_format=log_format):
            codes.append(result.exit_code)
            _tell(result, as_json)
        for failure in run_hooks(project):
            codes.append(failure.exit_code)
            click.echo(f"warning: {failure}", err=True)
        _keep_to_retention(project, clock().timestamp())
    if not codes and not as_json:
        click.echo(f"{project.config.dataset}: nothing to do, every day that is due has its version")
    code = min(codes, key=_GRAVITY.index, default=NOTHING_TO_DO)
    raise SystemExit(0 if code == NOTHING_TO_DO and idle_ok else code)


def _tell(result: Result, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif result.built:
        built = result.built
        click.echo(f"{result.day.date} {result.day.state}: {result.day.why}")
        tell(render_summary(built.manifest, built.published, built.root, built.seconds, built.report))
        if result.message:
            click.echo(f"warning: the model is outside of monitor.alerts: {printable(result.message)}", err=True)
    else:
        click.echo(
            f"{result.day.date} {result.outcome.replace('_', ' ')}: {result.message}", err=result.outcome == "failed"
        )


def _tell_plan(days: Sequence[Day], as_json: bool) -> None:
    """A line a day; days in a row of which the same is to be said are one line for people."""
    if as_json:
        for day in days:
            click.echo(json.dumps({"date": day.date.isoformat(), "state": day.state, "why": day.why}))
        return
    for (state, why), row in itertools.groupby(days, key=lambda day: (day.state, day.why)):
        dates = [day.date.isoformat() for day in row]
        span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        tell(f"{span:<24}  {state.replace('_', ' '):<9}  {why}")


def _keep_to_retention(project: Project, now: float) -> None:
    if version_numbers(project.root) and (expired := expire(project.root, project.config.retention, now)):
        click.echo(f"removed {len(expired):,} old versions, as `retention` says", err=True)
