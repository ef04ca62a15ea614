"""`retrolabel build`: one day, or a range of days, from logs to a version of the dataset."""

import contextlib
import dataclasses
import datetime
import errno
import json
import logging
import math
import re
import shutil
import signal
import sys
import time
import urllib.error
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import click
from apache_beam.options.pipeline_options import GoogleCloudOptions

from retrolabel.configs.load import Project
from retrolabel.configs.model import parse_duration, within_years
from retrolabel.pipelines import dataflow
from retrolabel.pipelines.build import BuildDataset
from retrolabel.pipelines.built_otherwise import built_otherwise
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.engine_failure import from_engine, is_failed_job, tells_of_ours
from retrolabel.pipelines.freshness import wait_until_fresh
from retrolabel.pipelines.likely_format import other_formats
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.report.write import write_report
from retrolabel.pipelines.runner import Runner, choose_runner, keep_freed_memory
from retrolabel.pipelines.show_progress import show_progress
from retrolabel.pipelines.summary import render_summary
from retrolabel.pipelines.tell import tell
from retrolabel.schemas.errors import ConfigError, IntegrityError, RetrolabelError, StorageError, ValidationError
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms.commit import result_of
from retrolabel.transforms.dataset import head_version, read_day_manifest, read_version
from retrolabel.transforms.plan import PREDICTIONS, BuildPlan, Input
from retrolabel.transforms.progress import progress
from retrolabel.transforms.publish import Published
from retrolabel.transforms.receipts import receipt_ids
from retrolabel.transforms.sweep import sweep
from retrolabel.transforms.unchanged import is_unchanged
from retrolabel.transforms.verify import is_cut

WORKER_MEMORY = "4GB"
"""What a worker of an engine should have: blocks and shards of two threads take a fifth of it (measured: ARCHITECTURE.md)."""

_WHILE_RUNNING = re.compile(r"\s*\[while running '[^']*'\]\s*$")


@dataclasses.dataclass(frozen=True)
class Built:
    """What came of the build of one day."""

    published: Published
    manifest: DayManifest
    root: str
    seconds: float
    report: str | None
    """The path of its report, relative to the root; None if there is none."""


def build_day(
    project: Project, date: datetime.date, complete_until: Mapping[str, datetime.datetime], runner: Runner, *,
    may_shrink: bool = True,
) -> Built:  # fmt: skip
    """Builds and publishes one day; does nothing if nothing changed since its last build.

    Args:
        project: the config, checked.
        date: the day, in the config's timezone.
        complete_until: of outcomes whose log is declared complete, up to when.
        runner: where the pipeline runs.
        may_shrink: whether the day may have fewer predictions than it had when the same config last built it.

    Raises:
        RetrolabelError: nothing was published, for a reason that the text says.
    """
    started = time.monotonic()
    if runner.name == dataflow.RUNNER:
        dataflow.check_paths(project, runner.options)
    plan, inputs = plan_build(project, date, complete_until, in_process=runner.in_process)
    head = head_version(plan.root)
    left = leave_report(plan.root, head)  # a build that was killed once it had published left none
    last = head.days.get(plan.date.isoformat()) if head else None
    damaged = last is not None and is_cut(plan.root, last)
    if head is not None and not damaged and is_unchanged(plan, inputs, head):
        manifest = read_day_manifest(plan.root, head.days[plan.date.isoformat()])
        unchanged = Published(head.version, head.parent, False, None)
        return Built(
            unchanged, manifest, plan.root, time.monotonic() - started, left if head.date == manifest.date else None
        )
    plan = dataclasses.replace(plan, previous=None if damaged else last)
    if not may_shrink:
        plan = dataclasses.replace(plan, at_least=_predictions_before(plan, head))
    progress.reset()
    progress.add("reading", total_bytes=sum(file.size for file in inputs), all_shards=plan.shards)
    try:
        with _cleared(plan), _told_plainly(runner):
            run_pipeline(plan, inputs, runner)
            told = result_of(plan)
    except RetrolabelError as error:
        if receipt_ids(plan.root) == plan.receipts:
            if isinstance(error, ValidationError) and (others := list(other_formats(project, inputs))):
                raise ValidationError("\nHint: ".join([str(error), *others])) from None
            raise
        # Whatever failed, what was read of somebody who was forgotten meanwhile must go, and nothing else.
        sweep(plan.root, math.inf)
        click.echo(f"{date}: somebody was forgotten while this was built; it is built again without them", err=True)
        return build_day(project, date, complete_until, runner, may_shrink=may_shrink)
    published = told or _what_an_engine_published(plan, head.version if head else 0)
    record = read_version(plan.root, published.version)
    manifest = read_day_manifest(plan.root, record.days[plan.date.isoformat()])
    if damaged and head:
        click.echo(_told_of_damage(date, head.version, published), err=True)
    with contextlib.suppress(RetrolabelError):  # it is published, whatever has become of other days
        for difference in built_otherwise(plan.root, record, manifest):
            click.echo(f"warning: {difference}", err=True)
    report = leave_report(plan.root, record)
    return Built(published, manifest, plan.root, time.monotonic() - started, report)


