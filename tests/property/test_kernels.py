"""The computation, held to slow definitions of the same."""

import tempfile

import google_crc32c
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrolabel.transforms.kernels import attribution, attribution_on_disk, json_text, ndcg
from retrolabel.transforms.kernels.append import append
from retrolabel.transforms.kernels.arrange import HASH, arrange, first_rows
from retrolabel.transforms.kernels.attribution import ROW, AttributionRule, LabelRule, attribute
from retrolabel.transforms.kernels.crc32c import combine
from retrolabel.transforms.kernels.engine import on_disk
from retrolabel.transforms.kernels.hashing import fraction_of, shard_of, stable_hash

MASK = 2**64 - 1


def mix(state: int) -> int:
    state = (state + 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def slow_hash(values: list[str | None], purpose: str) -> int:
    """The definition of docs/reference.md, a row at a time."""
    state = int.from_bytes(purpose.encode(), "little")
    for value in values:
        text = b"" if value is None else value.encode()
        state = mix((state + (2**32 if value is None else len(text))) & MASK)
        for start in range(0, len(text), 8):
            state = mix(state ^ int.from_bytes(text[start : start + 8], "little"))
    return state


@given(
    rows=st.lists(
        st.tuples(st.none() | st.text(max_size=30), st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=40
    )
)
def test_the_stable_hash_is_its_definition(rows):
    table = pa.table(
        {"a": pa.array([a for a, _ in rows], pa.string()), "b": pa.array([b for _, b in rows], pa.int64())}
    )
    expected = [slow_hash([a, None if b is None else str(b)], "split") for a, b in rows]
    assert stable_hash(table, ("a", "b"), "split").tolist() == expected
    sliced = table.slice(len(rows) // 2)
    assert stable_hash(sliced, ("a", "b"), "split").tolist() == expected[len(rows) // 2 :]


def test_the_stable_hash_never_changes():
    """These numbers decide to which split rows of published datasets belong."""
    table = pa.table({"user": ["u1", "", None, "a longer name than a word", "höhe"]})
    assert stable_hash(table, ("user",), "split").tolist() == [
        slow_hash([value], "split") for value in table.column("user").to_pylist()
    ]
    assert stable_hash(table.slice(0, 1), ("user",), "split").tolist() == [15383034016892741582]
    assert 0 <= fraction_of(np.array([0, MASK], dtype=np.uint64)).max() < 1


def test_shards_in_order_hold_the_hashes_in_order():
    hashes = np.sort(np.random.default_rng(1).integers(0, MASK, 1000, dtype=np.uint64))
    shards = shard_of(hashes, 8)
    assert (np.diff(shards) >= 0).all()
    assert set(shards.tolist()) == set(range(8))
    assert set(shard_of(hashes, 1).tolist()) == {0}


@given(first=st.binary(max_size=300), second=st.binary(max_size=300))
def test_checksums_of_stretches_give_that_of_the_whole(first, second):
    combined = combine(google_crc32c.value(first), google_crc32c.value(second), len(second))
    assert combined == google_crc32c.value(first + second)


@given(
    rows=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.none() | st.integers(0, 2)), max_size=30),
    seed=st.integers(0, 9),
)
def test_of_each_key_the_first_row_in_canonical_order_stays(rows, seed):
    order = np.random.default_rng(seed).permutation(len(rows))
    names = {"key": pa.string(), "time": pa.int64(), "value": pa.int64()}
    columns = [pa.array([rows[n][position] for n in order], kind) for position, kind in enumerate(names.values())]
    table = arrange(pa.table(columns, names=list(names)), ("key",))
    found = first_rows(table, ("key",), ("time", "value"))
    kept = table.take(pa.array(found.rows))
    expected = {}
    for key, time, value in sorted(rows, key=lambda row: (row[0], row[1], row[2] is not None, row[2] or 0)):
        expected.setdefault(key, (time, value))
    assert (
        dict(
            zip(
                kept.column("key").to_pylist(),
                zip(kept.column("time").to_pylist(), kept.column("value").to_pylist(), strict=True),
                strict=True,
            )
        )
        == expected
    )
    assert kept.num_rows + found.duplicate == len(rows)
    assert found.conflicting == sum((time, value) != expected[key] for key, time, value in rows)
    assert kept.column(HASH).to_pylist() == sorted(kept.column(HASH).to_pylist())


EVENTS = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 20)), max_size=12)


