"""From the 64 x 64 samples of PDQ to its bits and quality, with the reference's roundings.

Sums run in the reference's order, from the first to the last term, so that for equal samples the answer is the
reference's. Its median (Torben's) of an even number of values is the greatest of the lower half.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.signal.lanes import LANES
from vetset.signal.pdq_lanes import PRODUCT_ROWS, product_tile
from vetset.signal.pdq_replay import SIDE

LOW = 16
"""Low frequencies along each axis whose signs against the median become bits."""

_HALF = LOW * LOW // 2  # of the coefficients, the lower half
_SIGN = np.int32(0x7FFF_FFFF)

Array32 = NDArray[np.float32]


def cosines() -> Array32:
    """The (16, 64) transform matrix, rounded where the reference rounds: a float32 scale, double cosines, float32."""
    scale = float(np.float32(math.sqrt(2.0 / SIDE)))
    step = math.pi / 2.0 / SIDE
    table = [[scale * math.cos(step * (i + 1) * (2 * j + 1)) for j in range(SIDE)] for i in range(LOW)]
    return np.array(table, dtype=np.float32)


@njit(cache=True, nogil=True)
def transformed(samples: Array32, matrix: Array32, transposed: Array32) -> Array32:
    """The 256 coefficients, float32, row by row: `matrix` (16, 64) times samples times `transposed` (64, 16)."""
    middle = np.empty(LOW * SIDE, np.float32)
    coefficients = np.empty(LOW * LOW, np.float32)
    for i in range(0, LOW, PRODUCT_ROWS):
        for j in range(0, SIDE, LANES):
            product_tile(matrix.ravel(), i * SIDE, SIDE, samples.ravel(), j, SIDE, middle, i * SIDE + j)
        product_tile(middle, i * SIDE, SIDE, transposed.ravel(), 0, LOW, coefficients, i * LOW)
    return coefficients


@njit(cache=True, nogil=True)
def halves(values: Array32) -> tuple[Any, Any]:
    """The greatest of the lower 128 of 256 values, and the least of the upper: `np.sort(values)[127:129]`.

    Found by bisection of their bits, which as whole numbers are in the order of the values.
    """
    keys = np.empty(values.size, np.int32)
    bits = values.view(np.int32)
    for i in range(keys.size):
        keys[i] = bits[i] ^ (bits[i] >> 31 & _SIGN)
    # the least whole number that at least 128 keys do not exceed
    edge, above = -(1 << 31), (1 << 31) - 1
    while edge < above:
        middle = (edge + above) >> 1
        if _not_above(keys, middle) >= _HALF:
            above = middle
        else:
            edge = middle + 1
    pair = np.full(2, edge, np.int32)
    if _not_above(keys, edge) == _HALF:
        pair[1] = (1 << 31) - 1
        for i in range(keys.size):
            if keys[i] > edge:
                pair[1] = min(pair[1], keys[i])
    for i in range(2):
        pair[i] ^= pair[i] >> 31 & _SIGN
    found = pair.view(np.float32)
    return found[0], found[1]


@njit(cache=True, nogil=True)
def _not_above(keys: NDArray[np.int32], bound: int) -> int:
    count = np.int32(0)
    for i in range(keys.size):
        count += np.int32(keys[i] <= np.int32(bound))
    return int(count)


@njit(cache=True, nogil=True)
def packed(values: Array32, median: float) -> NDArray[np.uint8]:
    """Which of 256 values are above the median, as 32 bytes: value k has the weight 2^k of the printed number."""
    out = np.zeros(values.size // 8, np.uint8)
    for i in range(values.size):
        out[out.size - 1 - i // 8] |= np.uint8(np.uint8(values[i] > median) << (i & 7))
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def gradients(samples: Array32, noise: float) -> tuple[Any, Any]:
    """Least and greatest sum of whole gradients if every sample may be wrong by `noise`."""
    slack = np.float32(2 * noise * 100 / 255)
    least = np.int32(0)
    most = np.int32(0)
    for i in range(SIDE):
        for j in range(SIDE - 1):
            size = abs((samples[i, j] - samples[i, j + 1]) * np.float32(100) / np.float32(255))
            least += np.int32(max(size - slack, np.float32(0)))
            most += np.int32(size + slack)
    for i in range(SIDE - 1):
        for j in range(SIDE):
            size = abs((samples[i, j] - samples[i + 1, j]) * np.float32(100) / np.float32(255))
            least += np.int32(max(size - slack, np.float32(0)))
            most += np.int32(size + slack)
    return least, most
