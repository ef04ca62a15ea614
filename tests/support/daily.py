"""A small shop whose logs come a file a day, as a scheduler meets them."""

import datetime
import json
import pathlib

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)

CONFIG = """\
dataset: shop
predictions:
  format: json
  path: "logs/{date:%Y/%m/%d}/served-*.json"
  schema: served.avsc
  key: id
  time: at
outcomes:
  click:
    format: json
    path: "logs/{date:%Y/%m/%d}/click.json"
    schema: click.avsc
    key: id
    time: at
labels:
  clicked: {outcome: click, window: 24h, value: any}
"""

_TIME = {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}
_ID = {"name": "id", "type": "string"}


def midnight(date: str) -> datetime.datetime:
    """The first moment of a day in UTC."""
    return datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.UTC)


def make_shop(folder: pathlib.Path, sections: str = "") -> str:
    """Writes a config, with more sections if need be, and its contracts; the config's path."""
    folder.mkdir(parents=True)
    for name in ("served", "click"):
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": [_TIME, _ID]}))
    (folder / "shop.yaml").write_text(CONFIG + sections)
    return str(folder / "shop.yaml")


def serve(folder: pathlib.Path, date: str, hours: range = range(24), name: str = "served-a") -> pathlib.Path:
    """Logs a prediction an hour of a day, called `date/hour`."""
    return _write(folder, date, name, [(midnight(date) + hour * HOUR, f"{date}/{hour:02}") for hour in hours])


def click(
    folder: pathlib.Path, date: str, hours: range = range(24), delay: datetime.timedelta = HOUR / 2
) -> pathlib.Path:
    """Logs, in the file of a day, clicks on what that day's hours served, and one at the day's very end that belongs to nothing."""
    events = [(midnight(date) + hour * HOUR + delay, f"{date}/{hour:02}") for hour in hours]
    return _write(folder, date, "click", [*events, (midnight(date) + DAY - HOUR / 3600, "nothing")])


def _write(folder: pathlib.Path, date: str, name: str, events: list[tuple[datetime.datetime, str]]) -> pathlib.Path:
    path = folder / "logs" / date.replace("-", "/") / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"at": moment.isoformat(), "id": key}) + "\n" for moment, key in events))
    return path
