"""Screening in 8-bit integers: a bound on the cosine of every seed and every row that costs a fraction of the cosine.

What the bound rules out is left; the rest is computed as it is defined. So the screening decides about time, never
about the answer.

Let x be a seed and y a row, both at length 1, and m any fixed vector of length 1 or less; the mean of some rows serves
best, since what all pictures have in common then needs no digits. With z = y - m and w = x - m,

    x·y = x·m + m·z + w·z.

Both z and w are written in 8 bits, z = a q + r and w = b p + e, with q and p whole numbers of -127 to 127, so

    w·z = a b (p·q) + e·(a q) + w·r  <=  a b (p·q) + |e| |a q| + |w| |r|      (Cauchy-Schwarz),

where p·q is exact in 32-bit integers (d 127² is less than 2³¹ for d up to 65,536), and every other term belongs to the
seed alone or the row alone. |r| is the row's own rounding error, not the worst that 8 bits could bring.

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

import numkong
import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.search.similarity import Doubles, Floats, lengths, widen

MOST_COLUMNS = 1 << 16
GROUP = 64
"""Seeds that are multiplied at a time, which NumKong does best."""
_LEVELS = 127
_LONGEST = 2.0**40
_EVEN = 1e20
_NORMALISED = 0.01
GONE, ODD, FIT = 0, 1, 2
"""A row that is not finite takes no part; one of zeros or of an extreme length is not screened; the others are."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """Seeds as they are, and as they are screened.

    Attributes:
        exact: float32 (s, d).
        length: float64 (s,).
        centre: float32 (d,), m.
        packed: for each group of seeds its numbers p, as NumKong wants them.
        grain: float32 (s,), b.
        offset: float32 (s,), x·m.
        rest: the greatest |e|, times its allowance.
        reach: the greatest |w|, times its allowance.
        slack: what single precision may add.
    """

    exact: Floats
    length: Doubles
    centre: Floats
    packed: tuple[Any, ...]
    grain: Floats
    offset: Floats
    rest: float
    reach: float
    slack: float

    @classmethod
    def prepared(cls, exact: Floats, centre: Floats) -> Self:
        """Seeds, float32 (s, d) and finite, around a centre, float32 (d,) of length 1 or less."""
        length = lengths(exact)
        unit = np.divide(exact, length[:, None], out=np.zeros(exact.shape), where=length[:, None] > 0)
        middle = centre.astype(np.float64)
        w = unit - middle
        grain = (np.abs(w).max(axis=1, initial=0) / _LEVELS).astype(np.float32)
        steps = np.divide(w, grain[:, None], out=np.zeros_like(w), where=grain[:, None] > 0)
        whole = np.clip(np.rint(steps), -_LEVELS, _LEVELS)
        rest = np.linalg.norm(w - whole * grain[:, None], axis=1)
        whole = np.ascontiguousarray(whole.astype(np.int8))
        return cls(
            exact=exact,
            length=length,
            centre=centre,
            packed=tuple(numkong.dots_pack(whole[at : at + GROUP]) for at in range(0, len(exact), GROUP)),
            grain=grain,
            offset=(unit @ middle).astype(np.float32),
            rest=float(rest.max(initial=0)) * (1 + 1e-6),
            reach=float(np.linalg.norm(w, axis=1).max(initial=0)) * (1 + 1e-6),
            slack=(25 * exact.shape[1] + 100) * 2.0**-24,
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """Room for a chunk of rows as they are screened.

    Attributes:
        whole: int8 (n, d), q.
        grain: float32 (n,), a.
        bound: float32 (n,), what is added to the bound on the cosine for the row alone.
        length: float64 (n,), |y|.
        state: uint8 (n,), `GONE`, `ODD` or `FIT`.
        scores: int32 (n × GROUP,), p·q.
        scratch: float32 (2, d).
    """

    whole: NDArray[np.int8]
    grain: Floats
    bound: Floats
    length: Doubles
    state: NDArray[np.uint8]
    scores: NDArray[np.int32]
    scratch: Floats

    @classmethod
    def room(cls, rows: int, dimension: int) -> Self:
        """For at most this many rows."""
        return cls(
            np.empty((rows, dimension), np.int8), np.empty(rows, np.float32), np.empty(rows, np.float32),
            np.empty(rows), np.empty(rows, np.uint8), np.empty(rows * GROUP, np.int32),
            np.empty((2, dimension), np.float32),
        )  # fmt: skip

    def take(self, chunk: NDArray[Any], seeds: Seeds) -> NDArray[np.int64]:
        """Write a chunk, float16 bits, float32 or int8 (n, d), in 8 bits.

        Returns:
            int64 (3,): rows that are not finite, rows of zeros, others whose length is further than 1 % from 1.
        """
        n = len(chunk)
        counts: NDArray[np.int64] = _quantise(
            chunk, seeds.centre, (seeds.rest, seeds.reach, seeds.slack),
            (self.whole[:n], self.grain[:n], self.bound[:n], self.length[:n], self.state[:n]), self.scratch,
        )  # fmt: skip
        return counts

    def products(self, rows: int, seeds: Seeds) -> Iterator[tuple[slice, NDArray[np.int32]]]:
        """For each group of seeds, p·q of the first rows with it, int32 (rows, seeds of the group)."""
        whole = self.whole[:rows]
        for number, packed in enumerate(seeds.packed):
            group = slice(number * GROUP, min((number + 1) * GROUP, len(seeds.exact)))
            width = group.stop - group.start
            scores = self.scores[: rows * width].reshape(rows, width)
            numkong.dots_packed(whole, packed, out=numkong.from_dlpack(scores))
            yield group, scores


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


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _squares(row: Floats) -> Any:
    total = np.float32(0)
    for column in range(row.size):
        total += row[column] * row[column]
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _wide_squares(row: Floats) -> Any:
    total = 0.0
    for column in range(row.size):
        value = np.float64(row[column])
        total += value * value
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nnan", "ninf", "nsz"})
def _centred(row: Floats, scale: np.float32, centre: Floats) -> Any:
    """Turn a row into z; returns its greatest component, its squared length and m·z."""
    squares = along = np.float32(0)
    for column in range(row.size):
        z = row[column] * scale - centre[column]
        row[column] = z
        squares += z * z
        along += centre[column] * z
    # Without their sign, floats are ordered as their bits are, and of whole numbers a compiler makes vectors.
    bits = row.view(np.uint32)
    greatest = np.uint32(0)
    for column in range(row.size):
        greatest = max(greatest, bits[column] & np.uint32(0x7FFFFFFF))
    return np.uint32(greatest).view(np.float32), squares, along


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nnan", "ninf", "nsz"})
def _rounded(z: Floats, grain: np.float32, steps: np.float32, whole: NDArray[np.int8]) -> Any:
    """Write z in whole steps; returns the squared length of what is left over."""
    rest = np.float32(0)
    for column in range(z.size):
        step = np.rint(z[column] * steps)
        left = z[column] - step * grain
        rest += left * left
        whole[column] = np.int8(np.int32(step))
    return rest


@njit(cache=True, nogil=True)
def _quantise(
    chunk: NDArray[Any], centre: Floats, terms: tuple[float, float, float], out: tuple[Any, ...], scratch: Floats
) -> Any:
    counts = np.zeros(3, np.int64)
    rest, reach, slack = terms
    whole, grain, bound, length, state = out
    z = scratch[0]
    for row in range(chunk.shape[0]):
        widen(chunk, row, z)
        total = np.float64(_squares(z))
        if not 1 / _EVEN < total < _EVEN:
            total = _wide_squares(z)
        long = np.sqrt(total)
        length[row] = long
        if not np.isfinite(long):
            state[row] = GONE
            counts[0] += 1
        elif long == 0:
            state[row] = ODD
            counts[1] += 1
        else:
            state[row] = FIT if 1 / _LONGEST < long < _LONGEST else ODD
            counts[2] += abs(long - 1) > _NORMALISED
        if state[row] == FIT:
            greatest, squares, along = _centred(z, np.float32(1 / long), centre)
            a = greatest / np.float32(_LEVELS)
            steps = np.float32(_LEVELS) / greatest if greatest > np.float32(1e-30) else np.float32(0)
            left = np.sqrt(np.float64(_rounded(z, a, steps, whole[row])))
            grain[row] = a
            bound[row] = along + rest * (np.sqrt(np.float64(squares)) + left) + reach * left + slack
            continue
        whole[row] = 0
        grain[row] = 0
        bound[row] = 0
    return counts