@settings(deadline=None)
@pytest.mark.parametrize("touch", ["all", "last", "first"])
@given(
    predictions=EVENTS,
    others=EVENTS,
    outcomes=EVENTS,
    after=st.integers(0, 3),
    window=st.integers(4, 9),
    at_a_time=st.sampled_from([3, 4_000_000]),
)
def test_outcomes_count_in_half_open_windows(touch, predictions, others, outcomes, after, window, at_a_time):
    rivals = [event for event in others if event not in predictions]  # of other days, so of other moments
    served, rival = (pa.table({
        ROW: pa.array(range(len(events)), pa.int64()),
        "__prediction_time": pa.array([time for _, time in events], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "k": pa.array([key for key, _ in events], pa.string()),
        "id": pa.array([f"{number:03d}" for number in range(len(events))], pa.string()),
    }) for events in (predictions, rivals))  # fmt: skip
    happened = pa.table({
        "k": pa.array([key for key, _ in outcomes], pa.string()),
        "t": pa.array([time for _, time in outcomes], pa.int64()).cast(pa.timestamp("us", "UTC")),
    })  # fmt: skip
    label = LabelRule("n", "count", after, window, touch, pa.int64(), 0)
    rule = AttributionRule("o", ("k",), ("k",), "t", ("k", "t"), (label,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attribution, "PAIRS", at_a_time)
        found = attribute(served, rival, happened, rule, ("id",))
    expected = dict.fromkeys(range(len(predictions)), 0)
    attributed = orphan = 0
    for key, time in outcomes:
        fits = [
            row
            for row, (own, start) in enumerate([*predictions, *rivals])
            if own == key and start + after <= time < start + window
        ]
        if touch != "all":
            sign = -1 if touch == "last" else 1
            fits = sorted(fits, key=lambda row: (sign * [*predictions, *rivals][row][1], row))[:1]
        fits = [row for row in fits if row < len(predictions)]
        for row in fits:
            expected[row] += 1
        attributed += bool(fits)
        orphan += key not in {own for own, _ in predictions}
    counts = dict(zip(found.labels[0].column(ROW).to_pylist(), found.labels[0].column("n").to_pylist(), strict=True))
    assert {row: counts.get(row, 0) for row in expected} == expected
    assert (found.attributed, found.orphan) == (attributed, orphan)
    assert found.attributed + found.unattributed + found.orphan == len(outcomes)


def slow_spans(text: bytes, level: int) -> tuple[list[int], list[int]]:
    """A look at one octet after the other."""
    begins, ends, depth, inside, escaped = [], [], 0, False, False
    for place, octet in enumerate(text):
        here, escaped = escaped, octet == ord("\\") and not escaped
        if octet == ord("\n"):
            inside = False
        elif octet == ord('"') and not here:
            inside = not inside
        elif octet in b"{[" and not inside:
            before = text[:place].rstrip(b" \n")[-1:]
            if octet == ord("{") and text[:place].endswith(b"\n") and before and before not in b"[,:":
                ends += [place] * (depth > level)
                depth = 0
            begins += [place] * (depth == level)
            depth += 1
        elif octet in b"}]" and not inside:
            ends += [place + 1] * (depth == level + 1)
            depth = max(depth - 1, 0)
    return begins, ends


@pytest.mark.parametrize("level", [0, 1])
@given(text=st.text('{}[]"\\,:x\n\n{', max_size=40).map(str.encode), chunk=st.integers(1, 20))
def test_where_json_stands_in_a_text_is_its_definition(level, text, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_CHUNK", chunk)
        ((begins, ends),) = json_text.spans(np.frombuffer(text, np.uint8), level)
    assert (begins.tolist(), ends.tolist()) == slow_spans(text, level)


def tables_of(predictions, rivals, outcomes):
    """Predictions and rivals with `k` and `id`, outcomes with `k` and a worth; times are microseconds."""
    served = [
        pa.table({
            ROW: pa.array(range(len(events)), pa.int64()),
            "__prediction_time": pa.array([time for _, time in events], pa.int64()).cast(pa.timestamp("us", "UTC")),
            "k": pa.array([key for key, _ in events], pa.string()),
            "id": pa.array([f"{len(events) - number:03d}" for number in range(len(events))], pa.string()),
        }) for events in (predictions, rivals)
    ]  # fmt: skip
    happened = pa.table({
        "k": pa.array([key for key, _, _ in outcomes], pa.string()),
        "t": pa.array([time for _, time, _ in outcomes], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "worth": pa.array([worth for _, _, worth in outcomes], pa.float64()),
    })  # fmt: skip
    return *served, happened


@settings(deadline=None)
@given(
    predictions=EVENTS,
    rivals=EVENTS,
    outcomes=st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 20), st.sampled_from([0.1, 0.2, 1e16])), max_size=14),
    windows=st.lists(
        st.tuples(st.sampled_from(["all", "last", "first"]), st.integers(0, 3), st.integers(4, 9)), min_size=1, max_size=3, unique=True
    ),
    at_a_time=st.sampled_from([1, 3, 1_000_000]),
    cut=st.integers(1, 5),
    distinct=st.booleans(),
)  # fmt: skip
def test_attribution_on_disk_is_attribution(predictions, rivals, outcomes, windows, at_a_time, cut, distinct):
    served, rival, happened = tables_of(predictions, rivals, outcomes)
    labels = tuple(
        LabelRule(f"{value[:3]}{number}", value, after, window, touch, pa.float64(), None)
        for number, (touch, after, window) in enumerate(windows)
        for value in ("sum(worth)", "count", "max(worth) > 0.1")
    )
    rule = AttributionRule("o", ("k",), ("k",), "t", ("k", "t", "worth"), labels)
    once = happened.group_by(rule.fields, use_threads=False).aggregate([]) if distinct else happened
    expected = attribute(served, rival, once, rule, ("id",))
    with tempfile.TemporaryDirectory() as folder, on_disk(folder) as engine, pytest.MonkeyPatch.context() as patch:
        patch.setattr(attribution, "PAIRS", at_a_time)
        patch.setattr(attribution_on_disk, "LABELLED", at_a_time)
        patch.setattr(attribution_on_disk, "READ", at_a_time)
        for name, table in (
            (attribution_on_disk.PREDICTIONS, served),
            (attribution_on_disk.RIVALS, rival),
            (attribution_on_disk.outcomes_table("o"), happened),
        ):
            for start in range(0, max(1, table.num_rows), cut):
                append(engine, name, table.slice(start, cut))
        found = attribution_on_disk.attribute_on_disk(engine, rule, ("id",), distinct)
        stored = [
            sorted(row for part in attribution_on_disk.stored_labels(engine, table, rule, ("id",)) for row in rows_of(part))
            for table in found.tables
        ]  # fmt: skip
    ids = served.column("id")
    in_memory = [
        table.append_column("id", ids.take(table.column(ROW))).drop_columns([ROW]) for table in expected.labels
    ]
    assert stored == [sorted(rows_of(table)) for table in in_memory]
    assert (found.attributed, found.unattributed, found.orphan) == (
        expected.attributed,
        expected.unattributed,
        expected.orphan,
    )
    assert (found.unique, found.duplicate) == (once.num_rows, len(outcomes) - once.num_rows)


def rows_of(table):
    return [tuple(sorted(row.items())) for row in table.to_pylist()]


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.0, 0.1, 7.0, np.nan, np.inf]), st.sampled_from([0.0, 1.0, 0.1, 3.7, np.nan, -1.0])),
                  max_size=40),
    likely=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.sampled_from([0.0, 1.0, 0.1, 3.7])), max_size=40),
    at_a_time=st.integers(1, 5),
    cut=st.integers(1, 20),
)  # fmt: skip
def test_lists_are_measured_alike_in_memory_and_on_disk_however_many_rows_at_a_time(rows, likely, at_a_time, cut):
    for several in (rows, likely, [(query, order, gain) for query, order, gain in rows if gain >= 0] + likely):
        query, order, gain = zip(*several, strict=True) if several else ((), (), ())
        table = ndcg.ranked_rows(np.array(query, np.uint64), np.array(order, float), np.array(gain, float))
        whole = ndcg.measure_ranking(table)
        with tempfile.TemporaryDirectory() as folder, on_disk(folder) as engine, pytest.MonkeyPatch.context() as patch:
            for start in range(0, max(1, table.num_rows), cut):
                append(engine, ndcg.RANKED_ROWS, table.slice(start, cut))
            assert ndcg.measure_ranking_on_disk(engine).equals(whole)
            patch.setattr(ndcg, "READ", at_a_time)
            assert ndcg.measure_ranking(table).equals(whole)
            assert ndcg.measure_ranking_on_disk(engine).equals(whole)
