"""`retrolabel monitor`: the model in production, measured by its own feedback."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from retrolabel.pipelines.monitored import Monitored, read_monitored, sentence, told_value
from retrolabel.schemas.errors import AlertError, printable
from retrolabel.transforms.dataset import split_name
from retrolabel.transforms.kernels.decay import Finding
from retrolabel.transforms.kernels.intervals import Estimate

MEASURES = {
    "auc": "AUC", "average_precision": "average precision", "log_loss": "log loss", "bias": "bias (mean score - label)",
    "calibration_error": "calibration error", "accuracy": "accuracy", "precision": "precision", "recall": "recall",
    "selection_rate": "selection rate", "rate": "share of positives", "lift": "lift of the top tenth", "mae": "mean absolute error",
    "rmse": "root mean squared error", "mean_score": "mean score", "mean_label": "mean label", "ndcg": "NDCG", "ndcg_at_10": "NDCG of the first 10",
}  # fmt: skip
"""What each measure is called, in the order in which they are told."""

_TOLD = 20
"""Slices, positions or findings that are told at most; `--json` has all."""


@click.command()
@click.argument("dataset")
@click.option("--date", help="The day to measure; those before it are its history. Default: the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print every measure as JSON.")
def command(dataset: str, date: str | None, as_json: bool) -> None:
    """Measure the model whose predictions DATASET holds, a folder such as datasets/shoes_ctr, or one of its versions, datasets/shoes_ctr@7.

    Needs a build whose config has a section `monitor`.

    \b
    Examples:
      retrolabel monitor datasets/shoes_ctr
      retrolabel monitor datasets/shoes_ctr@7 --date 2026-11-20
      retrolabel monitor datasets/shoes_ctr --json

    \b
    Exit codes: 0 the model is well; 4 there is nothing to measure; 9 it is outside of the bounds of monitor.alerts.
    """
    root, version = split_name(dataset)
    monitored = read_monitored(root, version, date)
    if as_json:
        click.echo(json.dumps(monitored_json(monitored)))
    else:
        click.echo("\n".join(render_monitored(monitored)))
    if monitored.broken:
        raise AlertError(
            "monitor.alerts are broken:\n" + "\n".join(f"  {printable(told)}" for told in monitored.broken)
        )


def monitored_json(monitored: Monitored) -> dict[str, Any]:
    """Everything that was measured, for machines."""
    slices = [{"attribute": of[0], "value": of[1], **_plain(found)} for of, found in monitored.by_slice.items()]
    told = {
        "dataset": monitored.dataset, "version": monitored.version, "date": monitored.date, "confidence": monitored.monitor.confidence,
        "counts": monitored.counts, "arrivals_learned_from": monitored.arrivals.outcomes if monitored.arrivals else 0, "measures": monitored.measures,
        "days": monitored.by_day, "skipped_days": monitored.skipped,
        "models": [{"model": model, **_plain(found)} for model, found in monitored.by_model.items()], "slices": slices,
        "groups": {name: _group_json(found) for name, found in monitored.groups.items()}, "positions": monitored.positions,
        "ranking": monitored.ranking, "policies": monitored.policies,
        "decay": [_finding_json(finding) for finding in monitored.decay], "weak": [_finding_json(finding) for finding in monitored.weak],
        "tested": monitored.tested, "false_discoveries": monitored.monitor.false_discoveries, "left_out": monitored.left_out,
        "broken": monitored.broken,
    }  # fmt: skip
    plain: dict[str, Any] = _plain(told)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return {"estimate": value.value, "low": value.low, "high": value.high}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _group_json(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "groups": [{"value": value, **_plain(rates)} for value, rates in found["groups"].items()],
        "differences": found["differences"],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "attribute": finding.of[0], "value": finding.of[1], "measure": finding.measure, "since": finding.since,
        "reference": finding.reference, "found": finding.found, "p": finding.p, "told": sentence(finding),
    }  # fmt: skip


def render_monitored(monitored: Monitored) -> Iterator[str]:
    """What a person wants to read of a model in production, line by line."""
    monitor, counts = monitored.monitor, monitored.counts
    percent = f"{monitor.confidence:.0%}"
    yield f"{monitored.dataset}@{monitored.version} {monitored.date}: score {monitor.score}, label {monitor.label}; intervals of {percent}"
    yield ""
    yield f"  {counts['predictions']:,} predictions" + "".join(
        f", {counts[name]:,} {name}" for name in ("unscored", "unlabelled", "immature") if counts[name]
    )
    yield from (f"  {line}" for line in maturity_told(monitored))
    yield from (f"    {line}" for line in _measured(monitored.measures))
    yield from _section("calibration: mean score, and the share of positives", [
        f"{point['rows']:>10,} rows   {point['score']:.4g}   {told(point['rate'])}" for point in monitored.measures.get("calibration", ())
    ])  # fmt: skip
    yield from _section("by day", _table(monitored.by_day))
    yield from _section("by model", _table({told_value(model): found for model, found in monitored.by_model.items()}))
    yield from _section("by position", [
        f"{entry['position']:>6}  {entry['rows']:>12,} rows  {told(entry['rate'])}" for entry in monitored.positions[:_TOLD]
    ])  # fmt: skip
    for attribute, found in monitored.groups.items():
        yield from _section(f"fairness by {attribute}, matured predictions", _fairness(found))
    for name, found in monitored.policies.items():
        yield from _section(f"policy {name}", _policy(found))
    yield from _section(
        f"became worse ({monitored.tested['decay']:,} series of days looked at; at most {monitor.false_discoveries:.0%} of what is told is false)",
        _findings(monitored.decay)
        or ["nothing that was found" if monitored.tested["decay"] else "it takes two days to tell"],
    )
    yield from _section(
        f"weak slices ({monitored.tested['weak']:,} looked at, the same share of false ones)",
        _findings(monitored.weak) or ["none that was found"],
    )
    yield from _section("not measured", [f"{name}: {why}" for name, why in monitored.left_out.items()])
    if monitored.skipped:
        yield f"\n  not comparable, and left out: {', '.join(monitored.skipped)}"


def maturity_told(monitored: Monitored) -> Iterator[str]:
    """What is done about predictions whose outcome may still come."""
    measures = monitored.measures
    if not monitored.counts["immature"]:
        return
    if measures.get("corrected"):
        assert monitored.arrivals is not None
        yield (f"{measures['corrected']:,} of the immature ones are in these numbers: by the delays of {monitored.arrivals.outcomes:,} outcomes "
               f"it is known how many are still to come, if delays do not depend on the score")  # fmt: skip
    untold = monitored.counts["immature"] - measures.get("corrected", 0)
    if untold:
        yield f"{untold:,} immature predictions are not in these numbers: it cannot be told yet what will become of them"


def told(estimate: Estimate | None) -> str:
    """An estimate with its interval."""
    return "cannot be told" if estimate is None else f"{estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"


def _measured(measures: Mapping[str, Any]) -> Iterator[str]:
    for name, words in MEASURES.items():
        if name in measures:
            grid = measures.get("auc_grid") if name == "auc" else None
            yield f"{words:<28} {told(measures[name])}" + (f", within {grid:.1g} of the exact one" if grid else "")


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"\n  {title}"
        yield from (f"    {printable(line)}" for line in lines)


def _table(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line each, with the two measures that say most."""
    chosen = next(
        (names for names in (("auc", "bias"), ("mae", "bias")) if any(names[0] in one for one in found.values())), ()
    )
    width = max(map(len, found), default=0)
    return [f"{name:<{width}}  {one['rows']:>12,} rows  " + "  ".join(f"{MEASURES[key].split(' (')[0]} {told(one.get(key))}" for key in chosen)
            for name, one in found.items()]  # fmt: skip


