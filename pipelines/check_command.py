"""`retrolabel check`: everything that can be wrong with a config, found without running it."""

import dataclasses
import datetime
import json
import os
import re
from collections.abc import Iterator

import click

from retrolabel.configs.load import PREDICTIONS, Project, load_project
from retrolabel.configs.model import ConsentLog, Source, within_years
from retrolabel.schemas.contract import split_path
from retrolabel.schemas.errors import ConfigError, InputError, Problem, nearest_name
from retrolabel.transforms.apis import api_of, apis
from retrolabel.transforms.formats import FORMATS, find_format
from retrolabel.transforms.kernels.expressions import check_filter, check_number, check_value
from retrolabel.transforms.listing import files_matching
from retrolabel.transforms.storage import is_local, told


def check_project(path: str) -> Project:
    """Loads a config, and checks its formats and its SQL too.

    Raises:
        ConfigError: with every problem.
    """
    project = load_project(path)
    problems: list[Problem] = []
    for name in project.sources:
        keys, source = project.keys(name), project.source(name)
        for key, problem in (*_format_problems(source, project.directory), *_store_problems(source)):
            problems.append(project.problem((*keys, key), problem))
        if source.where is not None:
            try:
                check_filter(source.where, project.logged[name])
            except ConfigError as error:
                problems.append(project.problem((*keys, "where"), str(error)))
    for name, label in project.config.labels.items():
        outcome = project.config.outcomes[label.outcome]
        try:
            check_value(label.value, project.contracts[label.outcome], outcome.time)
        except ConfigError as error:
            problems.append(project.problem(("labels", name, "value"), str(error)))
    policies = project.config.monitor.policies if project.config.monitor else {}
    for name, policy in policies.items():
        for sql in filter(None, (policy.probability, policy.value)):
            try:
                check_number(sql, project.contracts[PREDICTIONS])
            except ConfigError as error:
                problems.append(project.problem(("monitor", "policies", name), str(error)))
    if problems:
        raise ConfigError.of(path, problems)
    return project


def _format_problems(source: Source, directory: str) -> Iterator[tuple[str, str]]:
    """What is wrong with how a source is to be read, by the key of the config that says so."""
    try:
        find_format(source.format, source.options, directory)
    except LookupError as error:
        problem = (
            str(error)
            if ":" in source.format
            else f"no format is called {source.format!r}. {nearest_name(source.format, FORMATS)}"
        )
        yield "format", problem
    except ValueError as error:
        yield "options", str(error)
    for path in source.unwrap:
        try:
            split_path(path)
        except ConfigError as error:
            yield "unwrap", str(error)


def _store_problems(source: Source) -> Iterator[tuple[str, str]]:
    """What is wrong with a source that is read from a log store, or is not but says how."""
    asked = [api_of(source.format, path) is not None for path in source.path]
    if any(asked) and not all(asked):
        yield "path", "names files and a log store; make them two sources"
    if any(asked) and isinstance(source, ConsentLog) and not source.since:
        yield "path", "a log store is asked for all changes from the first on: give its day, 'since: 2024-01-31'"
    if not any(asked):
        for key in ("filter", "auth"):
            if getattr(source, key) is not None:
                yield (
                    key,
                    f"is for log stores; 'path' names files, which 'where' filters. Stores are asked by {', '.join(apis())}",
                )
    if any(re.match(r"https?://[^/]*@", path) for path in source.path):
        yield "path", "must not hold a user or a password; say under 'auth' where they are kept"


def _check_files(project: Project, date: datetime.date) -> None:
    """Checks that each source has files for a day."""
    from retrolabel.pipelines.planning import inputs_of_day

    problems = []
    for name in project.sources:
        try:
            list(inputs_of_day(project, name, date))
        except InputError as error:
            problems.append(project.problem((*project.keys(name), "path"), str(error)))
    if problems:
        raise ConfigError.of(project.path, problems)


def _absent(project: Project) -> Iterator[Problem]:
    """Sources of this machine none of whose files is there now, where their names do not depend on the day."""
    for name in project.sources:
        source = project.source(name)
        if any("{" in path or not is_local(path) for path in source.path):
            continue
        try:
            if not any(files_matching(project.resolve_pattern(path)) for path in source.path):
                yield project.problem((*project.keys(name), "path"), f"no file matches {', '.join(source.path)} now")
        except (OSError, ValueError) as error:
            yield project.problem(
                (*project.keys(name), "path"), f"cannot list {', '.join(source.path)}: {told(error, '')}"
            )


def _as_date(_: click.Context, __: click.Parameter, value: str | None) -> datetime.date | None:
    try:
        return within_years(datetime.date.fromisoformat(value)) if value else None
    except ValueError:
        raise click.BadParameter(f"expected a date such as 2026-11-20, got {value!r}") from None


@click.command()
@click.argument("config", type=click.Path())
@click.option("--date", callback=_as_date, help="Also check that each source has files for this day.")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
def command(config: str, date: datetime.date | None, as_json: bool) -> None:
    """Check CONFIG, its contracts, SQL and paths without running anything; report every problem at once.

    \b
    Examples:
      retrolabel check shoes.yaml
      retrolabel check shoes.yaml --date 2026-11-20
      retrolabel check shoes.yaml --json
    """
    try:
        project = check_project(config)
        if date:
            _check_files(project, date)
    except ConfigError as error:
        if not as_json:
            raise
        problems = [dataclasses.asdict(problem) for problem in error.problems] or [{"message": str(error)}]
        click.echo(json.dumps({"valid": False, "problems": problems}))
        raise SystemExit(error.exit_code) from None
    warnings = [] if date else list(_absent(project))
    if as_json:
        found = [dataclasses.asdict(warning) for warning in warnings]
        click.echo(json.dumps({"valid": True, "problems": [], "warnings": found}))
        return
    checked = project.config
    labels = ", ".join(checked.labels)
    click.echo(
        f"{os.path.basename(config)} is valid: dataset {checked.dataset}, {len(project.sources)} sources, labels {labels}"
    )
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
