"""k-anonymity: rows of equal quasi-identifiers are a group, and none with fewer than k people is published.

Definitions. k-anonymity: L. Sweeney, "k-anonymity: a model for protecting privacy", International Journal on Uncertainty, Fuzziness and
Knowledge-based Systems 10 (5), 2002. Full-domain generalization with a limit of suppressed rows (MaxSup): P. Samarati, "Protecting
respondents' identities in microdata release", IEEE Transactions on Knowledge and Data Engineering 13 (6), 2001. Precision: L. Sweeney,
"Achieving k-anonymity privacy protection using generalization and suppression", the same journal, 2002.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.personal import Generalization
from retrolabel.transforms.kernels.hashing import stable_hash
from retrolabel.transforms.kernels.protect import generalized

Levels = tuple[int, ...]
"""Of each quasi-identifier how coarse its values are: 0 as logged, then the first of its generalizations, and so on."""

COUNTED = 100
"""People of a group, and k of them at least, who are told apart in one shard: enough to know whether the group is large enough."""

GROUPS = pa.schema(
    [
        ("levels", pa.int32()),
        ("group", pa.string()),
        ("person", pa.uint64()),
        ("rows", pa.int64()),
        ("shard", pa.int32()),
    ]
)
"""Part of a group: its rows in one shard, and a row for each person in it; `levels` is a place in `AnonymityRule.lattice`."""


@dataclasses.dataclass(frozen=True)
class QuasiIdentifier:
    """A column by which a person might be recognised."""

    name: str
    coarser: tuple[Generalization, ...]
    """What may stand for its values, ever coarser."""

    @property
    def may_be_null(self) -> bool:
        """Whether a generalization makes null of values."""
        return any(step.way == "ip" or (step.way == "map" and step.other is None) for step in self.coarser)


@dataclasses.dataclass(frozen=True)
class AnonymityRule:
    """What is asked of the examples of a day, over all splits."""

    k: int
    columns: tuple[QuasiIdentifier, ...]
    person: tuple[str, ...]
    """The columns that tell people apart; none if every row counts as a person of its own."""
    max_suppressed: float
    """The share of rows that may be suppressed before values are made coarser."""

    @property
    def lattice(self) -> list[Levels]:
        """Every way to generalize, the one that loses least first."""
        levels = itertools.product(*(range(len(column.coarser) + 1) for column in self.columns))
        return sorted(levels, key=lambda one: (-self.precision(one), one))

    def precision(self, levels: Levels) -> float:
        """Sweeney's Prec: 1 less the mean share of its hierarchy by which each value was generalized; 1 for values as logged."""
        steps = [level / max(len(column.coarser), 1) for level, column in zip(levels, self.columns, strict=True)]
        return 1 - sum(steps) / len(steps)


def coarsened(table: pa.Table, rule: AnonymityRule, levels: Levels) -> pa.Table:
    """The table with its quasi-identifiers as coarse as `levels` says."""
    for column, level in zip(rule.columns, levels, strict=True):
        place = table.schema.get_field_index(column.name)
        field = table.schema.field(place)
        values = table.column(place)
        if level:
            values = generalized(values.combine_chunks(), column.coarser[level - 1])
        table = table.set_column(place, field.with_nullable(field.nullable or column.may_be_null), values)
    return table


def group_names(table: pa.Table, rule: AnonymityRule) -> pa.Array:
    """The group of each row, by its quasi-identifiers as they are."""
    return _joined([_piece(table.column(column.name).combine_chunks()) for column in rule.columns])


def _piece(values: pa.Array) -> pa.Array:
    """Values as they stand in the name of a group: after their length, so that different ones never look alike; null is a value too."""
    texts = (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).cast(pa.string())
    return pc.fill_null(pc.binary_join_element_wise(pc.utf8_length(texts).cast(pa.string()), texts, ":"), "-")


def _joined(pieces: Sequence[pa.Array]) -> pa.Array:
    return pc.binary_join_element_wise(*pieces, " ")


def parts_of_groups(table: pa.Table, rule: AnonymityRule, shard: int) -> pa.Table:
    """The groups of some rows for every way to generalize them, each with its people.

    Values are made coarser once each, and rows that are alike as logged and of one person are counted as one from the start.

    Args:
        table: the rows as logged.
        rule: what is asked.
        shard: where the rows are.

    Returns:
        A table of `GROUPS`; where a group has more people than are told apart, the others count into its rows alone.
    """
    encoded = [table.column(column.name).combine_chunks().dictionary_encode("encode") for column in rule.columns]
    persons = stable_hash(table, rule.person, "person") if rule.person else np.zeros(table.num_rows, dtype=np.uint64)
    codes = [column.indices.to_numpy() for column in encoded]
    alike, _ = _combined(codes)
    order, new = _runs(alike, persons)
    first = order[new]
    rows = np.diff(np.append(np.flatnonzero(new), len(order)))
    codes, persons = [code[first] for code in codes], persons[first]
    found = []
    coarser: dict[tuple[int, int], tuple[npt.NDArray[np.int64], pa.Array]] = {}
    for place, levels in enumerate(rule.lattice):
        chosen = []
        for number, level in enumerate(levels):
            if (number, level) not in coarser:
                values = encoded[number].dictionary
                pieces = _piece(generalized(values, rule.columns[number].coarser[level - 1]) if level else values)
                again = pieces.dictionary_encode()
                coarser[number, level] = again.indices.to_numpy().astype(np.int64), again.dictionary
            to, texts = coarser[number, level]
            chosen.append((to[codes[number]], texts))
        group, example = _combined([code for code, _ in chosen])
        names = _joined([texts.take(pa.array(code[example])) for code, texts in chosen])
        found.append(
            _with_people(place, names, group, rows, persons if rule.person else None, shard, max(rule.k, COUNTED))
        )
    return pa.concat_tables(found)


