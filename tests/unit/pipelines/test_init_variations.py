"""`retrolabel init` on logs as people have them: its guesses, what it says of them, and that the config builds at once."""

import datetime
import functools
import gzip
import json
from collections.abc import Iterator

import pytest
import zstandard
from click.testing import CliRunner

from retrolabel.pipelines.build_command import build_day
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.init_command import command
from retrolabel.pipelines.runner import choose_runner

START = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)
ROWS = 40


def moments(clicks: int) -> list[datetime.datetime]:
    return [START + datetime.timedelta(minutes=n, seconds=30 * clicks) for n in range(ROWS)]


def events(clicks: int) -> Iterator[dict[str, object]]:
    for n in range(ROWS):
        yield {"request_id": f"req-{n:04d}", "item": n % 7} | ({"kind": "click"} if clicks else {"score": n / 8})


def iso(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def joined(clicks: int, key: str, show) -> list[dict[str, object]]:
    return [{key: show(moment), **event} for moment, event in zip(moments(clicks), events(clicks), strict=True)]


def lines(records) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def around(clicks: int, wrap) -> bytes:
    return lines(wrap(n, iso(moment), event) for n, (moment, event) in enumerate(zip(moments(clicks), events(clicks), strict=True)))  # fmt: skip


def text(clicks: int, line) -> bytes:
    return "".join(f"{line(moment, event)}\n" for moment, event in zip(moments(clicks), events(clicks), strict=True)).encode()  # fmt: skip


def gcp_text(n, time, event):
    return {"insertId": f"{n:x}", "logName": "projects/p/logs/app", "textPayload": json.dumps(event), "timestamp": time,
            "receiveTimestamp": time, "resource": {"type": "k8s_container", "labels": {"pod_name": "ml-1"}}}  # fmt: skip


def azure(n, time, event):
    return {"time": time, "resourceId": "/SUBSCRIPTIONS/1", "category": "AppServiceConsoleLogs", "operationName": "x",
            "properties": json.dumps(event)}  # fmt: skip


def portal(show, clicks: int) -> bytes:
    rows = zip(moments(clicks), events(clicks), strict=True)
    return b"\xef\xbb\xbf" + "".join(
        ['"TimeGenerated [UTC]","request_id",item,value\r\n', *(f'"{show(t)}","{e["request_id"]}",{e["item"]},x\r\n' for t, e in rows)]
    ).encode()  # fmt: skip


def american(moment: datetime.datetime) -> str:
    return f"{moment:%-m/%-d/%Y, %-I:%M:%S}.123 {moment:%p}"


def nginx(show, clicks: int) -> bytes:
    def line(moment, event):
        return f'10.0.0.1 - - [{show(moment)}] "GET /c?pid={event["request_id"]}&item={event["item"]} HTTP/1.1" 200 17 "-" "Mozilla/5.0 (X11)"'

    return text(clicks, line)


def nginx_json(n, time, event):
    moment = datetime.datetime.fromisoformat(time)
    return {"time_iso8601": f"{time[:-1]}+00:00", "msec": f"{moment.timestamp() + n / 1000:.3f}", "status": 200, "arg_pid": event["request_id"]}  # fmt: skip


def azure_records(clicks: int) -> bytes:
    return b'{"records":[' + b",".join(around(clicks, azure).splitlines()) + b"]}"


def ecs(n, time, event):
    return {
        "@timestamp": time,
        "@version": "1",
        "host": {"name": "a"},
        "event": {"original": json.dumps(event)},
        "ml": event,
    }


def subscribed(message, clicks: int) -> bytes:
    """What a CloudWatch subscription delivers through Firehose, an event in each object."""
    return b"".join(
        json.dumps({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s", "logEvents": [
            {"id": f"{clicks}{n:03}", "timestamp": int(moment.timestamp() * 1000), "message": said if isinstance(said := message(iso(moment), event), str) else json.dumps(said)}]}).encode()
        for n, (moment, event) in enumerate(zip(moments(clicks), events(clicks), strict=True))
    )  # fmt: skip


