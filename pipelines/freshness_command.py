"""`retrolabel freshness`: when each source last delivered, how far it is behind, and whether its volume is as usual."""

import datetime
import json
from collections.abc import Iterator

import click

from retrolabel.pipelines.build_command import parse_date
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.freshness import Freshness, Hour, SourceFreshness, check_freshness, in_words
from retrolabel.schemas.errors import InputError


@click.command()
@click.argument("config", type=click.Path())
@click.option(
    "--date", callback=parse_date, help="Look at what the build of this day needs. Default: the last 24 hours."
)
@click.option("--days", type=click.IntRange(1, 90), default=7, show_default=True, help="Earlier days to compare with.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(config: str, date: datetime.date | None, days: int, as_json: bool) -> None:
    """Show how fresh the logs of CONFIG are: last event, delay, gaps, and events per hour beside the same hours of earlier days.

    \b
    Examples:
      retrolabel freshness shoes.yaml
      retrolabel freshness shoes.yaml --date 2026-11-20 --days 14
      retrolabel freshness shoes.yaml --json

    \b
    Exit codes: 0 every rule under 'freshness' in CONFIG holds; 2 the config is wrong; 4 a rule is broken, or a source has no file.
    """
    found = check_freshness(check_project(config), date, datetime.datetime.now(datetime.UTC), days)
    click.echo(json.dumps(found.to_json()) if as_json else "\n".join(render(found)))
    if found.problems:
        raise SystemExit(InputError.exit_code)


def render(found: Freshness) -> Iterator[str]:
    """The findings for people."""
    period = f"on {found.date}" if found.date else "in the last 24 hours"
    yield f"{found.dataset} at {found.moment:%Y-%m-%d %H:%M:%S} UTC"
    for source in found.sources:
        yield ""
        yield from _source(source, period)


def _source(found: SourceFreshness, period: str) -> Iterator[str]:
    if found.last_event is None or found.delay is None:
        yield f"  {found.source}: no event {period}, nor in the earlier days that it is compared with"
    else:
        written = f", last written {found.last_written:%Y-%m-%d %H:%M:%S}" if found.last_written else ""
        yield f"  {found.source}: {in_words(found.delay)} behind, last event {found.last_event:%Y-%m-%d %H:%M:%S}{written}"
        usual = f", usually {found.usual_per_minute:,.1f}" if found.usual_per_minute is not None else ""
        gap = f"; longest gap {in_words(found.longest_gap[1] - found.longest_gap[0])}" if found.longest_gap else ""
        yield f"    {found.per_minute:,.1f} events a minute {period}{usual}{gap}"
        yield f"    {'hour (UTC)':<18}{'events':>12}{'usual':>12}{'share':>8}"
        yield from (f"    {_hour(hour)}" for hour in found.hours)
    yield from (f"    {click.style('broken:', fg='red')} {problem}" for problem in found.problems)


def _hour(hour: Hour) -> str:
    usual = "-" if hour.usual is None else f"{hour.usual:,.0f}"
    share = "-" if hour.share is None else f"{hour.share:.0%}"
    return f"{hour.begin:%Y-%m-%d %H:%M}  {hour.events:>12,}{usual:>12}{share:>8}" + (
        "" if hour.complete else "  not over"
    )
