"""The 64 x 64 samples of PDQ by folded weights: each pixel is touched once, all but a few in whole numbers.

Two box filters and the picking of 64 samples are one linear map along each axis, so each sample is a weighted sum over
a short run of rows, and of columns. Inside the picture a window of w values makes the weights 1, 2, … w … 2, 1 over
w²: rows are added up in 16-bit whole numbers while 255 · w² fits, which is exact and takes the least of memory and
registers. Where a window is cut by the edge, or longer than that, the weights are float32.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.signal.lanes import LANES
from vetset.signal.pdq_lanes import fold_tile
from vetset.signal.pdq_replay import SIDE

_LUMA = np.array([0.299, 0.587, 0.114])
_LONGEST_WHOLE = 16  # the widest window whose sums, 255 times its square, stay below 2^16
_EQUAL = 1e-3  # whole numbers times their share may be so far from the weights times it

Array32 = NDArray[np.float32]
Indices = NDArray[np.int64]


Down = tuple[Indices, Indices, Array32, NDArray[np.bool_], NDArray[np.uint16], float]
"""Of the rows, for each of the 64 samples: the first, how many, their weights (64, n), and whether whole numbers serve;
then those, (2 · window - 1,), and what a sum of them is multiplied by. A plain tuple: Numba takes it with less ado.
"""
Across = tuple[Indices, Array32]
"""Of the interleaved colours of a row, for each of the 64 samples: the first, and weights (64, n) with luma in them, in
whole vectors, zeros behind the last.
"""


def fold_down(length: int, window: int, picks: Indices, *, mirrored: bool = False) -> Down:
    """The weights over the rows of a picture of this height; `mirrored`: as if its last row were the first."""
    starts, counts, weights = _weights(length, window, picks, mirrored=mirrored)
    whole = np.convolve(np.ones(window, np.uint16), np.ones(window, np.uint16))
    regular = counts == whole.size
    if window > _LONGEST_WHOLE:
        regular[:] = False
    else:
        apart = np.abs(weights * np.float32(window * window) - whole).max(axis=1)
        regular &= apart < _EQUAL
    return starts, counts, weights, regular, whole.astype(np.uint16), 1 / (window * window)


def fold_across(length: int, window: int, picks: Indices, *, mirrored: bool = False) -> Across:
    """The weights over the interleaved colours of a row of this width; `mirrored`: as if the last were the first."""
    starts, _, weights = _weights(length, window, picks, mirrored=mirrored)
    colours = (weights[:, :, None] * _LUMA).reshape(SIDE, -1)
    taps = -(-colours.shape[1] // LANES) * LANES
    padded = np.zeros((SIDE, taps), np.float32)
    padded[:, : colours.shape[1]] = colours
    return 3 * starts, padded


def _weights(length: int, window: int, picks: Indices, *, mirrored: bool) -> tuple[Indices, Indices, Array32]:
    starts, counts, weights = folded_weights(length, window, picks)
    if mirrored:
        starts = length - starts - counts
        for k in range(SIDE):
            weights[k, : counts[k]] = weights[k, : counts[k]][::-1].copy()
    return starts, counts, weights


@njit(cache=True, nogil=True)
def folded_weights(length: int, window: int, picks: Indices) -> tuple[Indices, Indices, Array32]:
    """Two boxes and the picking as one sparse matrix: first value, number of values and weights of each sample."""
    ahead = (window + 2) // 2 - 1
    before = window - 1 - ahead
    starts = np.empty(SIDE, np.int64)
    counts = np.empty(SIDE, np.int64)
    weights = np.zeros((SIDE, 2 * window - 1), np.float32)
    steps = np.empty(2 * window, np.float64)
    for k in range(SIDE):
        low, high = max(0, picks[k] - before), min(length - 1, picks[k] + ahead)
        start = max(0, low - before)
        starts[k], counts[k] = start, min(length - 1, high + ahead) - start + 1
        steps[:] = 0.0
        for middle in range(low, high + 1):
            first, last = max(0, middle - before), min(length - 1, middle + ahead)
            share = 1.0 / ((high - low + 1) * (last - first + 1))
            steps[first - start] += share
            steps[last + 1 - start] -= share
        level = 0.0
        for i in range(counts[k]):
            level += steps[i]
            weights[k, i] = level
    return starts, counts, weights


@njit(cache=True, nogil=True)
def folded(rows: NDArray[np.uint8], down: Down, acrosses: tuple[Across, ...]) -> Array32:
    """The samples, float32 (n, 64, 64), of rows (H, 3 W) of interleaved colours, by each of the n ways across."""
    firsts, counts, factors, regular, numbers, share = down
    taps = acrosses[0][1].shape[1]
    samples = np.empty((len(acrosses), SIDE, SIDE), np.float32)
    # zeros behind the row, where the last weights, which are zero, still read
    width = rows.shape[1]
    whole = np.zeros(width + taps, np.uint16)
    colours = np.zeros(width + taps, np.float32)
    for r in range(SIDE):
        first = firsts[r]
        if regular[r]:
            _add_whole(rows[first : first + numbers.size], numbers, whole[:width])
        else:
            _add(rows[first : first + counts[r]], factors[r], colours[:width])
        for way in range(len(acrosses)):
            starts, weights = acrosses[way]
            for k in range(0, SIDE, LANES):
                if regular[r]:
                    fold_tile(whole, starts, weights.ravel(), taps, k, np.float32(share), samples[way, r], k)
                else:
                    fold_tile(colours, starts, weights.ravel(), taps, k, np.float32(1), samples[way, r], k)
    return samples


@njit(cache=True, nogil=True)
def _add_whole(rows: NDArray[np.uint8], weights: NDArray[np.uint16], out: NDArray[np.uint16]) -> None:
    """Weighted sum of rows; their number is odd, and four at a time share one walk over `out`."""
    a, p = rows[0], weights[0]
    done = rows.shape[0] & 3
    if done == 1:
        for x in range(out.size):
            out[x] = np.uint16(p * np.uint16(a[x]))
    else:
        b, c, q, r = rows[1], rows[2], weights[1], weights[2]
        for x in range(out.size):
            out[x] = np.uint16(p * np.uint16(a[x])) + np.uint16(q * np.uint16(b[x])) + np.uint16(r * np.uint16(c[x]))
    while done < rows.shape[0]:
        a, b, c, d = rows[done], rows[done + 1], rows[done + 2], rows[done + 3]
        p, q, r, s = weights[done], weights[done + 1], weights[done + 2], weights[done + 3]
        for x in range(out.size):
            out[x] = np.uint16(
                out[x]
                + np.uint16(p * np.uint16(a[x]))
                + np.uint16(q * np.uint16(b[x]))
                + np.uint16(r * np.uint16(c[x]))
                + np.uint16(s * np.uint16(d[x]))
            )
        done += 4


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def _add(rows: NDArray[np.uint8], weights: Array32, out: Array32) -> None:
    """Weighted sum of rows, four at a time."""
    done = rows.shape[0] & 3
    out[:] = np.float32(0)
    for i in range(done):
        a, p = rows[i], weights[i]
        for x in range(out.size):
            out[x] += p * np.float32(a[x])
    while done < rows.shape[0]:
        a, b, c, d = rows[done], rows[done + 1], rows[done + 2], rows[done + 3]
        p, q, r, s = weights[done], weights[done + 1], weights[done + 2], weights[done + 3]
        for x in range(out.size):
            out[x] += p * np.float32(a[x]) + q * np.float32(b[x]) + r * np.float32(c[x]) + s * np.float32(d[x])
        done += 4
