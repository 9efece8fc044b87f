"""Screening in small integers: a bound on the cosine of every seed and every row that costs a fraction of the cosine.

What the bound rules out is left; the rest is computed as it is defined. So the screening decides about time, never
about the answer.

Let x be a seed and y a row, both at length 1, and m any fixed vector of length 1 or less; the mean of some rows serves
best, since what all pictures have in common then needs no digits. With z = y - m and w = x - m,

    x·y = x·m + m·z + w·z.

Both z and w are written in 8 bits, z = a q + r and w = b p + e, with q and p whole numbers of -127 to 127 (of 7 bits,
-63 to 63, where the processor multiplies those much faster), so

    w·z = a b (p·q) + e·(a q) + w·r  <=  a b (p·q) + |e| |a q| + |w| |r|      (Cauchy-Schwarz),

where p·q is exact in 32-bit integers (d 127² is less than 2³¹ for d up to 65,536), and every other term belongs to the
seed alone or the row alone. |r| is the row's own rounding error, not the worst that so many bits could bring.

Single precision. Let u = 2**-24. A sum of d float32 products is off by at most 1.1 d u times the product of the lengths
(Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1); squares too small for float32 add less
than 2**-40, since the sum is taken in float64 where it is outside 1e-20 .. 1e20. So is y by its length, which is a
factor of 1 +- 0.6 d u; y and z, rounded to float32, are off by 3 u and u |z|; r is off by 3 u |z|. With |m| <= 1,
|z|, |w| <= 2 and |r|, |e| <= 2, each of fewer than twenty such errors, those of comparing in float32 included, is at
most 5 u, and each of five sums is off by less than 5 d u. So (25 d + 100) u bounds them all together; it is added to
the bound. Rows of a length outside 2**-40 .. 2**40 are not screened.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vetset.search.lanes import LANES
from vetset.search.products import COLUMNS, GROUP, LEVELS, TILE, Group, Way, packed, quickest
from vetset.search.rounding import quantise
from vetset.search.similarity import Doubles, Floats, lengths

MOST_COLUMNS = 1 << 16
_SEVEN_BITS = 63
_AT_ONCE = 4
"""Rows that are rounded together; in single precision they stay in the core's nearest cache."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """Seeds as they are, and as they are screened.

    Attributes:
        exact: float32 (s, d).
        length: float64 (s,).
        centre: float32 (d, padded to a multiple of `COLUMNS`), m.
        levels: the greatest of the numbers p and q.
        groups: the numbers p, up to 64 seeds together.
        grain: float32 (s padded to a multiple of 16,), b.
        offset: float32 (s padded,), x·m.
        rest: the greatest |e|, times its allowance.
        reach: the greatest |w|, times its allowance.
        slack: what single precision may add.
    """

    exact: Floats
    length: Doubles
    centre: Floats
    levels: int
    groups: tuple[Group, ...]
    grain: Floats
    offset: Floats
    rest: float
    reach: float
    slack: float

    @classmethod
    def prepared(cls, exact: Floats, centre: Floats, way: Way | None = None) -> Self:
        """Seeds, float32 (s, d) and finite, around a centre, float32 (d,) of length 1 or less; by the quickest way."""
        way = way or quickest(_SEVEN_BITS)
        levels = LEVELS[way]
        length = lengths(exact)
        unit = np.divide(exact, length[:, None], out=np.zeros(exact.shape), where=length[:, None] > 0)
        middle = centre.astype(np.float64)
        w = unit - middle
        grain = (np.abs(w).max(axis=1, initial=0) / levels).astype(np.float32)
        steps = np.divide(w, grain[:, None], out=np.zeros_like(w), where=grain[:, None] > 0)
        whole = np.clip(np.rint(steps), -levels, levels)
        rest = np.linalg.norm(w - whole * grain[:, None], axis=1)
        columns = exact.shape[1], _padded(exact.shape[1], COLUMNS)
        padded = np.zeros((len(exact), columns[1]), np.int8)
        padded[:, : columns[0]] = whole
        return cls(
            exact=exact,
            length=length,
            centre=np.pad(centre, (0, columns[1] - columns[0])),
            levels=levels,
            groups=tuple(packed(padded[at : at + GROUP], way) for at in range(0, len(exact), GROUP)),
            grain=_lanes(grain),
            offset=_lanes((unit @ middle).astype(np.float32)),
            rest=float(rest.max(initial=0)) * (1 + 1e-6),
            reach=float(np.linalg.norm(w, axis=1).max(initial=0)) * (1 + 1e-6),
            slack=(25 * exact.shape[1] + 100) * 2.0**-24,
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """Room for a chunk of rows as they are screened.

    Attributes:
        whole: int8 (n, d), q; rows and columns padded with zeros.
        sums: int32 (n,), the sum of each q.
        grain: float32 (n,), a.
        bound: float32 (n,), what is added to the bound on the cosine for the row alone.
        apart: float32 (n,), by how much the bound is above a cosine at most.
        length: float64 (n,), |y|.
        state: uint8 (n,), `GONE`, `ODD` or `FIT` (`vetset.search.rounding`).
        scores: int32 (n × GROUP,), p·q.
        scratch: float32 (`_AT_ONCE`, d padded as `whole` is).
    """

    whole: NDArray[np.int8]
    sums: NDArray[np.int32]
    grain: Floats
    bound: Floats
    apart: Floats
    length: Doubles
    state: NDArray[np.uint8]
    scores: NDArray[np.int32]
    scratch: Floats

    @classmethod
    def room(cls, rows: int, dimension: int) -> Self:
        """For at most this many rows."""
        tall, wide = _padded(rows, TILE), _padded(dimension, COLUMNS)
        return cls(
            np.zeros((tall, wide), np.int8), np.zeros(tall, np.int32), np.empty(rows, np.float32),
            np.empty(rows, np.float32), np.empty(rows, np.float32), np.empty(rows), np.empty(rows, np.uint8),
            np.empty(tall * GROUP, np.int32), np.zeros((_AT_ONCE, wide), np.float32),
        )  # fmt: skip

    def take(self, chunk: NDArray[Any], seeds: Seeds) -> NDArray[np.int64]:
        """Write a chunk, float16 bits, float32 or int8 (n, d), in whole numbers.

        Returns:
            int64 (3,): rows that are not finite, rows of zeros, others whose length is further than 1 % from 1.
        """
        out = self.whole, self.sums, self.grain, self.bound, self.apart, self.length, self.state
        counts: NDArray[np.int64] = quantise(
            chunk, seeds.centre, seeds.levels, (seeds.rest, seeds.reach, seeds.slack), out, self.scratch
        )
        return counts

    def products(self, rows: int, seeds: Seeds) -> Iterator[tuple[slice, slice, NDArray[np.int32]]]:
        """For each group of seeds, p·q of the first rows with it.

        Yields:
            The group among the seeds; the same, padded to a multiple of 16; int32 (rows, seeds of the group or more),
            with memory behind it for as many.
        """
        tall = _padded(rows, TILE)
        for number, group in enumerate(seeds.groups):
            scores = group.multiply(self.whole[:tall], self.sums[:tall], self.scores)
            first = number * GROUP
            lanes = slice(first, first + _padded(group.seeds, LANES))
            yield slice(first, first + group.seeds), lanes, scores[:rows]


def _lanes(values: Floats) -> Floats:
    return np.pad(values, (0, _padded(len(values), LANES) - len(values)))


def _padded(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def centre_of(chunk: NDArray[Any]) -> Floats:
    """The mean of the directions of some rows, float32 (d,); all zero if none has one."""
    rows = chunk.astype(np.float64)
    length = np.linalg.norm(rows, axis=1)
    fit = np.isfinite(length) & (length > 0)
    if not fit.any():
        return np.zeros(chunk.shape[1], np.float32)
    # A float32 that rounds up must not make it longer than 1.
    mean: Floats = ((rows[fit] / length[fit, None]).mean(axis=0) * (1 - 1e-6)).astype(np.float32)
    return mean
