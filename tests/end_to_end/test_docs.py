"""What the docs show works: the Beam pipeline of the how-to, on the example that ships."""

import importlib.util
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fetch():
    """The program that brings the example's logs."""
    location = ROOT / "examples/open_bandit/fetch.py"
    spec = importlib.util.spec_from_file_location("fetch", location)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example_logs(fetch):
    """The example's logs: fetched, or generated where that fails; the example itself says which."""
    return fetch.main()


@pytest.mark.parametrize("left", [[], ["serving"]], ids=["new", "after one that was stopped"])
def test_of_two_who_fetch_the_logs_at_once_neither_finds_half_of_them(fetch, tmp_path, monkeypatch, left):
    write = fetch.write_logs
    for folder in left:
        (tmp_path / "logs" / folder).mkdir(parents=True)

    def write_and_let_another_be_quicker(impressions, folder):
        written = write(itertools.islice(impressions, 50), folder)
        assert list(tmp_path.glob("logs/*/*")) == []
        monkeypatch.setattr(fetch, "write_logs", write)
        monkeypatch.setattr(os, "getpid", lambda: 0)
        fetch.main()
        return written

    monkeypatch.setattr(fetch, "HERE", tmp_path)
    monkeypatch.setattr(fetch, "download", lambda: None)
    monkeypatch.setattr(fetch, "write_logs", write_and_let_another_be_quicker)
    assert "20,000 random impressions" in fetch.main(), "the other's, which stay"
    assert len(list(tmp_path.glob("logs/serving/*"))) == 7
    assert list((tmp_path / "download").iterdir()) == []


def test_the_steps_work_in_a_users_own_beam_pipeline(example_logs):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/how-to.md").read_text(), re.S)
    (program,) = [block for block in blocks if "beam.Pipeline" in block]
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    counted = dict(eval(line, {"__builtins__": {}}) for line in ran.stdout.splitlines())
    assert counted["predictions"] > 1000
    assert counted["click"] > 10


def test_a_format_of_ones_own_is_one_file(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/how-to.md").read_text(), re.S)
    (program,) = [block for block in blocks if "FORMAT = Format(" in block]
    (tmp_path / "ours.py").write_text(program)
    monkeypatch.syspath_prepend(str(tmp_path))
    import ours

    from retrolabel.schemas.contract import parse_contract
    from retrolabel.transforms.kernels.lines import Block
    from retrolabel.transforms.kernels.parse import LineReader

    contract = parse_contract({"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]})
    parsed = LineReader("s", ours.FORMAT, contract).parse(
        Block("s", "f", 0, b'INFO {"a":1}\nWARN {"a":"2"}\nnothing\n')
    )
    assert parsed.table.column("a").to_pylist() == [1, 2]
    assert parsed.rejects.column("reason").to_pylist() == ["malformed"]
    assert ours.FORMAT.sniff(b'INFO {"a":1}') == 1
