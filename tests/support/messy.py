"""A day of messy logs, and the slow, plain computation of what should come of them.

Nothing here uses the product: what is expected is worked out event by event, in Python, from the meaning of a build in the docs.
"""

import dataclasses
import datetime
import gzip
import json
import pathlib
import random

DAY = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}
HOUR = datetime.timedelta(hours=1)

CONFIG = """\
dataset: shoes
predictions:
  format: fluentd
  path: logs/serving/*.log*
  schema: prediction.avsc
  key: prediction_id
  time: event_time
  max_rejected: 0.2
outcomes:
  click:
    format: logstash
    path: logs/clicks/*.log
    schema: click.avsc
    where: kind = 'click'
    id: event_id
    key: prediction_id
    time: event_time
    max_rejected: 0.2
  purchase:
    format: json
    path: logs/shop/*.json*
    schema: purchase.avsc
    key: [user_id, item]
    time: at
    attribution: last
    max_rejected: 0.2
labels:
  clicked: {outcome: click, window: 24h, value: any}
  clicks: {outcome: click, window: 6h, after: 1s, value: count}
  delay: {outcome: click, window: 24h, value: delay}
  value: {outcome: click, window: 24h, value: sum(value)}
  liked: {outcome: click, window: 24h, value: "max(rating) >= 4"}
  last_rating: {outcome: click, window: 24h, value: last(rating)}
  bought: {outcome: purchase, window: 48h, value: any}
  spent: {outcome: purchase, window: 48h, value: sum(amount)}
  first_bought: {outcome: purchase, window: 48h, value: count, attribution: first}
  all_bought: {outcome: purchase, window: 48h, value: count, attribution: all}
split: {by: user_id, parts: {train: 0.8, eval: 0.1, test: 0.1}}
output: {path: datasets}
monitor: {score: price, label: bought, query: user_id, position: item, min_rows: 20}
"""

CONTRACTS = {
    "prediction": [
        {"name": "event_time", "type": TIMESTAMP, "path": "ts"},
        {"name": "prediction_id", "type": "string"},
        {"name": "user_id", "type": "string"},
        {"name": "item", "type": "long"},
        {"name": "category", "type": ["null", "string"], "path": "features.category"},
        {"name": "price", "type": ["null", "double"], "path": "features.price", "missing": ["", "N/A", -1]},
    ],
    "click": [
        {"name": "event_time", "type": TIMESTAMP, "path": "@timestamp"},
        {"name": "event_id", "type": "string"},
        {"name": "prediction_id", "type": "string"},
        {"name": "kind", "type": "string"},
        {"name": "value", "type": ["null", "double"]},
        {"name": "rating", "type": ["null", "int"]},
    ],
    "purchase": [
        {"name": "at", "type": TIMESTAMP},
        {"name": "user_id", "type": "string"},
        {"name": "item", "type": "long"},
        {"name": "amount", "type": "double"},
    ],
}


@dataclasses.dataclass
class Logs:
    """What was written, line by line, as the events that a careful reader would take from it."""

    predictions: list[dict] = dataclasses.field(default_factory=list)
    clicks: list[dict] = dataclasses.field(default_factory=list)
    purchases: list[dict] = dataclasses.field(default_factory=list)
    rejected: dict[str, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(("predictions", "click", "purchase"), 0)
    )
    blank: dict[str, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(("predictions", "click", "purchase"), 0)
    )


