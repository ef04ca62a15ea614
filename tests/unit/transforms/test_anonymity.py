"""k-anonymity: against a plain count of people in groups."""

import collections
import itertools
import random

import numpy as np
import pyarrow as pa
import pytest

from retrolabel.schemas.personal import Generalization
from retrolabel.transforms.kernels import anonymity
from retrolabel.transforms.kernels.anonymity import (
    AnonymityRule,
    Counted,
    QuasiIdentifier,
    by_levels,
    chosen,
    coarsened,
    counted,
    group_names,
    in_small_groups,
    parts_of_groups,
)

BIN, PREFIX = (lambda width: Generalization("bin", width)), (lambda length: Generalization("prefix", length))


def everywhere(shards: list[pa.Table], rule: AnonymityRule) -> Counted:
    return counted(pa.concat_tables(parts_of_groups(table, rule, number) for number, table in enumerate(shards)), rule)


# Twelve people, by the quasi-identifiers of the examples in Sweeney (2002).
PEOPLE = {
    "race": ["black"] * 6 + ["white"] * 6,
    "birth": [1965, 1965, 1965, 1965, 1964, 1964, 1964, 1965, 1964, 1964, 1967, 1967],
    "sex": ["male", "male", "female", "female", "female", "female", "male", "male", "male", "male", "male", "male"],
    "zip": ["02141", "02141", "02138", "02138", "02138", "02138", "02138", "02139", "02139", "02139", "02138", "02138"],
}


def test_a_shorter_zip_brings_people_together_across_shards():
    rule = AnonymityRule(
        2, tuple(QuasiIdentifier(name, (PREFIX(4), PREFIX(3)) if name == "zip" else ()) for name in PEOPLE), (), 0.0
    )
    shards = [pa.table(PEOPLE).slice(0, 5), pa.table(PEOPLE).slice(5)]
    found = everywhere(shards, rule)
    assert rule.lattice == [(0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 0, 2)]
    assert {number: counts.suppressed for number, counts in by_levels(found, rule).items()} == {0: 2, 1: 1, 2: 1}
    assert chosen([by_levels(found, rule)], rule) == (1, 2)
    assert rule.precision((0, 0, 0, 1)) == 1 - 0.5 / 4


def a_day(seed: int, rows: int = 600) -> pa.Table:
    chance = random.Random(seed)
    age = [chance.choice([None, *range(18, 60)]) for _ in range(rows)]
    city = [chance.choice([None, "", "a", "ab", "abc", "abz", "1:a"]) for _ in range(rows)]
    person = [chance.choice([None, *map(str, range(150))]) for _ in range(rows)]
    return pa.table({"age": pa.array(age, pa.int32()), "city": city, "person": person, "score": np.arange(rows)})


AGES, CITIES = (BIN(10), BIN(50)), (PREFIX(2), PREFIX(1))


def plainly(rows: list[dict], k: int, by_person: bool) -> list[bool]:
    """Whether each row's group has fewer than k people; rows whose person is not known are one person at most."""
    members = collections.defaultdict(list)
    for row in rows:
        members[row["age"], row["city"]].append(row["person"])
    return [len(set(group) if by_person else group) < k for group in (members[row["age"], row["city"]] for row in rows)]


@pytest.mark.parametrize("person", [(), ("person",)])
@pytest.mark.parametrize("seed", range(3))
def test_small_groups_are_those_of_a_plain_count_at_every_level_however_rows_are_spread(monkeypatch, seed, person):
    rule = AnonymityRule(5, (QuasiIdentifier("age", AGES), QuasiIdentifier("city", CITIES)), person, 0.02)
    table = a_day(seed)
    shards = [table.slice(start, 97) for start in range(0, table.num_rows, 97)]
    whole = everywhere(shards, rule)
    expected = {}
    for number, levels in enumerate(rule.lattice):
        coarse = coarsened(table, rule, levels)
        assert coarse.column("score").equals(table.column("score"))
        expected[number] = plainly(coarse.to_pylist(), 5, bool(person))
        here = whole.levels == number
        small = whole.groups.filter(pa.array(here & (whole.people < rule.k)))
        assert in_small_groups(coarse, rule, small).tolist() == expected[number]
        assert whole.rows[here].sum() == table.num_rows
    # No more than k people of a group and shard need to be told apart.
    monkeypatch.setattr(anonymity, "COUNTED", 1)
    found = everywhere(shards, rule)
    assert {number: counts.suppressed for number, counts in by_levels(found, rule).items()} == {
        number: sum(small) for number, small in expected.items()
    }
    number, at_risk = chosen([by_levels(found, rule)], rule)
    assert at_risk == sum(expected[0])
    assert sum(expected[number]) <= 0.02 * table.num_rows
    better = [other for other in range(number) if sum(expected[other]) <= 0.02 * table.num_rows]
    assert not better
    assert all(rule.precision(rule.lattice[other]) >= rule.precision(rule.lattice[number]) for other in range(number))


def test_where_nothing_is_enough_the_way_that_loses_fewest_rows_is_taken():
    rule = AnonymityRule(9, (QuasiIdentifier("age", (BIN(10),)),), (), 0.0)
    table = pa.table({"age": [1, 2, 3, 4, 5, 6, 7, 8, 9, 25]})
    found = by_levels(everywhere([table], rule), rule)
    assert chosen([found], rule) == (1, 10)
    assert found[1].suppressed == 1


def test_different_values_never_look_alike():
    values = [None, "", "-", "0:", "1:a", "a", "a 1:b", "1:a 1:b"]
    pairs = list(itertools.product(values, values))
    rule = AnonymityRule(2, (QuasiIdentifier("a", ()), QuasiIdentifier("b", ())), (), 0.0)
    table = pa.table({"a": pa.array([pair[0] for pair in pairs]), "b": pa.array([pair[1] for pair in pairs])})
    assert len(set(group_names(table, rule).to_pylist())) == len(pairs)


def test_no_rows_have_no_groups():
    rule = AnonymityRule(5, (QuasiIdentifier("age", AGES), QuasiIdentifier("city", CITIES)), ("person",), 0.0)
    assert len(everywhere([a_day(1).slice(0, 0)], rule).groups) == 0
