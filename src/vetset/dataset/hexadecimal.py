"""Hexadecimal digits to bytes, whole columns at once."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def unhex(data: Bytes, starts: NDArray[np.int64], width: int) -> tuple[Bytes, NDArray[np.bool_]]:
    """The values of texts of `2 * width` digits, in either case.

    Args:
        data: uint8, all texts.
        starts: int64 (n,), where each begins; none of them reaches out of `data`.
        width: bytes of a value.

    Returns:
        uint8 (n, width), and bool (n,): which texts are digits throughout; the values of the others mean nothing.
    """
    values, good = np.empty((len(starts), width), np.uint8), np.empty(len(starts), np.bool_)
    _unhex(data, starts, values, good)
    return values, good


@njit(cache=True, nogil=True)
def _unhex(data: Bytes, starts: NDArray[np.int64], values: Bytes, good: NDArray[np.bool_]) -> None:
    """Sums stay in eight bits, so that one vector holds many: '0' to '9' end in their value, 'a' and 'A' in 1."""
    low, nine, five, four, six = np.uint8(15), np.uint8(9), np.uint8(5), np.uint8(4), np.uint8(6)
    zero, letter, small = np.uint8(0x30), np.uint8(0x61), np.uint8(0x20)
    width = values.shape[1]
    for row in range(len(starts)):
        digits = data[starts[row] : starts[row] + 2 * width]
        value = values[row]
        bad = np.uint8(0)
        for i in range(width):
            one, two = digits[2 * i], digits[2 * i + 1]
            upper = np.uint8((one & low) + nine * np.uint8(one >> six))
            value[i] = np.uint8(upper << four) | np.uint8((two & low) + nine * np.uint8(two >> six))
            bad |= np.uint8(np.uint8(one - zero) > nine) & np.uint8(np.uint8(np.uint8(one | small) - letter) > five)
            bad |= np.uint8(np.uint8(two - zero) > nine) & np.uint8(np.uint8(np.uint8(two | small) - letter) > five)
        good[row] = bad == 0