def write_logs(folder: pathlib.Path, seed: int, predictions: int = 400) -> Logs:
    """Writes logs with duplicates, conflicts, garbage, blank lines, odd types, compressed files, early and late events."""
    random_ = random.Random(seed)
    logs = Logs()
    lines: dict[str, list[str]] = {"predictions": [], "click": [], "purchase": []}
    for number in range(predictions):
        moment = DAY + random_.uniform(-1, 25) * HOUR
        moment = moment.replace(microsecond=random_.choice([0, 500_000, moment.microsecond]))
        event = {
            "event_time": moment, "prediction_id": f"p{number}", "user_id": f"u{random_.randrange(30)}", "item": random_.randrange(5),
            "category": random_.choice(["boots", "höhe", None]), "price": random_.choice([None, 9.5, 20.0, random_.random()]),
        }  # fmt: skip
        copies = [event] * random_.choice([1, 1, 1, 1, 2, 3])
        if random_.random() < 0.05:
            copies.append({**event, "price": 77.0})
        if random_.random() < 0.05:
            copies.append({**event, "event_time": moment - datetime.timedelta(minutes=5), "user_id": "u1"})
        for copy in copies:
            logs.predictions.append(copy)
            lines["predictions"].append(_prediction_line(copy, random_))
        if random_.random() < 0.5:
            _write_clicks(event, number, random_, logs, lines["click"])
    for _ in range(predictions // 2):
        bought = {"at": DAY + random_.uniform(0, 66) * HOUR, "user_id": f"u{random_.randrange(33)}", "item": random_.randrange(5),
                  "amount": round(random_.uniform(1, 50), 2)}  # fmt: skip
        for _ in range(random_.choice([1, 1, 2])):
            logs.purchases.append(bought)
            record = {**bought, "at": bought["at"].timestamp() if random_.random() < 0.3 else bought["at"].isoformat()}
            if isinstance(record["at"], float):
                record["at"] = f"{bought['at'].timestamp():.6f}"
            lines["purchase"].append(json.dumps(record))
    garbage = ["{", "not json", '{"prediction_id": 7', '["list"]', '{"event_time": true}', '{"a":1}{"a":2}']
    for source, written in lines.items():
        for _ in range(5):
            written.insert(random_.randrange(len(written)), random_.choice(garbage))
            logs.rejected[source] += 1
            written.insert(random_.randrange(len(written)), random_.choice(["", "  ", "\r"]))
            logs.blank[source] += 1
    lines["click"].append(json.dumps({"@timestamp": DAY.isoformat(), "event_id": "bad", "tags": ["_grokparsefailure"]}))
    logs.rejected["click"] += 1
    _store(folder, lines, random_)
    return logs


def _prediction_line(event: dict, random_: random.Random) -> str:
    features = {"category": event["category"], "price": event["price"]}
    if event["price"] is None:
        features["price"] = random_.choice([None, "", "N/A", -1])
    elif random_.random() < 0.1:
        features["price"] = json.dumps(event["price"])
    record = {"ts": event["event_time"].isoformat(), "prediction_id": event["prediction_id"], "user_id": event["user_id"],
              "item": random_.choice([event["item"], float(event["item"]), str(event["item"])]), "features": features}  # fmt: skip
    return (
        f"{event['event_time'].isoformat(timespec='seconds')}\tml.prediction\t{json.dumps(record, ensure_ascii=False)}"
    )


def _write_clicks(event: dict, number: int, random_: random.Random, logs: Logs, lines: list[str]) -> None:
    for turn in range(random_.choice([1, 1, 2, 4])):
        delay = random_.choice(
            [datetime.timedelta(0), datetime.timedelta(seconds=1), random_.uniform(0, 30) * HOUR, 24 * HOUR, 6 * HOUR]
        )
        click = {
            "event_time": event["event_time"] + delay, "event_id": f"e{number}.{turn}",
            "prediction_id": event["prediction_id"] if random_.random() < 0.9 else f"unknown{number}",
            "kind": random_.choice(["click", "click", "click", "view"]), "value": random_.choice([None, 0.25, 1.5]),
            "rating": random_.choice([None, 1, 4, 5]),
        }  # fmt: skip
        copies = [click] * random_.choice([1, 1, 2])
        if random_.random() < 0.1:  # delivered again, with another content and even another key
            copies.append(
                {
                    **click,
                    "event_time": click["event_time"] + HOUR,
                    "prediction_id": f"p{(number + 1) % 50}",
                    "value": 9.0,
                }
            )
        for copy in copies:
            logs.clicks.append(copy)
            record = {"@timestamp": copy["event_time"].isoformat().replace("+00:00", "Z"), "@version": "1"}
            lines.append(
                json.dumps(
                    record | {key: value for key, value in copy.items() if key != "event_time" and value is not None}
                )
            )


def _store(folder: pathlib.Path, lines: dict[str, list[str]], random_: random.Random) -> None:
    for path in ("logs/serving", "logs/clicks", "logs/shop"):
        (folder / path).mkdir(parents=True)
    for name, fields in CONTRACTS.items():
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    (folder / "shoes.yaml").write_text(CONFIG)
    served = lines["predictions"]
    half = len(served) // 2
    (folder / "logs/serving/a.log").write_text("\ufeff" + "\n".join(served[:half]) + "\n")
    (folder / "logs/serving/b.log.gz").write_bytes(gzip.compress("\n".join(served[half:]).encode(), mtime=0))
    (folder / "logs/clicks/c.log").write_text("\r\n".join(lines["click"]), newline="")
    random_.shuffle(lines["purchase"])
    (folder / "logs/shop/shop.json").write_text("\n".join(lines["purchase"]) + "\n")


def expected_examples(logs: Logs) -> dict[str, dict]:
    """Every matured example by its key, worked out one event at a time."""
    predictions, clicks, purchases = _unique_predictions(logs), _unique_clicks(logs), _unique_purchases(logs)
    clicks.sort(key=lambda event: event["event_time"])
    ends = {
        "click": max(event["event_time"] for event in logs.clicks),
        "purchase": max(event["at"] for event in logs.purchases),
    }
    rivals = _unique_rivals(logs, {event["prediction_id"] for event in predictions})
    by_touch = {touch: _touched([*predictions, *rivals], purchases, touch) for touch in ("last", "first", "all")}
    examples = {}
    for event in predictions:
        start = event["event_time"]
        if start + 24 * HOUR > ends["click"] or start + 48 * HOUR > ends["purchase"]:
            continue
        mine = [click for click in clicks if click["prediction_id"] == event["prediction_id"]]
        day = [click for click in mine if start <= click["event_time"] < start + 24 * HOUR]
        short = [
            click for click in mine if start + datetime.timedelta(seconds=1) <= click["event_time"] < start + 6 * HOUR
        ]
        ratings = [click["rating"] for click in day if click["rating"] is not None]
        own = event["prediction_id"]
        examples[own] = {
            **event,
            "clicked": bool(day),
            "clicks": len(short),
            "delay": min(((click["event_time"] - start).total_seconds() for click in day), default=None),
            "value": sum(click["value"] or 0 for click in day),
            "liked": max(ratings) >= 4 if ratings else None,
            "last_rating": day[-1]["rating"] if day else None,
            "bought": own in by_touch["last"],
            "spent": sum(bought["amount"] for bought in by_touch["last"].get(own, [])),
            "first_bought": len(by_touch["first"].get(own, [])),
            "all_bought": len(by_touch["all"].get(own, [])),
        }
    return examples


def expected_accounting(logs: Logs) -> dict[str, dict[str, int]]:
    """What became of every event, counted one by one."""
    day = [event for event in logs.predictions if DAY <= event["event_time"] < DAY + 24 * HOUR]
    unique = _unique_predictions(logs)
    kept = {event["prediction_id"]: event for event in unique}
    examples = len(expected_examples(logs))
    wanted = [event for event in logs.clicks if event["kind"] == "click"]
    clicks = [event for event in wanted if DAY <= event["event_time"] < DAY + 48 * HOUR]
    purchases = [event for event in logs.purchases if DAY <= event["at"] < DAY + 72 * HOUR]
    first_clicks, first_purchases = _unique_clicks(logs), _unique_purchases(logs)
    of_click = {event["event_id"]: event for event in first_clicks}
    return {
        "predictions": {
            "parsed": len(logs.predictions), "filtered": 0, "out_of_range": len(logs.predictions) - len(day),
            "duplicate": len(day) - len(unique), "conflicting": sum(event != kept[event["prediction_id"]] for event in day),
            "unique": len(unique), "examples": examples, "immature": len(unique) - examples, "sampled_out": 0,
        },
        "click": {
            "parsed": len(logs.clicks), "filtered": len(logs.clicks) - len(wanted), "out_of_range": len(wanted) - len(clicks),
            "duplicate": len(clicks) - len(first_clicks), "conflicting": sum(event != of_click[event["event_id"]] for event in clicks),
            "unique": len(first_clicks),
            **_fates(first_clicks, "event_time", 24 * HOUR, [(event, event["prediction_id"]) for event in unique],
                     lambda event: event["prediction_id"]),
        },
        "purchase": {
            "parsed": len(logs.purchases), "filtered": 0, "out_of_range": len(logs.purchases) - len(purchases),
            "duplicate": len(purchases) - len(first_purchases), "conflicting": 0, "unique": len(first_purchases),
            **_fates(first_purchases, "at", 48 * HOUR, [(event, (event["user_id"], event["item"])) for event in unique],
                     lambda event: (event["user_id"], event["item"])),
        },
    }  # fmt: skip


def _fates(
    outcomes: list[dict], time: str, window: datetime.timedelta, predictions: list[tuple], key
) -> dict[str, int]:
    """How many outcomes fall into the window of a prediction of their key, into none of it, and have none."""
    fates = {"attributed": 0, "unattributed": 0, "orphan": 0}
    for outcome in outcomes:
        starts = [event["event_time"] for event, own in predictions if own == key(outcome)]
        inside = any(start <= outcome[time] < start + window for start in starts)
        fates["attributed" if inside else "unattributed" if starts else "orphan"] += 1
    return fates


def _unique_predictions(logs: Logs) -> list[dict]:
    return _first_predictions([event for event in logs.predictions if DAY <= event["event_time"] < DAY + 24 * HOUR])


def _unique_rivals(logs: Logs, own: set[str]) -> list[dict]:
    """Predictions of the days around, which purchases count for instead when they are the last or the first."""
    other = [event for event in logs.predictions if not DAY <= event["event_time"] < DAY + 24 * HOUR]
    return _first_predictions([event for event in other if event["prediction_id"] not in own])


def _first_predictions(events: list[dict]) -> list[dict]:
    return _first_of_each(
        events,
        key=lambda event: event["prediction_id"],
        order=lambda event: (event["event_time"], _sortable(event["item"]), _sortable(event["prediction_id"]), _sortable(event["user_id"]),
                             _sortable(event["category"]), _sortable(event["price"])),
    )  # fmt: skip


def _unique_clicks(logs: Logs) -> list[dict]:
    return _first_of_each(
        [event for event in logs.clicks if event["kind"] == "click" and DAY <= event["event_time"] < DAY + 48 * HOUR],
        key=lambda event: event["event_id"],
        order=lambda event: (event["event_time"], *map(_sortable, event.values())),
    )


def _unique_purchases(logs: Logs) -> list[dict]:
    return _first_of_each(
        [event for event in logs.purchases if DAY <= event["at"] < DAY + 72 * HOUR],
        key=lambda event: tuple(event.items()), order=lambda event: event["at"],
    )  # fmt: skip


def _touched(predictions: list[dict], purchases: list[dict], touch: str) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for bought in purchases:
        candidates = [
            event for event in predictions
            if (event["user_id"], event["item"]) == (bought["user_id"], bought["item"])
            and event["event_time"] <= bought["at"] < event["event_time"] + 48 * HOUR
        ]  # fmt: skip
        if touch == "last":
            candidates = sorted(
                candidates, key=lambda event: (-event["event_time"].timestamp(), event["prediction_id"])
            )[:1]
        if touch == "first":
            candidates = sorted(candidates, key=lambda event: (event["event_time"], event["prediction_id"]))[:1]
        for event in candidates:
            found.setdefault(event["prediction_id"], []).append(bought)
    return found


def _first_of_each(events: list[dict], key, order) -> list[dict]:
    first: dict[object, dict] = {}
    for event in sorted(events, key=order):
        first.setdefault(key(event), event)
    return list(first.values())


def _sortable(value: object) -> tuple[int, object]:
    return (0, 0) if value is None else (1, value)
