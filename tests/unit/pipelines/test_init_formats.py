"""`retrolabel init` recognises each format by a sample, and what it writes is read."""

import datetime
import json

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.init_command import command
from retrolabel.pipelines.planning import list_inputs, reader_of
from retrolabel.transforms.read import blocks_of, stretches_of
from tests.support.writers import WRITERS

START = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)


def records(name, seed, count=60):
    """Events of one day; `seed` tells predictions from outcomes by what else they hold."""
    for n in range(count):
        record = {
            "time": (START + datetime.timedelta(minutes=n)).isoformat().replace("+00:00", "Z"),
            "request_id": f"req-{n:04d}",
            "score": n / 8,
            "item": n % 7,
        }
        record |= {"kind": "click"} if seed else {"user": f"u{n % 9}"}
        if name == "logstash":
            record["@timestamp"] = record.pop("time")
        yield record | ({"resourceId": "/S/1", "category": "C"} if name == "azure_monitor" else {})


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_init_recognises_a_format_and_what_it_writes_is_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for seed, folder in enumerate(("serving", "clicks")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.log").write_bytes(WRITERS[name](list(records(name, seed))))
    result = CliRunner().invoke(
        command, ["--predictions", "serving/*", "--outcomes", "click=clicks/*", "--json"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert {source["format"] for source in found["sources"].values()} == {name}
    assert found["sources"]["click"]["id"] != "request"
    project = check_project("retrolabel.yaml")
    for source in ("predictions", "click"):
        reader = reader_of(project, source)
        parsed = [
            reader.parse(block)
            for file in list_inputs(project, source, [START.date()])
            for stretch in stretches_of(file)
            for block in blocks_of(stretch, reader)
        ]
        assert sum(one.rejects.num_rows for one in parsed) == 0
        rows = [row for one in parsed for row in one.table.to_pylist()]
        assert [row["request_id"] for row in rows] == [f"req-{n:04d}" for n in range(60)]
        assert [row["score"] for row in rows] == [n / 8 for n in range(60)]
        assert [row["item"] for row in rows] == [n % 7 for n in range(60)]


def test_init_samples_the_files_that_a_build_finds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("serving", "clicks")):
        (tmp_path / "disk" / name).mkdir(parents=True)
        (tmp_path / "disk" / name / "a[1].log").write_bytes(WRITERS["json"](list(records("json", seed))))
        (tmp_path / "disk" / name / "empty.log").touch()
    (tmp_path / "logs").symlink_to("disk")
    for serving, clicks in (("logs/serving/**/*.log", "logs/clicks/**/*"), ("logs/serv*/a[1].log", "l*/clicks/*")):
        given = ["--predictions", serving, "--outcomes", f"click={clicks}", "--force"]
        result = CliRunner().invoke(command, given, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert "60 lines sampled of 1 file" in result.output
        project = check_project("retrolabel.yaml")
        assert all(len(list(list_inputs(project, source, [START.date()]))) for source in ("predictions", "click"))


@pytest.mark.parametrize("name", ["docker", "cri"])
def test_lines_all_of_which_a_container_runtime_cut_hold_json_too(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for seed, folder in enumerate(("serving", "clicks")):
        lines = []
        for record in records(name, seed):
            text, time = json.dumps({**record, "features": "x" * 40_000}), record["time"]
            pieces = [text[start : start + 16_384] for start in range(0, len(text), 16_384)]
            for piece in pieces:
                last = piece is pieces[-1]
                docker = {"log": piece + "\n" * last, "stream": "stdout", "time": time}
                cut = f"{time} stdout {'F' if last else 'P'} {piece}"
                lines.append(json.dumps(docker) if name == "docker" else cut)
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.log").write_text("\n".join(lines) + "\n")
    given = ["--predictions", "serving/*", "--outcomes", "click=clicks/*", "--json"]
    result = CliRunner().invoke(command, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["sources"]["click"]["key"] == ["request_id"]
