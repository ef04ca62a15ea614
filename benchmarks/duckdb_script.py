"""The same work as one build, as a strong engineer writes it by hand for DuckDB.

    python benchmarks/duckdb_script.py DATA OUTPUT [full]

With `full` it computes statistics of the kind that a build stores: deciles, histograms, how many values differ and the most frequent texts,
if only of all examples, where a build has them of each split and of each value of a label too. Without, moments of each column.

Duplicates: a window over the repeated keys alone. Over all rows the same window takes longer than everything else.
"""

import json
import pathlib
import sys

import duckdb

data, output, full = sys.argv[1], pathlib.Path(sys.argv[2]), "full" in sys.argv[3:]
output.mkdir(parents=True)
con = duckdb.connect()
con.execute("SET enable_progress_bar = false")
con.execute(f"""
CREATE TABLE p AS SELECT time::TIMESTAMPTZ AS event_time, prediction_id, user_id, score, model_version, features.*
FROM read_json('{data}/predictions_*.json', format = 'newline_delimited', columns = {{
    time: 'VARCHAR', prediction_id: 'VARCHAR', user_id: 'VARCHAR', score: 'DOUBLE', model_version: 'VARCHAR',
    features: 'STRUCT(category VARCHAR, brand VARCHAR, price DOUBLE, discount DOUBLE, "position" INTEGER, device VARCHAR, country VARCHAR, "hour" INTEGER, history_len INTEGER, affinity DOUBLE)'}})""")
con.execute(f"""
CREATE TABLE c AS SELECT DISTINCT ON (event_id) event_id, prediction_id, "@timestamp"::TIMESTAMPTZ AS event_time
FROM read_json('{data}/clicks.json', format = 'newline_delimited', columns = {{
    '@timestamp': 'VARCHAR', event_id: 'VARCHAR', prediction_id: 'VARCHAR', kind: 'VARCHAR', value: 'DOUBLE'}})""")
con.execute("CREATE TABLE repeated AS SELECT prediction_id FROM p GROUP BY ALL HAVING count(*) > 1")
con.execute("""
CREATE TABLE u AS
SELECT * FROM p ANTI JOIN repeated USING (prediction_id)
UNION ALL
SELECT p.* FROM p SEMI JOIN repeated USING (prediction_id) QUALIFY row_number() OVER (PARTITION BY prediction_id ORDER BY event_time) = 1""")
con.execute("DROP TABLE p")
con.execute("""
CREATE TABLE e AS SELECT u.*, l.prediction_id IS NOT NULL AS clicked, hash(user_id) % 10 AS part FROM u LEFT JOIN (
    SELECT DISTINCT u.prediction_id FROM u JOIN c ON u.prediction_id = c.prediction_id
        AND c.event_time >= u.event_time AND c.event_time < u.event_time + INTERVAL 24 HOUR) l USING (prediction_id)
WHERE event_time >= TIMESTAMPTZ '2026-11-20 00:00:00+00' AND event_time < TIMESTAMPTZ '2026-11-21 00:00:00+00'""")
con.execute("DROP TABLE u")
columns = [(name, kind) for name, kind, *_ in con.execute("DESCRIBE e").fetchall() if name != "part"]
statistics = []
for name, kind in columns:
    value = (
        f'strlen("{name}")'
        if kind == "VARCHAR"
        else f'epoch_us("{name}")'
        if kind.startswith("TIMESTAMP")
        else f'"{name}"::DOUBLE'
    )
    statistics += [
        f'count("{name}")',
        f"avg({value})",
        f"stddev_pop({value})",
        f"min({value})",
        f"max({value})",
        f"count(*) FILTER ({value} = 0)",
    ]
found = con.execute(f"SELECT {', '.join(statistics)} FROM e").fetchall()[0]
(output / "statistics.json").write_text(json.dumps(found, default=str))
if full:
    shapes = []
    for name, kind in columns:
        value = f'epoch_us("{name}")' if kind.startswith("TIMESTAMP") else f'"{name}"::DOUBLE'
        if kind == "VARCHAR":
            shapes += [f'approx_count_distinct("{name}")', f'approx_top_k("{name}", 1000)']
        else:
            least, greatest = con.execute(f"SELECT min({value}), max({value}) FROM e").fetchall()[0]
            shapes += [
                f"approx_quantile({value}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])",
                f"histogram({value}, equi_width_bins({least}, {greatest}, 10, false))",
            ]
    found = con.execute(f"SELECT {', '.join(shapes)} FROM e").fetchall()[0]
    (output / "shapes.json").write_text(json.dumps(found, default=str))
for split, condition in (("train", "part < 8"), ("eval", "part = 8"), ("test", "part = 9")):
    con.execute(
        f"COPY (SELECT * EXCLUDE (part) FROM e WHERE {condition}) TO '{output}/{split}.parquet' (FORMAT parquet, COMPRESSION zstd)"
    )
print(json.dumps(con.execute("SELECT count(*), count(*) FILTER (clicked) FROM e").fetchall()[0]))
