"""A join key that a large share of all events has: what it costs, beside the same day without it.

    python benchmarks/hot_key.py --rows 5000000 --shares 0 0.3

Predictions and purchases join by `user_id`. With a share of 0.3, one user made 30 % of both; the others are spread over a tenth as many users as
there are predictions. There is one purchase for eight predictions. Prints a Markdown table; seconds and memory as in benchmarks/linearity.py.
"""

import argparse
import json
import pathlib
import shutil
import sys
import sysconfig
import tempfile

import duckdb

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from compare import measure  # noqa: E402
from generate import DAY  # noqa: E402

CONFIG = """\
dataset: hot
predictions: {{format: json, path: predictions.json, schema: prediction.avsc, key: prediction_id, time: event_time}}
outcomes:
  purchase: {{format: json, path: purchases.json, schema: purchase.avsc, id: order_id, key: user_id, time: at, attribution: last}}
labels:
  bought: {{outcome: purchase, window: 24h, value: any}}
  spent: {{outcome: purchase, window: 24h, value: sum(amount)}}
output: {{path: "{output}"}}
"""

USER = "'user_' || lpad(CASE WHEN hash(i, 7) % 1000 < {hot} THEN 0 ELSE 1 + hash(i, {seed}) % {users} END::VARCHAR, 8, '0')"

PREDICTIONS = """
SELECT '{{"event_time":"' || strftime(TIMESTAMP '2026-11-20' + to_microseconds((i * 86400000000 // {rows})::BIGINT), '%Y-%m-%dT%H:%M:%S.%fZ')
    || '","prediction_id":"' || md5(i::VARCHAR) || '","user_id":"' || {user} || '","score":' || printf('%.6f', (hash(i, 2) % 1000000) / 1e6) || '}}'
FROM range({rows}) t(i)
"""

PURCHASES = """
SELECT '{{"at":"' || strftime(TIMESTAMP '2026-11-20' + to_microseconds((i * 172800000000 // {rows})::BIGINT), '%Y-%m-%dT%H:%M:%S.%fZ')
    || '","order_id":"o' || i || '","user_id":"' || {user} || '","amount":' || printf('%.2f', (hash(i, 4) % 9000) / 100.0) || '}}'
FROM range(0, {rows}, 8) t(i)
"""

SCHEMAS = {
    "prediction": {"event_time": {"type": "long", "logicalType": "timestamp-micros"}, "prediction_id": "string", "user_id": "string", "score": "double"},
    "purchase": {"at": {"type": "long", "logicalType": "timestamp-micros"}, "order_id": "string", "user_id": "string", "amount": "double"},
}  # fmt: skip


def generate(rows: int, share: float, folder: pathlib.Path) -> None:
    """Writes logs, contracts and a config."""
    engine = duckdb.connect()
    engine.execute("SET enable_progress_bar = false")
    for name, query, seed in (("predictions", PREDICTIONS, 5), ("purchases", PURCHASES, 6)):
        user = USER.format(hot=round(share * 1000), seed=seed, users=max(rows // 10, 1))
        engine.execute(f"COPY ({query.format(rows=rows, user=user)}) TO '{folder / name}.json' "
                       "(FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01')")  # fmt: skip
    for name, fields in SCHEMAS.items():
        schema = {
            "type": "record",
            "name": name,
            "fields": [{"name": field, "type": kind} for field, kind in fields.items()],
        }
        (folder / f"{name}.avsc").write_text(json.dumps(schema))
    (folder / "hot.yaml").write_text(CONFIG.format(output=folder.resolve() / "datasets"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.3])
    parser.add_argument("--scratch", type=pathlib.Path)
    arguments = parser.parse_args()
    print(
        "| share of one user | million predictions | processor s | wall s | peak GB | bought |\n|--:|--:|--:|--:|--:|--:|",
        flush=True,
    )
    for share in arguments.shares:
        scratch = pathlib.Path(tempfile.mkdtemp(dir=arguments.scratch, prefix="hot-key-"))
        try:
            generate(arguments.rows, share, scratch)
            figures, text = measure([str(pathlib.Path(sysconfig.get_path("scripts")) / "retrolabel"), "build", str(scratch / "hot.yaml"), "--date", str(DAY),
                                     "--json"])  # fmt: skip
            bought = sum(split["labels"]["bought"]["values"]["true"] for split in json.loads(text)["splits"].values())
        finally:
            shutil.rmtree(scratch)
        print(
            f"| {share:.0%} | {arguments.rows / 1e6:g} | {figures['cpu']:.1f} | {figures['wall']:.1f} | {figures['memory'] / 1e3:.2f} | {bought:,} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
