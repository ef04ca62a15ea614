"""`retrolabel forget`: a person out of every version of a dataset, and out of those to come."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
import pydantic

from retrolabel.configs.model import Privacy
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.forgetting import Forgotten, forget, survey, would_forget
from retrolabel.pipelines.planning import joins_of, keys_of
from retrolabel.schemas.contract import Contract, parse_contract
from retrolabel.schemas.errors import ConfigError, MentionedError, printable
from retrolabel.schemas.receipt import ForgottenSubject, Receipt
from retrolabel.transforms.dataset import read_day_manifest, read_version, split_name
from retrolabel.transforms.erase import Request, Subject, whole_numbers
from retrolabel.transforms.kernels.forgotten import mark_of
from retrolabel.transforms.kernels.protect import key_id
from retrolabel.transforms.keys import KeyPlace
from retrolabel.transforms.receipts import sought_of


def parse_subject(text: str, place: str) -> Subject:
    """Reads `FIELD=VALUE`.

    Raises:
        ConfigError: it is something else; the value is not told.
    """
    field, equals, value = text.partition("=")
    if not equals or not field.isidentifier() or not value:
        raise ConfigError(
            f"{place}: expected FIELD=VALUE, such as user_id=u123, with the value as it stands in the logs"
        )
    return Subject(field, value)


def _read_subjects(texts: Sequence[str], file: Any) -> tuple[Subject, ...]:
    found = [parse_subject(text, "--subject") for text in texts]
    if file is not None:
        try:
            lines = file.read().replace("\r\n", "\n").split("\n")
        except UnicodeDecodeError:
            raise ConfigError("--subjects: the file is not UTF-8 text") from None
        found += [
            parse_subject(line, f"--subjects: line {number}") for number, line in enumerate(lines, 1) if line.strip()
        ]
    if not found:
        raise click.UsageError("say who: --subject FIELD=VALUE, or --subjects FILE")
    return tuple(sorted(set(found)))


@dataclasses.dataclass(frozen=True)
class _Target:
    """A dataset, and where its keys are."""

    root: str
    dataset: str
    keys: dict[str, KeyPlace]
    """The first is the one that receipts are made under."""
    numbers: frozenset[str]
    """The fields that some contract has as whole numbers."""
    check: Callable[[Receipt], object]
    """Raises if later builds could not keep to a receipt."""


def _target_of(path: str) -> _Target:
    """From a config, or from a dataset, whose newest day says how it was configured."""
    if os.path.isfile(path):
        project = check_project(path)
        keys = keys_of(project.config.privacy, project.resolve)
        fields = {name: [field.name for field in contract.fields] for name, contract in project.logged.items()}
        return _Target(project.root, project.config.dataset, keys, _numbers_in(project.logged.values()),
                       lambda receipt: sought_of([receipt], fields, joins_of(project.config), keys))  # fmt: skip
    root, version = split_name(path)
    if version is not None:
        raise click.UsageError("people are forgotten by all versions: name the dataset without a version")
    record = read_version(root)
    manifest = read_day_manifest(root, record.days[max(record.days)])
    try:
        privacy = Privacy.model_validate(manifest.config.get("privacy") or {})
    except pydantic.ValidationError:
        privacy = Privacy()
    contracts = [parse_contract(schema) for schema in manifest.contracts.values()]
    return _Target(root, record.dataset, keys_of(privacy, _no_relative_path), _numbers_in(contracts), lambda _: None)


def _numbers_in(contracts: Iterable[Contract]) -> frozenset[str]:
    return frozenset(field.name for contract in contracts for field in contract.fields if field.kind in ("int", "long"))


def _receipt_of(subjects: Sequence[Subject], target: _Target, key: bytes) -> Receipt:
    """The receipt: of a field of whole numbers also the mark of the number as builds write it, 7 for 007."""
    texts = {(subject.field, subject.text) for subject in subjects}
    texts |= {(field, text) for field, given in texts if field in target.numbers for text in whole_numbers([given])}
    marks = sorted((field, mark_of(field, text, key)) for field, text in texts)
    return Receipt(dataset=target.dataset, key_id=key_id(key), subjects=[ForgottenSubject(field=field, mark=mark) for field, mark in marks])  # fmt: skip


def _no_relative_path(path: str) -> str:
    if "://" in path or os.path.isabs(path):
        return path
    raise ConfigError(f"the key is in the file {path!r}, beside a config that the dataset does not know the place of: name the config "
                      "in place of the dataset")  # fmt: skip


@click.command()
@click.argument("target", metavar="CONFIG|DATASET")
@click.option(
    "--subject", "texts", multiple=True, metavar="FIELD=VALUE",
    help="Who: a field of the logs, and the value that is theirs, as it stands there. May be given several times.",
)  # fmt: skip
@click.option(
    "--subjects", "file", type=click.File("r", encoding="utf-8-sig"),
    help="A file with a FIELD=VALUE on each line; - for standard input, which leaves no trace in the shell.",
)  # fmt: skip
@click.option("--mentions", is_flag=True, help="Erase rows too in which any other text mentions them.")
@click.option("--dry-run", is_flag=True, help="Only count what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(target: str, texts: tuple[str, ...], file: Any, mentions: bool, dry_run: bool, as_json: bool) -> None:
    """Erase people from every version of a dataset, and keep them out of later ones.

    Part files, manifests, statistics and reports are rewritten under the same version numbers; a receipt stays, from which nobody
    can tell who they were without the key of `privacy`. One that was killed is finished by calling it again.

    \b
    Examples:
      retrolabel forget shoes.yaml --subject user_id=u123 --dry-run
      retrolabel forget shoes.yaml --subject user_id=u123
      retrolabel forget datasets/shoes_ctr --subject user_id=u123 --subject email=ada@example.org
      retrolabel forget shoes.yaml --subjects - < requests.txt

    \b
    Exit codes: 0 forgotten; 11 their rows are gone, and something below the dataset's folder mentions them still; 2 the config, key or field
    is wrong; 4 no such dataset, or another erasure is not finished; 6 stored data is damaged; 7 storage is full or refuses.
    """
    subjects = _read_subjects(texts, file)
    found = _target_of(target)
    if not found.keys:
        raise ConfigError("a receipt keeps who was forgotten under a key, and there is none. Hint: say in the config where it is kept, "
                          "privacy: {key: {env: NAME}}, and name the config; `openssl rand -hex 32` makes one")  # fmt: skip
    keys = {name: place.read() for name, place in found.keys.items()}
    receipt = _receipt_of(subjects, found, next(iter(keys.values())))
    request = Request(found.root, subjects, keys, mentions)
    survey(request)
    found.check(receipt)
    result = (would_forget if dry_run else forget)(request, receipt)
    click.echo(json.dumps(_for_machines(result, dry_run)) if as_json else _for_people(result, len(subjects), dry_run))
    if result.mentions:
        told = "\n  ".join(map(printable, result.mentions[:20]))
        more = f"\n  and {len(result.mentions) - 20:,} more" if len(result.mentions) > 20 else ""
        raise MentionedError(f"their rows are gone, but these mention them still:\n  {told}{more}\nHint: rows go with --mentions; a config, a schema "
                             "or a file of yours is for you to change")  # fmt: skip


def _for_machines(result: Forgotten, dry_run: bool) -> dict[str, Any]:
    return {
        "receipt": result.receipt, "dry_run": dry_run, "version": result.version, "published": result.is_new,
        "examples": sum(day.examples for day in result.days), "rejected_lines": sum(day.erasure.rejected_lines for day in result.days),
        "days": [{"date": day.date, "versions": list(day.versions), "splits": day.erasure.splits, "rejected_lines": day.erasure.rejected_lines}
                 for day in result.days],
        "removed_files": result.removed, "not_searchable": {field: list(days) for field, days in result.unsearchable.items()},
        "mentions": list(result.mentions),
    }  # fmt: skip


def _for_people(result: Forgotten, subjects: int, dry_run: bool) -> str:
    examples = sum(day.examples for day in result.days)
    verb = "would erase" if dry_run else "erased"
    lines = [f"{verb} {_count(examples, 'example')} of {_count(subjects, 'subject')}; receipt {result.receipt}"]
    for day in result.days:
        splits = ", ".join(f"{name} {split['rows']:,}" for name, split in day.erasure.splits.items())
        rejected = (
            f"the text of {_count(day.erasure.rejected_lines, 'rejected line')}" if day.erasure.rejected_lines else ""
        )
        lines.append(f"  {day.date}  {_versions(day.versions)}: {', '.join(filter(None, [splits, rejected]))}")
    for field, days in result.unsearchable.items():
        span = days[0] if len(days) == 1 else f"{len(days):,} days, {days[0]} to {days[-1]}"
        lines.append(f"  not looked for by {field}: {span}, which have no column of it")
    if result.version is not None:
        state = "published" if result.is_new else "stands"
        lines.append(
            f"version {result.version} {state}, and older ones are without them; {_count(result.removed, 'file')} removed"
        )
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _versions(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"version {numbers[0]}"
    whole = list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return f"versions {numbers[0]} to {numbers[-1]}" if whole else f"versions {', '.join(map(str, numbers))}"