def _combined(codes: Sequence[npt.NDArray[np.int64]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """One number for each combination of codes, from 0 without gaps, and where each combination stands first."""
    together = np.zeros(len(codes[0]), dtype=np.int64)
    first = together[:1]
    for code in codes:
        _, first, together = np.unique(
            together * (int(code.max(initial=0)) + 1) + code, return_index=True, return_inverse=True
        )
    return together, first


def _runs(
    group: npt.NDArray[np.int64], persons: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The order by group and person, and where in it another pair begins."""
    order = np.lexsort((persons, group))
    group, persons = group[order], persons[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (group[1:] != group[:-1]) | (persons[1:] != persons[:-1])
    return order, new


def _with_people(
    place: int,
    names: pa.Array,
    group: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    persons: npt.NDArray[np.uint64] | None,
    shard: int,
    people: int,
) -> pa.Table:
    counts = np.bincount(group, rows, len(names)).astype(np.int64)
    person = pa.nulls(len(names), pa.uint64())
    if persons is not None:
        order, new = _runs(group, persons)
        of, each = group[order][new], persons[order][new]
        turn = np.arange(len(of)) - np.searchsorted(of, np.arange(len(names)))[of]
        kept = turn < people
        names, person = names.take(pa.array(of[kept])), pa.array(each[kept])
        counts = np.where(turn[kept] == 0, counts[of[kept]], 0)
    same = [pa.repeat(pa.scalar(value, pa.int32()), len(names)) for value in (place, shard)]
    return pa.Table.from_arrays([same[0], names, person, pa.array(counts), same[1]], schema=GROUPS)


@dataclasses.dataclass(frozen=True)
class Counted:
    """Whole groups: each with all of its rows, wherever they are."""

    levels: npt.NDArray[np.int64]
    groups: pa.Array
    rows: npt.NDArray[np.int64]
    people: npt.NDArray[np.int64]


def counted(parts: pa.Table, rule: AnonymityRule) -> Counted:
    """Adds up the parts of groups (`GROUPS`, any order)."""
    by_group = parts.group_by(["levels", "group"], use_threads=False)
    aggregates: list[tuple[str, str]] = [("rows", "sum"), *([("person", "count_distinct")] if rule.person else [])]
    found = by_group.aggregate(aggregates)
    rows = found.column("rows_sum").to_numpy()
    people = found.column("person_count_distinct").to_numpy() if rule.person else rows
    return Counted(
        found.column("levels").to_numpy().astype(np.int64), found.column("group").combine_chunks(), rows, people
    )


@dataclasses.dataclass(frozen=True)
class LevelCounts:
    """Of one way to generalize."""

    rows: int
    suppressed: int
    """Rows of groups with fewer than k people."""


def by_levels(found: Counted, rule: AnonymityRule) -> dict[int, LevelCounts]:
    """By the place in the lattice; counts of different groups add up."""
    small = found.people < rule.k
    size = int(found.levels.max(initial=-1)) + 1
    rows = np.bincount(found.levels, found.rows, size)
    suppressed = np.bincount(found.levels, np.where(small, found.rows, 0), size)
    return {number: LevelCounts(int(rows[number]), int(suppressed[number])) for number in np.flatnonzero(rows).tolist()}


def chosen(counts: Iterable[dict[int, LevelCounts]], rule: AnonymityRule) -> tuple[int, int]:
    """The way to generalize that loses least of those that leave few enough rows to suppress; else the one that leaves fewest.

    Returns:
        Its place in the lattice, and how many rows were in too small groups as logged.
    """
    suppressed, rows = [0] * len(rule.lattice), 0
    for one in counts:
        for number, found in one.items():
            suppressed[number] += found.suppressed
        rows += one[0].rows if 0 in one else 0
    fits = (number for number, left_out in enumerate(suppressed) if left_out <= rule.max_suppressed * rows)
    fewest = min(range(len(suppressed)), key=lambda number: (suppressed[number], number))
    return next(fits, fewest), suppressed[0]


def in_small_groups(table: pa.Table, rule: AnonymityRule, small: Sequence[str] | pa.Array) -> npt.NDArray[np.bool_]:
    """Which rows, generalized already, are of one of some groups."""
    found: npt.NDArray[np.bool_] = pc.is_in(group_names(table, rule), value_set=pa.array(small, pa.string())).to_numpy(
        zero_copy_only=False
    )
    return found
