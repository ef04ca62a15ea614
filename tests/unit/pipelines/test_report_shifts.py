"""Covariate and concept shift are told apart, named and located; two samples of one world show none."""

import pytest

from retrolabel.pipelines.report.material import gather
from tests.support.shop_days import World, publish_days


def shift_between(root, before: World, now: World):
    publish_days(root, 2, rows=6000, world=lambda day: now if day else before, closed=True)
    (found,) = gather(str(root)).shifts
    assert found.label == "clicked"
    return found


def test_other_examples_with_the_same_outcomes_are_a_covariate_shift(tmp_path):
    found = shift_between(tmp_path, World(ios=0.3), World(ios=0.6))
    assert found.name == "covariate shift"
    assert found.explained_by == ["device"]
    assert list(found.moved) == ["device"]
    assert found.moved["device"].moved == "ios"
    assert found.moved["device"].shares == pytest.approx((0.3, 0.6), abs=0.02)
    assert found.rate_p < 0.01


def test_other_outcomes_of_the_same_examples_are_a_concept_shift(tmp_path):
    found = shift_between(tmp_path, World(), World(ios_rate=0.05))
    assert found.name == "concept shift"
    assert not found.moved
    assert "device" in found.turned
    assert found.turned["device"].turned == "ios"
    assert found.turned["device"].rates == pytest.approx((0.16, 0.05), abs=0.02)


def test_both_at_once_are_both(tmp_path):
    found = shift_between(tmp_path, World(price=3.0), World(price=3.5, rate=0.2, ios_rate=0.3))
    assert found.name == "covariate and concept shift"
    assert list(found.moved) == ["price"]
    assert {"device", "price"} <= found.turned.keys()


def test_two_samples_of_one_world_show_no_shift(tmp_path):
    for seed in range(3):
        assert shift_between(tmp_path / str(seed), World(price=3 + seed), World(price=3 + seed)).name == "no shift"


def test_the_change_of_a_rate_is_the_sum_of_its_parts(tmp_path):
    found = shift_between(tmp_path, World(ios=0.3), World(ios=0.6, rate=0.12))
    part = {**found.turned, **found.moved}["device"]
    assert part.mix + part.rate == pytest.approx(found.rates[1] - found.rates[0], abs=1e-9)