BUILT = {
    "Apache's times": (lambda c: lines(joined(c, "time_local", lambda t: f"{t:[%d/%b/%Y:%H:%M:%S +0000]}")), "json", "time_local"),
    "HTTP's times": (lambda c: lines(joined(c, "time", lambda t: f"{t:%a, %d %b %Y %H:%M:%S GMT}")), "json", "time"),
    "BigQuery's times": (lambda c: lines(joined(c, "time", lambda t: f"{t:%Y-%m-%d %H:%M:%S.250 UTC}")), "json", "time"),
    "traditional syslog": (lambda c: text(c, lambda t, e: f"{t:%b %d %H:%M:%S} web-1 ml[42]: @cee: {json.dumps(e)}"), "syslog", "time"),
    "log entries with text": (lambda c: gzip.compress(around(c, gcp_text)), "gcp_logging", "timestamp"),
    "records of Azure": (azure_records, "azure_monitor", "time"),
    "an export of CloudWatch": (
        lambda c: gzip.compress(text(c, lambda t, e: f"{t:%Y-%m-%dT%H:%M:%S}.000Z {json.dumps(e)}")), "cloudwatch", "timestamp"),
    "the Azure portal's CSV": (functools.partial(portal, american), "csv", "time_generated_utc"),
    "the Azure portal's CSV in British English": (functools.partial(portal, lambda t: f"{t:%d/%m/%Y, %H:%M:%S}.123"), "csv", "time_generated_utc"),
    "the Azure portal's CSV in German": (functools.partial(portal, lambda t: f"{t:%-d.%-m.%Y, %H:%M:%S}.123"), "csv", "time_generated_utc"),
    "Nginx with $time_iso8601": (functools.partial(nginx, lambda t: f"{iso(t)[:-1]}+00:00"), "access_log", "time"),
    "Nginx with $msec": (functools.partial(nginx, lambda t: f"{t.timestamp():.3f}"), "access_log", "time"),
    "Nginx's JSON": (lambda c: around(c, nginx_json), "json", "time_iso8601"),
    "a line of a container in a message": (
        functools.partial(subscribed, lambda time, event: {"at": time, "stream": "stdout", "log": json.dumps(event)}), "cloudwatch", "timestamp"),
    "an object called message in a message": (
        functools.partial(subscribed, lambda time, event: {"time": time, "level": "INFO", "requestId": time, "message": event}), "cloudwatch", "time"),
    "csv without a header": (
        lambda c: text(c, lambda t, e: ",".join([iso(t), *map(str, e.values())])), "csv", "column_1"),
    "nanoseconds in strings": (
        lambda c: zstandard.compress(lines(joined(c, "logged", lambda t: f"{int(t.timestamp())}000000005"))), "json", "logged"),
}  # fmt: skip

GUESSED = {
    "seconds": (lambda c: lines(joined(c, "t", lambda t: int(t.timestamp()))), "json", "t"),
    "milliseconds under a strange name": (lambda c: lines(joined(c, "x", lambda t: int(t.timestamp()) * 1000)), "json", "x"),
    "microseconds": (lambda c: lines(joined(c, "server_ts", lambda t: int(t.timestamp()) * 10**6)), "json", "server_ts"),
    "seconds with decimals in strings": (lambda c: lines(joined(c, "created", lambda t: f"{t.timestamp():.3f}")), "json", "created"),
    "Python's logging": (lambda c: lines(joined(c, "asctime", lambda t: f"{t:%Y-%m-%d %H:%M:%S},250")), "json", "asctime"),
    "days": (lambda c: lines(joined(c, "day", lambda t: "2026-11-20")), "json", "day"),
    "labels": (
        lambda c: text(c, lambda t, e: "\t".join(f"{k}:{v}" for k, v in {"reqtime": iso(t), **e}.items())), "ltsv", "reqtime"),
    "ECS": (lambda c: around(c, ecs), "logstash", "timestamp"),
    "syslog with a priority and a mark": (
        lambda c: text(c, lambda t, e: f"<14>1 {iso(t)} web-1 ml 42 - - \ufeff{json.dumps(e)}"), "syslog", "time"),
    "traditional syslog with a priority": (lambda c: text(c, lambda t, e: f"<14>{t:%b %d %H:%M:%S} web-1 ml: {json.dumps(e)}"), "syslog", "time"),
    "some lines that are broken": (
        lambda c: lines(joined(c, "time", iso)) + b'oops\n{"time":1,"request_id":"x"}\n', "json", "time"),
    "one line": (lambda c: lines(joined(c, "time", iso)[:1]), "json", "time"),
}  # fmt: skip


