"""Consent as of the time of a prediction: against a plain look through the decisions, one prediction at a time."""

import dataclasses
import random

import pyarrow as pa
import pytest

from retrolabel.transforms.kernels.consent import (
    ALWAYS,
    DECIDED,
    GRANTED,
    ConsentRule,
    consented,
    count_decisions,
    decided,
    decisions_of,
)

TIME = pa.timestamp("us", tz="UTC")
HOUR = 3_600_000_000
RULE = ConsentRule(("user",), ("person",), "at", "state", ("yes",), False, "made", 24 * HOUR)


def predictions(*rows: tuple[str | None, int]) -> pa.Table:
    return pa.table(
        {"person": pa.array([row[0] for row in rows], pa.string()), "made": pa.array([row[1] for row in rows], TIME)}
    )


def log(*rows: tuple[str | None, int, str | None]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    user, at, state = (list(column) for column in columns)
    return pa.table(
        {"user": pa.array(user, pa.string()), "at": pa.array(at, TIME), "state": pa.array(state, pa.string())}
    )


def kept(made: pa.Table, log: pa.Table, rule: ConsentRule = RULE) -> list[bool]:
    return consented(made, decided(decisions_of(log, rule), rule), rule).kept.tolist()


@pytest.mark.parametrize(
    ("decisions", "kept_at_noon"),
    [
        ((), False),
        ((("ann", -900 * 24 * HOUR, "yes"),), True),
        ((("ann", 12 * HOUR, "yes"),), True),
        ((("ann", 12 * HOUR + 1, "yes"),), False),
        ((("ann", 0, "yes"), ("ann", 12 * HOUR, "no")), False),
        ((("ann", 0, "yes"), ("ann", 1, "no"), ("ann", 2, "yes")), True),
        ((("ann", 0, "yes"), ("ann", 36 * HOUR - 1, "no")), False),
        ((("ann", 0, "yes"), ("ann", 36 * HOUR, "no")), True),
        ((("ann", 0, "yes"), ("ann", 13 * HOUR, "no"), ("ann", 14 * HOUR, "yes")), False),
        ((("ann", 5, "yes"), ("ann", 5, "no")), False),
        ((("ann", 5, "yes"), ("ann", 5, "yes"), ("ann", 5, "yes")), True),
        ((("ann", 5, None),), False),
        ((("bob", 5, "yes"), (None, 5, "yes")), False),
    ],
    ids=["undecided", "years ago", "at that moment", "a moment later", "refused at that moment", "given again", "withdrawn in the window",
         "withdrawn as it closes", "interrupted", "contradiction", "deliveries", "null is no consent", "another's"],
)  # fmt: skip
def test_consent_holds_from_the_prediction_to_the_close_of_its_window(decisions, kept_at_noon):
    assert kept(predictions(("ann", 12 * HOUR)), log(*decisions)) == [kept_at_noon]


def test_people_without_a_decision_may_be_kept_but_not_against_a_later_refusal():
    rule = dataclasses.replace(RULE, keep_undecided=True)
    made = predictions(("ann", 0), ("bob", 0), (None, 0), ("cyd", 0))
    assert kept(made, log(("bob", HOUR, "no"), ("cyd", -1, "no")), rule) == [True, False, True, False]


def test_snapshots_without_a_time_hold_for_every_event():
    rule = ConsentRule(("user",), ("person",), "", "ok", (), False, "made", 24 * HOUR)
    snapshot = pa.table({"user": ["ann", "bob", "cyd", "cyd"], "ok": [True, None, True, False]})
    found = decisions_of(snapshot, rule)
    assert found.column(DECIDED).to_pylist() == [ALWAYS] * 4
    assert found.column(GRANTED).to_pylist() == [True, False, True, False]
    once = decided(found, rule)
    assert consented(predictions(("ann", -5), ("bob", 0), ("cyd", 7), ("dan", 0)), once, rule).kept.tolist() == [
        True,
        False,
        False,
        False,
    ]


def test_several_fields_and_kinds_of_key():
    rule = ConsentRule(("shop", "user"), ("store", "person"), "at", "ok", (), False, "made", HOUR)
    made = pa.table(
        {"store": pa.array([1, 1, 2], pa.int64()), "person": ["7", "8", "7"], "made": pa.array([9, 9, 9], TIME)}
    )
    changes = pa.table(
        {"shop": pa.array([1, 2], pa.int32()), "user": ["7", "8"], "at": pa.array([1, 1], TIME), "ok": [True, True]}
    )
    assert kept(made, changes, rule) == [True, False, False]


def slowly(made: list, log_of: list, keep_undecided: bool) -> tuple[list[str], dict[str, int]]:
    different = {(user, at, state == "yes") for user, at, state in log_of}
    fates, used = [], set()
    for person, moment in made:
        mine = sorted((at, ok) for user, at, ok in different if user == person and person is not None)
        moments = {at: all(ok for other, ok in mine if other == at) for at, _ in mine}
        before = [at for at in moments if at <= moment]
        later = [at for at, ok in moments.items() if moment < at < moment + RULE.window and not ok]
        if before:
            used.add((person, max(before)))
        if not before and not keep_undecided:
            fates.append("undecided")
        elif before and not moments[max(before)]:
            fates.append("refused")
        elif later:
            fates.append("withdrawn")
            used.add((person, min(later)))
        else:
            fates.append("kept")
    people = {person for person, _ in made if person is not None}
    known = sum(user in people for user, _, _ in different)
    counts = {
        "duplicate": len(log_of) - len(different),
        "attributed": len(used),
        "unattributed": known - len(used),
        "orphan": len(different) - known,
    }
    return fates, counts


@pytest.mark.parametrize("keep_undecided", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_fates_and_counts_are_those_of_a_plain_look_through_the_decisions(seed, keep_undecided):
    chance = random.Random(seed)
    people = [*map(str, range(20)), None]
    made = [(chance.choice(people), chance.randrange(72) * HOUR // 2) for _ in range(400)]
    log_of = [
        (chance.choice([*people, "x", "y"]), chance.randrange(-40, 140) * HOUR // 2, chance.choice(["yes", "no", None]))
        for _ in range(200)
    ]
    log_of += chance.choices(log_of, k=50)
    rule = ConsentRule(("user",), ("person",), "at", "state", ("yes",), keep_undecided, "made", RULE.window)
    decisions = decisions_of(log(*log_of), rule)
    once = decided(decisions, rule)
    # Predictions may come in parts, of which each knows all decisions.
    found = [consented(predictions(*made[start : start + 150]), once, rule) for start in range(0, len(made), 150)]
    fates, counts = slowly(made, log_of, keep_undecided)
    assert [kept for part in found for kept in part.kept.tolist()] == [fate == "kept" for fate in fates]
    for name in ("undecided", "refused", "withdrawn"):
        assert sum(getattr(part, name) for part in found) == fates.count(name)
    told = count_decisions(len(log_of), once, [part.attributed for part in found], [part.known for part in found])
    assert {name: getattr(told, name) for name in counts} == counts
    assert told.unique == told.attributed + told.unattributed + told.orphan
    assert min(fates.count(name) for name in ("refused", "withdrawn", "kept")) > 0
