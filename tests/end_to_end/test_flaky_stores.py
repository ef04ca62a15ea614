"""A store whose requests fail, are done though an error is told, or break off: all told in plain words, and the next build heals it."""

import json

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.cli import commands
from retrolabel.transforms.dataset import read_day_manifest, read_version, version_numbers
from retrolabel.transforms.sweep import sweep
from retrolabel.transforms.verify import verify
from tests.end_to_end.test_crashes import turns
from tests.support import flaky_store
from tests.support.daily import click, make_shop, serve
from tests.support.flaky_store import FILES, TROUBLE

ROOT = "flaky://store/datasets/shop"
TOLD = (0, 4, 6, 7)
"""Exit codes: it did not matter, input or storage is told, or a record whose download broke off is taken for damaged."""


@pytest.fixture
def shop(tmp_path):
    """A project whose logs and dataset are in a store."""
    config = make_shop(tmp_path / "shop", 'output: {path: "flaky://store/datasets"}\n')
    text = (tmp_path / "shop/shop.yaml").read_text().replace('path: "logs/', 'path: "flaky://store/logs/')
    (tmp_path / "shop/shop.yaml").write_text(text)
    FILES.clear()
    flaky_store.reset()
    for day in ("2026-11-20", "2026-11-21"):
        serve(tmp_path / "shop", day)
        click(tmp_path / "shop", day)
    for path in (tmp_path / "shop/logs").rglob("*.json"):
        FILES[f"flaky://store/{path.relative_to(tmp_path / 'shop')}"] = path.read_bytes()
    yield config
    FILES.clear()


def build(config: str, **trouble: int | bool) -> tuple[int, str]:
    """Exit code and output of a build that meets some trouble."""
    flaky_store.reset(**trouble)
    result = CliRunner().invoke(commands, ["build", config, "--date", "2026-11-20"])
    assert result.exception is None or isinstance(result.exception, SystemExit), (trouble, result.exception)
    return result.exit_code, result.output


def whole() -> list[int]:
    flaky_store.reset()
    numbers = version_numbers(ROOT)
    for number in numbers:
        for path in read_version(ROOT, number).days.values():
            assert list(verify(ROOT, read_day_manifest(ROOT, path))) == []
    return numbers


class Healing:
    """A build, what it makes when nothing happens, and what comes of it when something does."""

    def __init__(self, config: str) -> None:
        self.config, self.before = config, dict(FILES)
        assert build(config)[0] == 0
        self.requests = list(TROUBLE.requests)
        sweep(ROOT, 0)
        self.expected = dict(FILES)

    def meets(self, **trouble: int | bool) -> tuple[int, str]:
        FILES.clear()
        FILES.update(self.before)
        there = whole()
        code, output = build(self.config, **trouble)
        case = (self.requests[trouble["request"]], trouble, code, output)
        assert code in TOLD, case
        assert (code != 0) == ("error: " in output), case
        now = whole()
        assert code != 0 or now != there, case
        assert build(self.config)[0] == 0, case
        sweep(ROOT, 0)
        assert self.expected == FILES, case
        return code, output


def request_of(requests: list[str], what: str, path: str) -> int:
    """The first request of a kind whose path has something in it."""
    return next(number for number, asked in enumerate(requests) if asked.startswith(what) and path in asked)


def test_a_request_that_fails_is_told_and_healed(shop):
    healing = Healing(shop)
    for what, path in (("get", "served"), ("put", ".parquet"), ("put", "_versions/")):
        code, output = healing.meets(request=request_of(healing.requests, what, path))
        assert code == 7, output
        assert "Connection reset by peer" in output
    code, _ = healing.meets(request=request_of(healing.requests, "put", "_versions/"), after=True)
    assert code == 7
    code, output = healing.meets(request=request_of(healing.requests, "get", "served"), breaks_off=True)
    assert code == 4
    assert "broke off" in output


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("trouble", [{}, {"after": True}, {"breaks_off": True}], ids=["fails", "done", "breaks_off"])
def test_every_request_that_fails_is_told_and_healed(shop, trouble, again):
    if again:  # another build, which is compared with the one before
        assert build(shop)[0] == 0
        late = {"at": "2026-11-20T05:10:00+00:00", "id": "2026-11-20/05"}
        FILES["flaky://store/logs/2026/11/20/click.json"] += json.dumps(late).encode() + b"\n"
        FILES["flaky://store/logs/2026/11/20/served-b.json"] = b'{"at": "2026-11-20T05:10:00Z", "id": "new"}\n'
    healing = Healing(shop)
    codes = [healing.meets(request=turn, **trouble)[0] for turn in turns(len(healing.requests))]
    print(
        f"\n{len(codes)} of {len(healing.requests)} requests met {trouble or 'an error'}; {codes.count(0)} of them did not matter"
    )
