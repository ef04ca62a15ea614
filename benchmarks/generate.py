"""Logs of a chosen size, the same for every contender: a day of predictions and the clicks of two days.

    python benchmarks/generate.py --rows 1000000 --to benchmarks/data

Predictions are JSON lines as Fluentd writes them with `<inject>`, about 370 bytes each; clicks are Logstash json_lines. Deliveries are
at least once: 0.2 % of the predictions and 1 % of the clicks stand twice. 12.8 % of the predictions are clicked, after delays of
minutes to days; some clicks come after 24 hours.
"""

import argparse
import datetime
import json
import pathlib
import shutil

import duckdb

DAY = datetime.date(2026, 11, 20)
FILES = 8
_TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}
FEATURES = {"category": "string", "brand": "string", "price": "double", "discount": "double", "position": "int", "device": "string",
            "country": "string", "hour": "int", "history_len": "int", "affinity": "double"}  # fmt: skip

CONFIG = """\
dataset: bench
predictions: {{format: fluentd, path: predictions_*.json, schema: prediction.avsc, key: prediction_id, time: event_time}}
outcomes:
  click: {{format: logstash, path: clicks.json, schema: click.avsc, id: event_id, key: prediction_id, time: event_time}}
labels:
  clicked: {{outcome: click, window: 24h, value: any}}
split: {{by: user_id, parts: {{train: 0.8, eval: 0.1, test: 0.1}}}}
output: {{path: "{output}"}}
"""

PREDICTIONS = """
CREATE OR REPLACE TABLE prediction AS
SELECT i, (i * 86400000000 // {rows} + hash(i) % (86400000000 // {rows} + 1))::BIGINT AS us, md5(i::VARCHAR) AS id, hash(i, 1) AS a, hash(i, 2) AS b
FROM range({begin}, {end}) t(i);
"""

PREDICTION_LINE = """
SELECT '{{"time":"' || strftime(TIMESTAMP '2026-11-20' + to_microseconds(least(us, 86399999999)), '%Y-%m-%dT%H:%M:%S.%fZ')
    || '","tag":"ml.prediction","prediction_id":"' || substr(id, 1, 8) || '-' || substr(id, 9, 4) || '-' || substr(id, 13, 4) || '-'
    || substr(id, 17, 4) || '-' || substr(id, 21) || '","user_id":"user_' || lpad((a % {users})::VARCHAR, 7, '0')
    || '","score":' || printf('%.6f', (b % 1000000) / 1e6) || ',"model_version":"ctr-2026-11-' || lpad((a % 28 + 1)::VARCHAR, 2, '0')
    || '","features":{{"category":"' || ['boots', 'sneakers', 'sandals', 'heels', 'loafers'][1 + (b % 5)::INT]
    || '","brand":"brand_' || lpad((a % 300)::VARCHAR, 3, '0') || '","price":' || printf('%.2f', (b % 20000) / 100.0)
    || ',"discount":' || CASE WHEN a % 9 = 0 THEN 'null' ELSE printf('%.2f', (a % 100) / 100.0) END
    || ',"position":' || (b % 20) || ',"device":"' || CASE WHEN a % 3 = 0 THEN 'desktop' ELSE 'mobile' END
    || '","country":"' || ['de', 'fr', 'us', 'jp'][1 + (a % 4)::INT] || '","hour":' || (us // 3600000000)
    || ',"history_len":' || (b % 1000) || ',"affinity":' || printf('%.5f', (a % 100000) / 100.0) || '}}}}' AS line
FROM prediction, range(CASE WHEN i % 500 = 0 THEN 2 ELSE 1 END)
ORDER BY i
"""

CLICK_LINE = """
SELECT '{{"@timestamp":"' || strftime(TIMESTAMP '2026-11-20' + to_microseconds(least(us, 86399999999)
            + (exp(7 + 2 * ((a % 2000) / 1000.0 - 1 + (b % 2000) / 1000.0 - 1)) * 1000000)::BIGINT), '%Y-%m-%dT%H:%M:%S.%fZ')
    || '","@version":"1","host":"web-1","event_id":"e' || lpad(i::VARCHAR, 10, '0') || '","prediction_id":"' || substr(id, 1, 8) || '-'
    || substr(id, 9, 4) || '-' || substr(id, 13, 4) || '-' || substr(id, 17, 4) || '-' || substr(id, 21)
    || '","kind":"click","value":' || printf('%.2f', (b % 1000) / 100.0) || '}}' AS line
FROM prediction, range(CASE WHEN i % 100 = 0 THEN 2 ELSE 1 END)
WHERE hash(i, 3) % 1000 < 128 ORDER BY i
"""

LAST_CLICK = '{"@timestamp":"2026-11-22T00:00:01Z","@version":"1","host":"web-1","event_id":"last","prediction_id":"none","kind":"click","value":0.00}\n'


def generate(rows: int, folder: pathlib.Path) -> None:
    """Writes logs, contracts and a config for `rows` predictions, unless they are there already."""
    done = folder / "rows.txt"
    if done.exists() and done.read_text() == str(rows):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    engine = duckdb.connect()
    engine.execute("SET enable_progress_bar = false; SET preserve_insertion_order = true")
    with (folder / "clicks.json").open("wb") as clicks:
        for file in range(FILES):  # a file at a time: memory stays small however many rows
            begin, end = -(-file * rows // FILES), -(-(file + 1) * rows // FILES)
            engine.execute(PREDICTIONS.format(rows=rows, begin=begin, end=end))
            _write(engine, PREDICTION_LINE.format(users=max(rows // 10, 1)), folder / f"predictions_{file}.json")
            piece = folder / f"clicks_{file}.json"
            _write(engine, CLICK_LINE.format(), piece)
            with piece.open("rb") as lines:
                shutil.copyfileobj(lines, clicks)
            piece.unlink()
        clicks.write(LAST_CLICK.encode())
    prediction = [{"name": "event_time", "type": _TIMESTAMP, "path": "time"}]
    prediction += [{"name": name, "type": kind} for name, kind in
                   (("prediction_id", "string"), ("user_id", "string"), ("score", "double"), ("model_version", "string"))]  # fmt: skip
    prediction += [
        {"name": name, "type": ["null", kind], "path": f"features.{name}"} for name, kind in FEATURES.items()
    ]
    click = [{"name": "event_time", "type": _TIMESTAMP, "path": "@timestamp"}]
    click += [{"name": name, "type": "string"} for name in ("event_id", "prediction_id", "kind")] + [
        {"name": "value", "type": ["null", "double"]}
    ]
    for name, fields in (("prediction", prediction), ("click", click)):
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    done.write_text(str(rows))


def _write(engine: duckdb.DuckDBPyConnection, query: str, path: pathlib.Path) -> None:
    engine.execute(f"COPY ({query}) TO '{path}' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01')")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path("benchmarks/data"))
    arguments = parser.parse_args()
    generate(arguments.rows, arguments.to)
