"""How often texts occur: exact counts up to a limit, then the most frequent ones with a bound on their error."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.transforms.kernels.engine import connection
from retrolabel.transforms.kernels.hashing import stable_hash

COUNTED = 16_384
"""Up to so many different texts every one is counted, and so is their number."""

RANKED = 1024
"""How many of the most frequent texts are kept beyond that; what a merge loses of a count is below 1 / RANKED of the rows."""

LONGEST = 1024
"""Bytes of a text that is kept; a longer one counts as `LARGE`."""

LARGE = "__LARGE_BYTES__"
INVALID = "__BYTES_VALUE__"
"""Stands for what is not UTF-8, as in TensorFlow Data Validation."""

_HASHED_IN_WORDS = 128
_SAMPLE = 4096

Counts = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]


@dataclasses.dataclass(frozen=True, eq=False)
class Frequencies:
    """Texts and how often each occurs."""

    texts: pa.Array
    counts: Counts
    weights: Counts | None
    """The sum of the weights of each text's rows, if rows are weighted."""
    error: float
    """A text occurs at most so many times more often than its count says, one that is not here at most so often."""
    hashes: Hashes
    """The `COUNTED` smallest hashes of different texts, ascending (K minimum values)."""
    octets: int
    """The bytes of all texts together."""
    invalid: int
    """How many are not UTF-8."""

    def __add__(self, other: "Frequencies") -> "Frequencies":
        """The frequencies of both together: exact while no more than `COUNTED` texts differ."""
        return together([self, other])

    @property
    def unique(self) -> int:
        """How many texts differ: exact below `COUNTED`, else with a standard error of 1 / sqrt(COUNTED - 2), 0.8 %.

        Bar-Yossef, Jayram, Kumar, Sivakumar and Trevisan, "Counting distinct elements in a data stream", RANDOM 2002.
        """
        if len(self.hashes) < COUNTED:
            return len(self.hashes)
        return round((COUNTED - 1) / ((float(self.hashes[-1]) + 1) / 2.0**64))

    def ranked(self, most: int, weighted: bool = False) -> list[tuple[str, float]]:
        """The most frequent texts with their counts, or weights; of equally frequent ones the greater text is first."""
        masses = self.weights if weighted and self.weights is not None else self.counts
        if len(masses) > most:
            kept = np.flatnonzero(masses >= np.partition(masses, len(masses) - most)[len(masses) - most])
        else:
            kept = np.arange(len(masses))
        texts, counts = self.texts.take(pa.array(kept)), masses[kept]
        by_mass = [("mass", "descending"), ("text", "descending")]
        first = pc.sort_indices(pa.table({"text": texts, "mass": counts}), by_mass)[:most]
        return list(zip(texts.take(first).to_pylist(), counts[first.to_numpy()].tolist(), strict=True))


NONE = Frequencies(pa.nulls(0, pa.string()), np.array([]), None, 0.0, np.array([], np.uint64), 0, 0)
"""The frequencies of no texts."""


def frequencies_of(texts: pa.Array, weights: Counts | None = None) -> Frequencies:
    """The frequencies of texts or octets without nulls."""
    if not len(texts):
        return NONE if weights is None else dataclasses.replace(NONE, weights=NONE.counts)
    lengths = pc.binary_length(texts)
    octets, longest = int(pc.sum(lengths).as_py()), int(pc.max(lengths).as_py())
    if weights is None and len(texts) > COUNTED and longest <= _HASHED_IN_WORDS and _differ(texts) and _is_text(texts):
        hashes = _hashes(texts)
        ordered = np.sort(hashes)
        starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
        if len(starts) > COUNTED:
            return _most_frequent(texts, hashes, ordered, starts, octets)
    sums: Counts | None = None
    if weights is None:
        counted = pc.value_counts(texts)
        different, counts = counted.field(0), counted.field(1).to_numpy().astype(np.float64)
    else:
        encoded = texts.dictionary_encode()
        different, places = encoded.dictionary, encoded.indices.to_numpy()
        counts = np.bincount(places).astype(np.float64)
        sums = np.bincount(places, weights, len(counts)).astype(np.float64)
    hashes = _different(_hashes(different))[:COUNTED]
    if longest <= LONGEST and _is_text(different):
        return _limited(Frequencies(different.cast(pa.string()), counts, sums, 0.0, hashes, octets, 0))
    values = different.cast(pa.binary())
    broken = np.array([_is_broken(value) for value in values.to_pylist()])
    invalid = int(counts[broken].sum())
    values = pc.if_else(pa.array(broken), pa.scalar(INVALID.encode(), pa.binary()), values)
    values = pc.if_else(pc.greater(pc.binary_length(values), LONGEST), pa.scalar(LARGE.encode(), pa.binary()), values)
    return together([Frequencies(values.cast(pa.string()), counts, sums, 0.0, hashes, octets, invalid)])