def _told_of_damage(date: datetime.date, version: int, published: Published) -> str:
    if published.is_new:
        return f"warning: {date}: what changed since version {version} cannot be told: its files are damaged, see `retrolabel verify`"
    return f"{date}: files of version {version} that were gone or cut are written again"


def leave_report(root: str, record: VersionRecord | None) -> str | None:
    """Writes the report of a version, unless it is there; were that to fail, the version is published all the same."""
    try:
        return write_report(root, record.version) if record else None
    except Exception as error:  # noqa: BLE001
        click.echo(f"warning: published, but its report could not be written: {error}", err=True)
        return None


def translate_day(
    project: Project, date: datetime.date, complete_until: Mapping[str, datetime.datetime], runner: Runner
) -> str:
    """Translates the build of one day for Dataflow without running it; says where the translation is."""
    dataflow.check_paths(project, runner.options)
    run_pipeline(*plan_build(project, date, complete_until, in_process=False), runner)
    where = runner.options.view_as(GoogleCloudOptions).template_location
    return f"{project.config.dataset} {date}: translated, not run" + (f": {where}" if where else "")


def _predictions_before(plan: BuildPlan, head: VersionRecord | None) -> int:
    """How many unique predictions the day had when it was last built from the same config."""
    path = head.days.get(plan.date.isoformat()) if head else None
    if path is None:
        return 0
    try:
        manifest = read_day_manifest(plan.root, path)
    except IntegrityError:  # nobody knows
        return 0
    same = all(plan.manifest[name] == getattr(manifest, name) for name in ("config", "contracts"))
    return manifest.accounting[PREDICTIONS].unique if same else 0


def _is_told_once(record: logging.LogRecord) -> bool:
    return not tells_of_ours(record.getMessage())


def run_pipeline(plan: BuildPlan, inputs: Sequence[Input], runner: Runner) -> None:
    """Runs the pipeline of one build to its end."""
    # What fails is raised here, and told once. Dataflow's runner tells of the job, too.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    logging.getLogger("apache_beam.runners.dataflow").setLevel(logging.ERROR)
    logging.getLogger().addFilter(_is_told_once)  # the same each time: a filter that is there is not added again
    if runner.in_process:
        keep_freed_memory()
    pipeline = beam.Pipeline(runner=runner.runner, options=runner.options)
    _ = pipeline | "Build" >> BuildDataset(plan, tuple(inputs)).with_resource_hints(min_ram=WORKER_MEMORY)
    pipeline.run().wait_until_finish()


def _what_an_engine_published(plan: BuildPlan, before: int) -> Published:
    """Worked out from the versions: an engine gives no result, and may have committed more than once."""
    head = head_version(plan.root)
    path = head.days.get(plan.date.isoformat()) if head else None
    if head is None or path is None:
        raise RetrolabelError(
            f"the runner reported success, but {plan.root!r} has no version with {plan.date}: look at the runner's log"
        )
    for number in range(head.version, before, -1):  # builds of other days may have published since
        if (record := read_version(plan.root, number)).date == plan.date.isoformat() and record.receipt is None:
            head = record
            break
    return Published(head.version, head.parent, head.version > before, dict(head.changes) if head.changes else None)


@contextlib.contextmanager
def _cleared(plan: BuildPlan) -> Iterator[None]:
    """Removes what was spilled, also when the build is told to stop, and then says how things stand."""
    with contextlib.suppress(ValueError):  # not in the main thread: whoever runs us there handles signals
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    except SystemExit:
        click.echo("stopped by a signal: what was not yet published is not; run again to build it", err=True)
        raise
    finally:
        if plan.spill:
            shutil.rmtree(plan.spill, ignore_errors=True)


@contextlib.contextmanager
def _told_plainly(runner: Runner) -> Iterator[None]:
    """Takes Beam's trimmings off our own errors, and says what to do about the storage's and the engine's."""
    try:
        yield
    except RetrolabelError as error:
        raise type(error)(_WHILE_RUNNING.sub("", str(error))) from None
    except Exception as error:
        # Beam cannot copy an error that has a number, and makes another of it.
        cause = error.__context__ if isinstance(error, RuntimeError) else error
        if isinstance(cause, SystemExit | KeyboardInterrupt):
            raise cause from None
        if isinstance(cause, urllib.error.URLError) and not runner.in_process:
            raise StorageError(f"nothing was published: {runner.name} fetches something that it needs from the network, and cannot "
                               f"({cause.reason}). Its page in docs/ says what that is") from None  # fmt: skip
        if isinstance(cause, OSError):
            raise _of_storage(cause) from None
        if runner.in_process or not is_failed_job(error):
            raise
        raise from_engine(error, runner.name) from None


def _of_storage(error: OSError) -> StorageError:
    text = _WHILE_RUNNING.sub("", str(error))
    if error.errno == errno.ENOSPC or "No space left" in text:
        return StorageError(f"nothing was published: the disk is full. Free some space and run again; `retrolabel gc` "
                            f"removes what earlier builds left ({text})")  # fmt: skip
    return StorageError(f"nothing was published: {text}")