def guess(folder, monkeypatch, make, *options):
    monkeypatch.chdir(folder)
    for clicks, name in enumerate(("serving", "clicks")):
        (folder / name).mkdir()
        (folder / name / "app-20261120").write_bytes(make(clicks))
    return CliRunner().invoke(command, ["--predictions", "serving/*", "--outcomes", "click=clicks/*", *options])


@pytest.mark.parametrize("name", BUILT)
def test_what_init_writes_builds_at_once(tmp_path, monkeypatch, name):
    make, layout, time = BUILT[name]
    result = guess(tmp_path, monkeypatch, make, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {(source["format"], source["time"]) for source in found["sources"].values()} == {(layout, time)}
    complete = {"click": START + datetime.timedelta(days=1)}
    built = build_day(check_project("retrolabel.yaml"), START.date(), complete, choose_runner([])).manifest
    counts = built.accounting["predictions"]
    assert (counts.lines, counts.rejected, counts.unique) == (ROWS, 0, ROWS)
    labels = [split["labels"]["click"]["values"] for split in built.splits.values()]
    assert sum(values.get("true", 0) for values in labels) == ROWS


@pytest.mark.parametrize("name", GUESSED)
def test_what_init_guesses(tmp_path, monkeypatch, name):
    make, layout, time = GUESSED[name]
    result = guess(tmp_path, monkeypatch, make, "--json")
    assert result.exit_code == 0, result.output
    sources = json.loads(result.stdout)["sources"].values()
    assert {(source["format"], source["time"]) for source in sources} == {(layout, time)}
    assert {tuple(source["key"]) for source in sources} == {("request_id",)}
    check_project("retrolabel.yaml")


EARLY = datetime.timedelta(days=-15)
ORDERS = {
    "proven by the day": (american, "mdy", ""),
    "proven by the day, in British English": (lambda t: f"{t:%d/%m/%Y, %H:%M:%S}", "dmy", ""),
    "not proven, but American": (lambda t: american(t + EARLY), "mdy", "taken for month first, as AM and PM in capitals are written in American English"),
    "not proven, but with dots": (lambda t: f"{t + EARLY:%d.%m.%Y %H:%M}", "dmy", "taken for day first, as dates with dots are written"),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_of_a_date_in_numbers_is_told(tmp_path, monkeypatch, name):
    show, order, told = ORDERS[name]
    result = guess(tmp_path, monkeypatch, lambda c: lines(joined(c, "time", show)))
    assert result.exit_code == 0, result.output
    assert f"timestamp ({order})" in result.output
    assert ("? date_order" in result.output) == bool(told)
    assert told in result.output
    contract = check_project("retrolabel.yaml").contracts["predictions"]
    assert contract.field("time").date_order == order


def test_a_line_in_the_other_order_is_rejected_with_the_reason(tmp_path, monkeypatch):
    odd = b'{"time": "20/11/2026, 10:00:00 AM", "request_id": "x", "item": 1}\n'
    result = guess(tmp_path, monkeypatch, lambda c: lines(joined(c, "time", american)) + odd)
    assert result.exit_code == 0, result.output
    assert (
        "1 sampled lines will be rejected: field 'time' is not a date and time that exists, if its order is mdy"
        in result.output
    )


def test_init_says_what_else_it_might_have_taken(tmp_path, monkeypatch):
    def many(clicks):
        return lines(
            {"ingested_at": iso(START + datetime.timedelta(hours=5, minutes=n)), "event_time": iso(moment), **event,
             "trace_id": f"t-{clicks}-{n}", "event_id": f"e-{clicks}-{n}", "session_id": f"s-{n}"}
            for n, (moment, event) in enumerate(zip(moments(clicks), events(clicks), strict=True))
        )  # fmt: skip

    (tmp_path / "clicks").mkdir()
    (tmp_path / "clicks/old").write_text("a,b,c\n" * 30)
    (tmp_path / "serving").mkdir()
    monkeypatch.chdir(tmp_path)
    for clicks, name in enumerate(("serving", "clicks")):
        records = many(clicks).splitlines(keepends=True)
        for part in range(3):
            (tmp_path / name / f"app{part}").write_bytes(b"".join(records[part::3]))
    result = CliRunner().invoke(command, ["--predictions", "serving/*", "--outcomes", "click=clicks/*"])
    assert result.exit_code == 0, result.output
    assert "time: event_time (rather than ingested_at)    key: request_id    id: event_id" in result.output
    assert "by session_id = session_id it would be 100.0%, 100% of predictions having one of their own" in result.output
    assert "clicks/old does not look like json: files of another format are a source of their own" in result.output


URLS = {
    "a request line": lambda n, e: {"request": f"GET /click?x={n}&pid={e['request_id']} HTTP/1.1"},
    "a URL in an object": lambda n, e: {"httpRequest": {"requestUrl": f"https://shop.example/click?pid={e['request_id']}&x={n}", "status": 200}},
    "a query string alone": lambda n, e: {"uri": "/click", "args": f"pid={e['request_id']}&x={n}"},
    "twice": lambda n, e: {"requestUri": "/click", "requestQuery": f"pid={e['request_id']}&x={n}", "a": f"/click?pid={e['request_id']}&x={n}"},
    "among other requests": lambda n, e: {"request": f"/click?pid={e['request_id']}&x={n}" if n % 2 else f"/static/{n}.css"},
}  # fmt: skip


@pytest.mark.parametrize("name", URLS)
def test_a_key_that_stands_in_a_query_string_alone_is_found(tmp_path, monkeypatch, name):
    def make(clicks):
        if not clicks:
            return lines(joined(clicks, "time", iso))
        return around(clicks, lambda n, time, event: {"time": time, "referer": f"https://a.example/?utm={n}", **URLS[name](n, event)})  # fmt: skip

    result = guess(tmp_path, monkeypatch, make, "--json")
    assert result.exit_code == 0, result.output
    click = json.loads(result.stdout)["sources"]["click"]
    assert (click["key"], click["id"]) == (["pid"], None)
    named = [field["name"] for field in click["fields"]]
    assert {"pid", "x"} <= set(named)
    assert "utm" not in named
    contract = check_project("retrolabel.yaml").contracts["click"]
    assert (contract.field("pid").query, contract.field("x").kind) == ("pid", "long")
    complete = {"click": START + datetime.timedelta(days=1)}
    built = build_day(check_project("retrolabel.yaml"), START.date(), complete, choose_runner([])).manifest
    found = ROWS // 2 if "other" in name else ROWS
    assert built.accounting["click"].attributed == found


@pytest.mark.parametrize("layout", ["access_log", "json"])
def test_parameters_that_stand_twice_or_hold_nothing_cost_no_lines(tmp_path, monkeypatch, layout):
    def make(clicks):
        def line(n, event):
            return f"/c?pid={event['request_id']}&tag=a{'&tag=b' * (n % 5 == 0)}&visitor-{n}@example.com"

        if layout == "json":
            return around(clicks, lambda n, time, event: {"time": time, "url": line(n, event)} if clicks else {"time": time, **event})  # fmt: skip
        rows = enumerate(zip(moments(clicks), events(clicks), strict=True))
        return "".join(f'10.0.0.1 - - [{t:%d/%b/%Y:%H:%M:%S +0000}] "GET {line(n, e)} HTTP/1.1" 200 17\n' for n, (t, e) in rows).encode()  # fmt: skip

    result = guess(tmp_path, monkeypatch, make)
    assert result.exit_code == 0, result.output
    assert ("query.tag (stands twice in 8 lines)" in result.output) == (layout == "access_log")
    assert "will be rejected" not in result.output
    assert "visitor" not in (tmp_path / "click.avsc").read_text() or layout == "access_log"
    complete = {"click": START + datetime.timedelta(days=1)}
    built = build_day(check_project("retrolabel.yaml"), START.date(), complete, choose_runner([])).manifest
    assert (built.accounting["click"].rejected, built.accounting["click"].attributed) == (0, ROWS)


def test_keys_in_query_strings_of_several_outcomes_and_of_predictions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("ads", "clicks", "buys")):
        texts = around(seed, lambda n, time, event: {"time": time, "url": f"/{name}?imp=imp-{n:04d}&item={n % 7}"})  # noqa: B023 - used at once
        (tmp_path / f"{name}.json").write_bytes(texts)
    given = ["--predictions", "ads.json", "--outcomes", "click=clicks.json", "--outcomes", "buy=buys.json", "--json"]
    result = CliRunner().invoke(command, given, catch_exceptions=False)
    sources = json.loads(result.stdout)["sources"]
    assert {tuple(source["key"]) for source in sources.values()} == {("imp",)}
    assert [field["name"] for field in sources["predictions"]["fields"]] == ["time", "url", "imp", "item"]
    check_project("retrolabel.yaml")


def test_a_key_of_its_own_is_preferred_to_one_in_a_query_string(tmp_path, monkeypatch):
    def make(clicks):
        return around(clicks, lambda n, time, event: {"time": time, "url": f"/c?pid={event['request_id']}", **event})

    result = guess(tmp_path, monkeypatch, make, "--json")
    sources = json.loads(result.stdout)["sources"].values()
    assert {tuple(source["key"]) for source in sources} == {("request_id",)}
    assert not any(field["name"] == "pid" for source in sources for field in source["fields"])


def test_what_others_may_have_too_tells_no_events_apart(tmp_path, monkeypatch):
    """An id drops events: fields of people, of traces, and counters that begin anew with each process are none."""

    def make(clicks):
        more = [
            ("user_id", "u-{}"),
            ("session", "s-{}"),
            ("trace_id", "t-{}"),
            ("operationId", "o-{}"),
            ("item_id", "i-{}"),
        ]
        return around(clicks, lambda n, time, event: {"time": time, "request_id": event["request_id"], **{name: show.format(n + 1000 * clicks) for name, show in more},
                                                      "request_count": n, "req": {"id": n}})  # fmt: skip

    result = guess(tmp_path, monkeypatch, make, "--json")
    click = json.loads(result.stdout)["sources"]["click"]
    assert (click["key"], click["id"]) == (["request_id"], None)


def test_init_tells_of_a_log_of_several_kinds_and_names_fields_by_what_they_are_of(tmp_path, monkeypatch):
    def nested(clicks):
        records = joined(clicks, "time", iso)
        for n, record in enumerate(records):
            record["user"] = {"id": f"u{n % 9}", "country": "DE"}
            if clicks:
                record["kind"] = ("click", "buy")[n % 2]
        return lines(records)

    result = guess(tmp_path, monkeypatch, nested)
    assert result.exit_code == 0, result.output
    assert (
        "  kind has 2 values in the sample: as it is, each counts. Choose with `where`, or make a label"
        in result.output
    )
    config = (tmp_path / "retrolabel.yaml").read_text()
    assert "split: {by: user_id," in config
    (tmp_path / "retrolabel.yaml").write_text(config.replace("value: any", "value: count(*) FILTER (kind = 'buy') > 0"))
    complete = {"click": START + datetime.timedelta(days=1)}
    built = build_day(check_project("retrolabel.yaml"), START.date(), complete, choose_runner([])).manifest
    labels = [split["labels"]["click"]["values"] for split in built.splits.values()]
    assert (
        sum(values.get("true", 0) for values in labels) == sum(values.get("false", 0) for values in labels) == ROWS / 2
    )


def varied(clicks, **more):
    return lines(
        record | {key: show(n) for key, show in more.items()} for n, record in enumerate(joined(clicks, "time", iso))
    )


ODD = {
    "arrays of objects": (lambda c: varied(c, top=lambda n: [{"item": n}]), "left out: top (holds arrays of objects)"),
    "values of all kinds": (
        lambda c: varied(c, v=lambda n: [1, "a", None, True, {"x": 1}, [1]][n % 6]), "v (holds arrays of numbers and booleans and numbers and texts)"),
    "keys that are null": (
        lambda c: varied(c, request_id=lambda n: f"req-{n:04d}" if n % 10 else None),
        "4 sampled lines will be rejected: required field 'request_id' is absent, null or a missing value"),
    "keys that are dashes": (
        lambda c: varied(c, request_id=lambda n: 10**7 + 31 * n if n % 10 else "-"), "4 sampled lines will be rejected: field 'request_id': expected long, got string"),
    "numbers beyond 64 bits": (lambda c: varied(c, big=lambda n: 2**64 + n), "its whole numbers do not fit 64 bits: taken for a string"),
    "not-a-number": (lambda c: varied(c, score=lambda n: float("nan") if n == 3 else n / 8), "1 sampled lines will be rejected: field 'score' is not a finite double"),
    "words of SQL and of the config": (
        lambda c: varied(c, split=str, weight=float, click=lambda n: n % 2 == 0, select=int, group=str, Click=int, **{"a.b": int, "a b": int, "": int, "Größe": int, "1st": int, "true": int}),
        "split2"),
    "a header in odd case": (
        lambda c: text(c, lambda t, e: ",".join([iso(t), *map(str, e.values())])).replace(b"2026", b"Time Stamp,Request ID,Item (#),Last %\n2026", 1), "request_id"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_fits_no_contract_is_left_out_or_allowed_for(tmp_path, monkeypatch, name):
    make, told = ODD[name]
    result = guess(tmp_path, monkeypatch, make)
    assert result.exit_code == 0, (result.output, result.exception)
    assert told in result.output
    complete = {"click": START + datetime.timedelta(days=2)}
    built = build_day(check_project("retrolabel.yaml"), START.date(), complete, choose_runner([])).manifest
    counts = built.accounting["predictions"]
    assert counts.unique + counts.rejected == ROWS
    assert counts.rejected == {"keys that are null": 4, "keys that are dashes": 4, "not-a-number": 1}.get(name, 0)


def test_pairs_of_small_numbers_are_a_key_if_they_are_called_alike(tmp_path, monkeypatch):
    def rated(clicks):
        names = ("user_id", "itemId") if clicks else ("user", "item")
        return lines(
            {"time": iso(moment), names[0]: n % 8, names[1]: n // 8} for n, moment in enumerate(moments(clicks))
        )

    assert guess(tmp_path, monkeypatch, rated).exit_code == 0
    config = (tmp_path / "retrolabel.yaml").read_text()
    assert "    key: [user_id, item_id]\n" in config
    assert "    prediction_key: [user, item]\n" in config
    check_project("retrolabel.yaml")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda c: lines(events(c)), "no field of json is a time in nearly every record of the sample. Fields are: request_id, item, "),
        (lambda c: lines(joined(c, "time", lambda t: f"{t:%H:%M:%S}")), "'time' may be meant as one, but cannot be read"),
        (lambda c: lines(joined(c, "logged", lambda t: f"{t + EARLY:%m/%d/%Y %H:%M:%S}")),
         "'logged' is a date in numbers, and no sampled day is beyond the 12th: nothing tells the month from the day"),
        (lambda c: varied(c).decode().encode("utf-16"), "app-20261120 is UTF-16; logs are read as UTF-8"),
        (lambda c: text(c, lambda t, e: f"{t:%Y-%m-%d %H:%M:%S},250 INFO {json.dumps(e)}"), "no format fits"),
        (lambda c: subscribed(lambda time, event: f"{time}\t00000000-1111\tINFO\t{json.dumps(event)}", c),
         "click: no field of its sample shares enough values with the predictions' to be a key; 'message' holds JSON behind other text, which is not read: let the application log the JSON alone"),
        (lambda c: gzip.compress(b""), "no format fits"),
        (lambda c: b"", "no file matches serving/*, or all are empty"),
        (lambda c: b"time,request_id,score\n", "serving/app-20261120 and what else was sampled holds no record that csv can read"),
    ],
)  # fmt: skip
def test_what_init_cannot_guess_is_told_with_what_it_saw(tmp_path, monkeypatch, make, told):
    result = guess(tmp_path, monkeypatch, make)
    assert told in str(result.exception)


def test_a_link_to_nowhere_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.log").symlink_to(tmp_path / "gone.log")
    result = CliRunner().invoke(command, ["--predictions", "*.log", "--outcomes", "click=*.log"])
    assert str(result.exception) == "predictions: cannot list a.log: No such file or directory"


def test_numbers_that_are_sometimes_texts_are_numbers(tmp_path):
    served = [{"ts": iso(START + datetime.timedelta(minutes=n)), "request_id": f"r{n}", "price": price, "count": count}
              for n, (price, count) in enumerate([(9.5, 1), ("20.25", "2"), ("N/A", 3), (None, 4), (7, "")] * 10)]  # fmt: skip
    clicks = [{"ts": record["ts"], "request_id": record["request_id"]} for record in served[::3]]
    for name, records in (("served", served), ("clicks", clicks)):
        (tmp_path / f"{name}.json").write_bytes(lines(records))
    done = CliRunner().invoke(command, ["--predictions", f"{tmp_path}/served.json", "--outcomes", f"{tmp_path}/clicks.json",
                                        "--directory", str(tmp_path)])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "some of its numbers are texts" in done.output
    contract = check_project(str(tmp_path / "retrolabel.yaml")).contracts["predictions"]
    assert {name: (contract.field(name).kind, contract.field(name).missing) for name in ("price", "count")} == {
        "price": ("double", ("N/A",)), "count": ("long", ("",))}  # fmt: skip
