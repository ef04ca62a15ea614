"""Fetches the Open Bandit Dataset and writes it down as the logs that Fluentd and Logstash would have made of it.

    python examples/open_bandit/fetch.py

The data is real: impressions of a fashion shop, and whether each was clicked. What the data does not say, when the click came, is
taken to be the time of the impression. Where the download fails, honestly generated logs of the same shape take its place, and
`logs/ORIGIN.txt` says so.
"""

import csv
import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator

HERE = pathlib.Path(__file__).parent
PACKAGE = "obp==0.4.1"
WHEEL = "obp-0.4.1-py3-none-any.whl"
SHA256 = "87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208"
POLICIES, CAMPAIGNS = ("random", "bts"), ("all", "men", "women")
FIELDS = (
    "item_id",
    "position",
    "propensity_score",
    "user_feature_0",
    "user_feature_1",
    "user_feature_2",
    "user_feature_3",
)

Impression = dict[str, str]


def download() -> bytes | None:
    """The package that holds the data, checked; None where it cannot be had."""
    folder = HERE / "download"
    wheel = folder / WHEEL
    if not wheel.exists():
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as own:  # whoever fetches at the same time finds no half of a file
            command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps", "--dest", own,
                       PACKAGE]  # fmt: skip
            subprocess.run(command, check=False, capture_output=True)
            if not pathlib.Path(own, WHEEL).exists():
                return None
            os.replace(pathlib.Path(own, WHEEL), wheel)
    content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise SystemExit(f"{wheel} is not the file that this example was written for; remove it and try again")
    return content


def real_impressions(wheel: bytes) -> Iterator[Impression]:
    """Every impression, with an id made of policy, campaign and row."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for policy in POLICIES:
            for campaign in CAMPAIGNS:
                with archive.open(f"obp/dataset/obd/{policy}/{campaign}/{campaign}.csv") as file:
                    for number, row in enumerate(csv.DictReader(io.TextIOWrapper(file, "utf-8"))):
                        yield {
                            **row,
                            "policy": policy,
                            "campaign": campaign,
                            "request_id": f"{policy}-{campaign}-{number}",
                        }


def generated_impressions() -> Iterator[Impression]:
    """Impressions of the same shape: times, items and clicks are random, and mean nothing."""
    chance = random.Random(0)
    start = datetime.datetime(2019, 11, 24, tzinfo=datetime.UTC)
    for number in range(20_000):
        moment = start + datetime.timedelta(seconds=chance.uniform(0, 7 * 86_400))
        users = {f"user_feature_{n}": hashlib.md5(f"{n}.{chance.randrange(10)}".encode()).hexdigest() for n in range(4)}
        yield {
            "timestamp": moment.isoformat(" "), "item_id": str(chance.randrange(34)), "position": str(chance.randint(1, 3)),
            "propensity_score": str(1 / 34), "click": str(int(chance.random() < 0.005)), **users,
            "policy": "generated", "campaign": "men", "request_id": f"generated-men-{number}",
        }  # fmt: skip


def write_logs(impressions: Iterator[Impression], folder: pathlib.Path) -> tuple[int, int]:
    """Writes a Fluentd file and a Logstash file a day; says how many impressions and clicks there were."""
    served: dict[str, list[tuple[str, str]]] = defaultdict(list)
    clicked: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in impressions:
        moment = datetime.datetime.fromisoformat(row["timestamp"]).astimezone(datetime.UTC)
        record = {
            "request_id": row["request_id"], "ts": moment.isoformat(), "policy": row["policy"], "campaign": row["campaign"],
            "item_id": int(row["item_id"]), "position": int(row["position"]), "propensity": float(row["propensity_score"]),
            "user": {f"feature_{n}": row[f"user_feature_{n}"] for n in range(4)},
        }  # fmt: skip
        wrapped = f"{moment:%Y-%m-%dT%H:%M:%SZ}\tml.prediction\t{json.dumps(record, separators=(',', ':'))}\n"
        served[f"{moment:%Y%m%d}"].append((row["timestamp"], wrapped))
        if row["click"] == "1":
            event = {"@timestamp": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z", "@version": "1", "host": "web-1", "event": "click",
                     "request_id": row["request_id"]}  # fmt: skip
            clicked[f"{moment:%Y.%m.%d}"].append((row["timestamp"], json.dumps(event) + "\n"))
    (folder / "serving").mkdir(parents=True, exist_ok=True)
    (folder / "clicks").mkdir(parents=True, exist_ok=True)
    for day, lines in served.items():
        text = "".join(line for _, line in sorted(lines)).encode()
        if day == "20191128":  # Fluentd's `compress gzip`
            (folder / f"serving/prediction.{day}_0.log.gz").write_bytes(gzip.compress(text, mtime=0))
        else:
            (folder / f"serving/prediction.{day}_0.log").write_bytes(text)
    for day, lines in clicked.items():
        (folder / f"clicks/clicks-{day}.log").write_text("".join(line for _, line in sorted(lines)))
    return sum(map(len, served.values())), sum(map(len, clicked.values()))


def main() -> str:
    """Writes the logs if they are not there; says where they come from."""
    folder = HERE / "logs"
    origin = folder / "ORIGIN.txt"
    if not origin.exists():
        wheel = download()
        impressions = real_impressions(wheel) if wheel else generated_impressions()
        own = HERE / f"download/logs-{os.getpid()}"
        count, clicks = write_logs(impressions, own)
        told = f"Open Bandit Dataset (real, CC BY 4.0): {count:,} impressions, {clicks:,} clicks"
        if wheel is None:
            told = f"GENERATED, NOT REAL: {PACKAGE} could not be downloaded. {count:,} random impressions, {clicks:,} random clicks"
        (own / origin.name).write_text(told + "\n")
        if folder.exists() and not origin.exists():  # what an earlier release left when it was stopped
            shutil.rmtree(folder)
        try:
            own.rename(folder)  # whole: others may be reading
        except OSError:
            if not origin.exists():
                raise
            shutil.rmtree(own)  # another was quicker
    return origin.read_text().strip()


if __name__ == "__main__":
    print(main())