def parse_date(_: click.Context, __: click.Parameter, value: str | None) -> datetime.date | None:
    """A click callback for ISO dates."""
    if value is None:
        return None
    try:
        return within_years(datetime.date.fromisoformat(value))
    except ValueError:
        raise click.BadParameter(f"expected a date such as 2026-11-20, got {value!r}") from None


def parse_patience(_: click.Context, __: click.Parameter, value: str | None) -> datetime.timedelta | None:
    """A click callback for durations."""
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def parse_complete_until(texts: Sequence[str], project: Project) -> dict[str, datetime.datetime]:
    """Reads `TIME`, for every outcome, or `NAME=TIME`."""
    moments = {}
    for text in texts:
        name, equals, moment = text.rpartition("=")
        if equals and name not in project.config.outcomes:
            raise ConfigError(
                f"--outcomes-complete-until: no outcome is called {name!r}; there are {', '.join(project.config.outcomes)}"
            )
        try:
            parsed = within_years(datetime.datetime.fromisoformat(moment))
        except ValueError:
            raise ConfigError(
                f"--outcomes-complete-until: expected a time such as 2026-11-22T00:00:00Z, got {moment!r}"
            ) from None
        parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)
        moments.update(dict.fromkeys([name] if equals else project.config.outcomes, parsed))
    return moments


def _days(date: datetime.date | None, first: datetime.date | None, last: datetime.date | None) -> list[datetime.date]:
    if date and not (first or last):
        return [date]
    if first and last and not date and last < first:
        raise click.UsageError(f"--to {last} is before --from {first}")
    if date or not (first and last):
        raise click.UsageError("give a day, --date 2026-11-20, or a range, --from 2026-11-01 --to 2026-11-20")
    return [first + datetime.timedelta(days=n) for n in range((last - first).days + 1)]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("config", type=click.Path())
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
@click.option("--date", callback=parse_date, help="The day to build, in the config's timezone.")
@click.option("--from", "first", callback=parse_date, help="The first day of a range, built day by day.")
@click.option("--to", "last", callback=parse_date, help="The last day of the range.")
@click.option(
    "--outcomes-complete-until", "complete", multiple=True, metavar="[OUTCOME=]TIME",
    help="The outcome logs are complete up to TIME. Default: the latest time in the log of each.",
)  # fmt: skip
@click.option(
    "--wait-for",
    "patience",
    callback=parse_patience,
    metavar="DURATION",
    help="Wait so long, such as 2h, for the config's freshness rules to hold.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, a line a day.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", help="How progress is written to stderr."
)
def command(
    config: str, beam_options: tuple[str, ...], date: datetime.date | None, first: datetime.date | None, last: datetime.date | None,
    complete: tuple[str, ...], patience: datetime.timedelta | None, as_json: bool, log_format: str,
) -> None:  # fmt: skip
    """Build a day of the dataset that CONFIG describes, and publish it as a new version.

    What follows `--` goes to Beam, so that any runner can be chosen. Without it the build runs in this process.

    \b
    Examples:
      retrolabel build shoes.yaml --date 2026-11-20
      retrolabel build shoes.yaml --from 2026-11-01 --to 2026-11-20
      retrolabel build shoes.yaml --date 2026-11-20 --outcomes-complete-until click=2026-11-22T00:00:00Z
      retrolabel build shoes.yaml --date 2026-11-20 --wait-for 2h
      retrolabel build shoes.yaml --date 2026-11-20 -- --runner DataflowRunner --project shop --region europe-west1 \\
          --temp_location gs://shop/tmp

    \b
    Exit codes: 0 published, or nothing to change; 2 the config is wrong; 3 the result may not be published; 5 nor may it: its data has anomalies;
    4 input is missing, changed or not fresh; 6 stored data is damaged; 7 storage is full or refuses.
    """
    days = _days(date, first, last)
    project = check_project(config)
    runner = choose_runner(beam_options)
    declared = parse_complete_until(complete, project)
    for day in days:
        if patience is not None:
            wait_until_fresh(project, day, patience)
        if runner.translates:
            click.echo(translate_day(project, day, declared, runner))
            continue
        with show_progress(day, log_format):
            built = build_day(project, day, declared, runner)
        if as_json:
            click.echo(json.dumps(summary_of(built)))
        else:
            tell(render_summary(built.manifest, built.published, built.root, built.seconds, built.report))


def summary_of(built: Built) -> dict[str, Any]:
    """The manifest's summary, for machines."""
    manifest = built.manifest.model_dump(mode="json")
    chosen = ("dataset", "date", "watermarks", "accounting", "rejected_examples", "splits")
    return {
        "published": built.published.is_new, "version": built.published.version, "parent": built.published.parent,
        "changes": built.published.changes if built.published.is_new else None, "path": built.root, "seconds": round(built.seconds, 3),
        "report": built.report,
        **{name: manifest[name] for name in chosen},
        "holes": manifest.get("holes", {}),
        "copies": [{name: file[name] for name in ("source", "path", "copy_of")} for file in manifest["inputs"] if "copy_of" in file],
    }  # fmt: skip