def together(all_of: Sequence[Frequencies]) -> Frequencies:
    """The frequencies of all together: exact while no more than `COUNTED` texts differ."""
    encoded = pa.concat_arrays([one.texts for one in all_of]).dictionary_encode()
    places, different = encoded.indices.to_numpy(), len(encoded.dictionary)
    masses = [one.counts for one in all_of], [one.weights for one in all_of if one.weights is not None]
    counts, weights = (
        np.bincount(places, np.concatenate(mass), different).astype(np.float64) if len(mass) == len(all_of) else None
        for mass in masses
    )
    return _limited(
        Frequencies(
            encoded.dictionary,
            counts if counts is not None else NONE.counts,
            weights,
            sum(one.error for one in all_of),
            _smallest(np.concatenate([one.hashes for one in all_of])),
            sum(one.octets for one in all_of),
            sum(one.invalid for one in all_of),
        )
    )


def _smallest(hashes: Hashes) -> Hashes:
    """The `COUNTED` smallest different ones, ascending; of many only the smallest are put in order."""
    most = 4 * COUNTED
    while most < len(hashes):
        found = _different(np.partition(hashes, most)[:most])
        if len(found) >= COUNTED:
            return found[:COUNTED]
        most *= 4
    return _different(hashes)[:COUNTED]


def _different(hashes: Hashes) -> Hashes:
    """The different ones, ascending; `np.unique` puts them in a hash table first, which takes four times as long."""
    ordered = np.sort(hashes)
    first = np.ones(len(ordered), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    different: Hashes = ordered[first]
    return different


def _most_frequent(
    texts: pa.Array, hashes: Hashes, ordered: Hashes, starts: npt.NDArray[np.int64], octets: int
) -> Frequencies:
    """Of very many different texts: only those that are kept are looked at as texts."""
    runs = np.diff(starts, append=len(ordered))
    least = int(np.partition(runs, len(runs) - RANKED)[len(runs) - RANKED])
    more, as_many = np.flatnonzero(runs > least), np.flatnonzero(runs == least)
    wanted = np.sort(ordered[starts[np.concatenate([more, as_many[: RANKED - len(more)]])]])
    likely = np.zeros(65536, np.bool_)
    likely[wanted & np.uint64(0xFFFF)] = True
    rows = np.flatnonzero(likely[hashes & np.uint64(0xFFFF)])
    different, places = np.unique(hashes[rows], return_index=True)
    kept = np.isin(different, wanted, assume_unique=True)
    counts = runs[np.searchsorted(ordered[starts], different[kept])].astype(np.float64)
    found = texts.take(pa.array(rows[places[kept]])).cast(pa.string())
    return Frequencies(found, counts, None, float(least), ordered[starts[:COUNTED]], octets, 0)


def _limited(found: Frequencies) -> Frequencies:
    if len(found.texts) <= COUNTED:
        return found
    order = np.lexsort((_hashes(found.texts), -found.counts))
    kept, dropped = order[:RANKED], order[RANKED]
    return dataclasses.replace(
        found,
        texts=found.texts.take(pa.array(kept)),
        counts=found.counts[kept],
        weights=None if found.weights is None else found.weights[kept],
        error=found.error + float(found.counts[dropped]),
    )


def _differ(texts: pa.Array) -> bool:
    """Whether the first texts hardly repeat: counting them by hash is quicker then."""
    return 2 * len(texts.slice(0, _SAMPLE).unique()) > min(len(texts), _SAMPLE)


def _is_text(texts: pa.Array) -> bool:
    try:
        texts.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _is_broken(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return True
    return False


def _hashes(texts: pa.Array) -> Hashes:
    """A stable hash of each; of long texts the first half of their MD5, which DuckDB computes by the block."""
    octets = texts.cast(pa.binary())
    long = pc.greater(pc.binary_length(octets), _HASHED_IN_WORDS)
    if not pc.any(long).as_py():
        return stable_hash(pa.table({"text": octets}), ("text",), "stats")
    places = np.flatnonzero(long.to_numpy(zero_copy_only=False))
    short = pc.if_else(long, pa.scalar(b"", pa.binary()), octets)
    hashes = stable_hash(pa.table({"text": short}), ("text",), "stats")
    rows = pa.table({"place": places, "octets": octets.take(pa.array(places))})
    sql = "SELECT md5_number_lower(octets) AS hash FROM rows ORDER BY place"
    hashes[places] = connection().register("rows", rows).execute(sql).fetchnumpy()["hash"]
    connection().unregister("rows")
    return hashes
