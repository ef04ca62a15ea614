"""Days of a model in production whose quality is known, written as logs."""

import dataclasses
import datetime
import json
import pathlib

import numpy as np

from tests.support.messy import TIMESTAMP

FIRST = datetime.date(2026, 11, 10)

CONFIG = """\
dataset: shop
predictions: {format: json, path: "logs/served-{date:%Y-%m-%d}.json", schema: served.avsc, key: id, time: at}
outcomes:
  click: {format: json, path: "logs/clicks*.json", schema: click.avsc, key: id, time: at}
labels:
  clicked: {outcome: click, window: 4h, value: any}
  spent: {outcome: click, window: 4h, value: sum(amount)}
monitor:
"""

CONTRACTS = {
    "served": [
        {"name": "at", "type": TIMESTAMP}, {"name": "id", "type": "string"}, {"name": "user", "type": "string"},
        {"name": "query", "type": "string"}, {"name": "position", "type": "int"}, {"name": "score", "type": ["null", "double"]},
        {"name": "model", "type": "string"}, {"name": "category", "type": ["null", "string"]}, {"name": "device", "type": "string"},
        {"name": "gender", "type": "string"}, {"name": "price", "type": "double"}, {"name": "propensity", "type": "double"},
        {"name": "other", "type": "double"}, {"name": "expected", "type": "double"},
    ],
    "click": [{"name": "at", "type": TIMESTAMP}, {"name": "id", "type": "string"}, {"name": "amount", "type": "double"}],
}  # fmt: skip
CATEGORIES = ("boots", "mens-dress", "sandals", "heels")


@dataclasses.dataclass
class Served:
    """A day, column by column; `clicked` and `delay` are what really happened."""

    date: datetime.date
    columns: dict[str, np.ndarray]
    clicked: np.ndarray
    delay: np.ndarray
    """Seconds from prediction to click; NaN without."""


def serve(seed: int, day: int = 0, rows: int = 2000, blind: str | None = None) -> Served:
    """A day of a calibrated model; in the category `blind` its scores say nothing of what happens."""
    random = np.random.default_rng([seed, day])
    logit = random.normal(-1.2, 1.5, rows)
    category = random.choice(CATEGORIES, rows)
    truth = 1 / (1 + np.exp(-logit))
    clicked = random.random(rows) < truth
    shown = np.where(category == blind, random.permutation(logit), logit) if blind else logit
    seconds = np.sort(random.integers(0, 86_400_000_000, rows)) / 1e6
    columns = {
        "seconds": seconds,
        "id": np.array([f"p{day}-{number}" for number in range(rows)]),
        "user": np.array([f"u{number}" for number in random.integers(0, rows, rows)]),
        "query": np.array([f"q{day}-{number // 5}" for number in range(rows)]),
        "position": np.arange(rows) % 5 + 1,
        "score": 1 / (1 + np.exp(-shown)),
        "model": random.choice(["v1", "v2"], rows),
        "category": category,
        "device": random.choice(["phone", "desktop"], rows),
        "gender": random.choice(["f", "m", "x"], rows, p=[0.55, 0.43, 0.02]),
        "price": np.round(random.uniform(0, 100, rows), 2),
        "propensity": random.choice([0.2, 0.4, 0.8], rows),
        "other": random.choice([0.1, 0.5], rows),
        "expected": random.uniform(0, 0.5, rows),
    }
    delay = np.where(clicked, np.minimum(random.exponential(1800, rows), 14_000), np.nan)
    return Served(FIRST + datetime.timedelta(days=day), columns, clicked, delay)


def write(folder: pathlib.Path, days: list[Served], monitor: str, until: str | None = None) -> pathlib.Path:
    """Writes days as logs, with contracts and a config; outcomes known up to `until`, by default until all days have matured."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    for name, fields in CONTRACTS.items():
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    config = folder / "shop.yaml"
    config.write_text(CONFIG + "".join(f"  {line}\n" for line in monitor.strip().splitlines()))
    end = datetime.datetime.fromisoformat(until) if until else None
    clicks = []
    for served in days:
        start = datetime.datetime.combine(served.date, datetime.time(), datetime.UTC)
        lines = []
        for number in range(len(served.clicked)):
            row = {name: values[number].item() for name, values in served.columns.items()}
            moment = start + datetime.timedelta(seconds=row.pop("seconds"))
            row["score"] = None if np.isnan(row["score"]) else row["score"]
            lines.append(json.dumps({"at": moment.isoformat(), **row}))
            if served.clicked[number]:
                came = moment + datetime.timedelta(seconds=float(served.delay[number]))
                if end is None or came < end:
                    clicks.append((came, json.dumps({"at": came.isoformat(), "id": row["id"], "amount": row["price"]})))
        (folder / f"logs/served-{served.date}.json").write_text("\n".join(lines) + "\n")
    last = end or datetime.datetime.combine(
        max(day.date for day in days), datetime.time(), datetime.UTC
    ) + datetime.timedelta(hours=30)
    clicks.append((last, json.dumps({"at": last.isoformat(), "id": "none", "amount": 0.0})))
    (folder / "logs/clicks.json").write_text("".join(f"{line}\n" for _, line in sorted(clicks)))
    return config