def _fairness(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for value, rates in found["groups"].items():
        shown = ", ".join(
            f"{name.replace('_', ' ')} {told(rates[name])}" for name in ("selection_rate", "recall", "accuracy", "bias")
        )
        lines.append(f"{told_value(value)}: {rates['rows']:,} rows, {shown}")
    for name, entry in found["differences"].items():
        lines.append(
            f"{name.replace('_', ' ')}: {told(entry['difference'])}, highest {told_value(entry['highest'])}, lowest {told_value(entry['lowest'])}"
        )
    return lines or ["no group has enough rows"]


def _policy(found: Mapping[str, Any]) -> list[str]:
    names = {"ips": "inverse propensity", "snips": "self-normalised", "doubly_robust": "doubly robust"}
    lines = [f"{words:<20} {told(found[name])}" for name, words in names.items() if found[name] is not None]
    weight = f"{found['mean_weight']:.4f}" if found["mean_weight"] is not None else "-"
    lines.append(f"{found['rows']:,} rows worth {found['effective_rows']:,.0f}; mean weight {weight} (1 if it fits); {found['refused']:,} rows "
                 f"without usable probabilities")  # fmt: skip
    return lines


def _findings(found: Any) -> list[str]:
    more = [f"and {len(found) - _TOLD:,} more; --json has them"] if len(found) > _TOLD else []
    return [sentence(finding) for finding in found[:_TOLD]] + more
