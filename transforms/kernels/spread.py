"""How numbers are spread: counts in bins of a binary grid that all data share, so that spreads add up exactly.

A float64 of a sign, an exponent and a fraction keeps its order when its bits are read as an integer. A bin is all numbers whose
upper bits agree; a spread keeps as many bits as leave it `BINS` bins, all 64 while there are few distinct values. Which bits are kept
depends on the set of values alone, so merging is exact, associative and commutative, and two spreads have common bins by
construction. The idea is that of HDR Histogram (hdrhistogram.github.io) and DDSketch (Masson, Rim and Lee, VLDB 2019), whose bins are
of constant relative width; here the width follows the data.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

BINS = 2048
"""The most bins of a spread. A quantile is known to within one bin, which holds about 1/200 of the values of a smooth distribution."""

_SIGN = np.int64(2**63 - 1)
_ZERO = 1e-300
"""Numbers nearer to zero than this are in the bin of zero, and quantiles within it are zero: half of a column of zeros is not 5e-311."""
_CELL_BITS = 17
_SAMPLE = 4096

Numbers = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Spread:
    """Counts of finite numbers in bins, ascending; empty bins are left out."""

    shift: int
    """How many lower bits of a number were dropped; 0: every value is kept as it is."""
    keys: Keys
    """The upper bits of each bin."""
    counts: Numbers
    weights: Numbers | None = None
    """The sum of the weights in each bin, if the rows are weighted."""

    def __add__(self, other: "Spread") -> "Spread":
        """The spread of both together."""
        return together([self, other])

    @property
    def total(self) -> float:
        """How many numbers there are."""
        return float(self.counts.sum())

    @property
    def lows(self) -> Numbers:
        """The least number of each bin."""
        return _number(self.keys << self.shift)

    @property
    def highs(self) -> Numbers:
        """The greatest number of each bin."""
        return _number((self.keys << self.shift) | np.int64((1 << self.shift) - 1))

    def coarser(self, bins: int) -> "Spread":
        """The same in at most so many bins, on the same grid."""
        masses = [self.counts] if self.weights is None else [self.counts, self.weights]
        return _collected(self.shift, self.keys, masses, bins)

    def at(self, shift: int) -> "Spread":
        """The same with so many bits dropped, no fewer than are dropped already."""
        coarse = self.keys >> (shift - self.shift)
        starts = _starts(coarse)
        weights = None if self.weights is None else np.add.reduceat(self.weights, starts)
        return Spread(shift, coarse[starts], np.add.reduceat(self.counts, starts), weights)

    def mass(self, weighted: bool = False) -> Numbers:
        """The counts, or the sums of weights."""
        return self.weights if weighted and self.weights is not None else self.counts

    def quantiles(self, shares: Sequence[float], least: float, greatest: float, weighted: bool = False) -> Numbers:
        """The numbers below or at which the shares lie; interpolated within a bin, exact where values are kept as they are.

        Args:
            shares: between 0 and 1.
            least: the smallest number, which a bin does not tell.
            greatest: the largest.
            weighted: by weight instead of count.
        """
        reached = np.cumsum(self.mass(weighted))
        ranks = np.asarray(shares) * reached[-1]
        places = np.minimum(np.searchsorted(reached, ranks * (1 + 1e-12)), len(reached) - 1)
        before = np.where(places > 0, reached[places - 1], 0.0)
        mass = reached[places] - before
        inside = np.where(mass > 0, np.clip((ranks - before) / np.where(mass > 0, mass, 1.0), 0, 1), 0.0)
        lows, highs = np.maximum(self.lows[places], least), np.minimum(self.highs[places], greatest)
        found: Numbers = np.where(lows == highs, lows, lows + (highs - lows) * inside)
        found[np.abs(found) < _ZERO] = 0.0
        return found

    def below(self, bounds: Numbers, weighted: bool = False) -> Numbers:
        """How many numbers are smaller than each bound; interpolated within a bin."""
        reached = np.concatenate([[0.0], np.cumsum(self.mass(weighted))])
        places = np.searchsorted(self.lows, bounds, side="left")
        last = np.maximum(places - 1, 0)
        lows, highs = self.lows[last], self.highs[last]
        wide = highs > lows
        inside = np.where(wide, np.clip((bounds - lows) / np.where(wide, highs - lows, 1.0), 0, 1), 1.0)
        found: Numbers = np.where(places > 0, reached[last] + self.mass(weighted)[last] * inside, 0.0)
        return found


NONE = Spread(0, np.array([], np.int64), np.array([], np.float64))
"""The spread of no numbers."""


def spread_of(numbers: Numbers, weights: Numbers | None = None) -> Spread:
    """The spread of finite numbers, in a few passes and without sorting them."""
    if not len(numbers):
        return NONE if weights is None else dataclasses.replace(NONE, weights=NONE.counts)
    if weights is None and _repeat(numbers):
        counted = pc.value_counts(pa.array(numbers + 0.0))
        keys, counts = _keys(counted.field(0).to_numpy()), counted.field(1).to_numpy().astype(np.float64)
        order = np.argsort(keys)
        return _collected(0, keys[order], [counts[order]], BINS)
    keys = _keys(numbers)
    cell_bits = min(max(len(keys).bit_length(), 13), _CELL_BITS)
    # Digit by digit, from the highest: only prefixes that occur are told apart further.
    shift = 64 - cell_bits
    cells = keys >> shift
    cells &= (1 << cell_bits) - 1
    filled = np.bincount(cells, minlength=1 << cell_bits)
    prefixes = there = np.flatnonzero(filled)
    while shift and len(there) <= BINS:
        place = np.empty(len(filled), np.int64)
        place[there] = np.arange(len(there))
        bits = min(cell_bits - (len(there) - 1).bit_length(), shift)
        shift -= bits
        digits = keys >> shift
        digits &= (1 << bits) - 1
        cells = place[cells]
        cells <<= bits
        cells |= digits
        filled = np.bincount(cells, minlength=len(there) << bits)
        there = np.flatnonzero(filled)
        prefixes = (prefixes[there >> bits] << bits) | (there & ((1 << bits) - 1))
    masses = [filled[there].astype(np.float64)]
    if weights is not None:
        masses.append(np.bincount(cells, weights, len(filled))[there].astype(np.float64))
    prefixes = (prefixes << shift) >> shift  # the first bit is the sign: negative numbers stand behind the others
    negative = np.searchsorted(-(prefixes >> 63), 1)
    return _collected(shift, np.roll(prefixes, -negative), [np.roll(mass, -negative) for mass in masses], BINS)


def spread_of_one(number: float, count: int, weight: float | None = None) -> Spread:
    """The spread of one number that comes so many times."""
    weights = None if weight is None else np.array([weight])
    return Spread(0, _keys(np.array([number])), np.array([float(count)]), weights) if count else NONE


def together(spreads: Sequence[Spread]) -> Spread:
    """The spread of all together."""
    filled = [one for one in spreads if len(one.keys)]
    if len(filled) < 2:
        return filled[0] if filled else next(iter(spreads), NONE)
    shift = max(one.shift for one in filled)
    keys = np.concatenate([one.keys >> (shift - one.shift) for one in filled])
    order = np.argsort(keys, kind="stable")
    masses = [np.concatenate([one.counts for one in filled])[order]]
    if filled[0].weights is not None:
        masses.append(np.concatenate([one.mass(weighted=True) for one in filled])[order])
    return _collected(shift, keys[order], masses, BINS)


def common(first: Spread, second: Spread, bins: int) -> tuple[Spread, Spread]:
    """Both in the same bins, at most so many in all."""
    shift = (first + second).coarser(bins).shift
    return first.at(shift), second.at(shift)


def _collected(shift: int, keys: Keys, masses: list[Numbers], bins: int) -> Spread:
    """Adds up equal keys, in ascending order, after dropping the fewest bits that leave so many bins."""
    apart = keys[1:] ^ keys[:-1]
    if len(apart) >= bins:
        # Two neighbours fall together when the highest bit in which they differ is dropped.
        highest = apart.astype(np.uint64)
        needed = int(np.partition(highest, len(highest) - bins)[len(highest) - bins])
        keys, shift = keys >> needed.bit_length(), shift + needed.bit_length()
    starts = _starts(keys)
    summed = [np.add.reduceat(mass, starts) for mass in masses]
    return Spread(shift, keys[starts], *summed)


def _starts(keys: Keys) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.concatenate([np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1]]))


def _repeat(numbers: Numbers) -> bool:
    """Whether the first numbers repeat: counting them one by one is quicker then."""
    sample = np.sort(numbers[:_SAMPLE])
    return bool(2 * (np.count_nonzero(sample[1:] != sample[:-1]) + 1) <= len(sample))


def _keys(numbers: Numbers) -> Keys:
    """Integers in the order of the numbers; both zeros are one."""
    bits = (numbers + 0.0).view(np.int64)
    keys = bits >> 63
    keys &= _SIGN
    keys ^= bits
    return keys


def _number(keys: Keys) -> Numbers:
    return (keys ^ ((keys >> 63) & _SIGN)).view(np.float64)
