"""How long a store is asked again that cannot answer now."""

import types

import pytest

from retrolabel.schemas.errors import InputError
from retrolabel.transforms.apis import retry
from retrolabel.transforms.apis.retry import Gate, Transient, patiently


@pytest.fixture
def clock(monkeypatch):
    """The time, which passes when somebody sleeps or says so."""
    clock = types.SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)
    monkeypatch.setattr(retry, "time", clock)
    return clock


def failing(clock, seconds: float, times: int):
    """What fails so often, after so many seconds each time; then it tells how often it was asked."""
    asked = []

    def ask() -> int:
        asked.append(clock.now)
        clock.now += seconds
        if len(asked) <= times:
            raise Transient("busy")
        return len(asked)

    return ask


def test_what_took_longer_to_fail_than_the_patience_is_asked_again(clock):
    assert patiently(failing(clock, 100, 1), 10, Gate()) == 2


def test_patience_ends_so_long_after_the_first_failure(clock):
    with pytest.raises(InputError, match="asked again for 10 s in vain"):
        patiently(failing(clock, 0, 1000), 10, Gate())
    assert clock.now == 10


def test_without_patience_nothing_is_asked_twice(clock):
    with pytest.raises(InputError):
        patiently(failing(clock, 1, 1000), 0, Gate())
    assert clock.now == 1
