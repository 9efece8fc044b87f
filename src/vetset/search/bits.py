"""Counting bits inside compiled loops: the one primitive that both ways of the Hamming join rest on."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

if TYPE_CHECKING:

    def popcount(value: np.uint64) -> np.uint64:
        """Set bits of a uint64."""

else:

    @intrinsic
    def popcount(typing_context, value):  # noqa: ANN001, ANN201, ARG001  numba calls it so
        """Set bits of a uint64, as LLVM's `ctpop`: in a loop it becomes vector instructions on every machine."""

        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202, ARG001  numba calls it so
            return builder.ctpop(arguments[0])

        return types.uint64(types.uint64), generate


@njit(cache=True, nogil=True)
def distance(left: NDArray[np.uint64], i: int, right: NDArray[np.uint64], j: int) -> Any:
    """Hamming distance of two rows of uint64 (n, 4)."""
    total = popcount(left[i, 0] ^ right[j, 0]) + popcount(left[i, 1] ^ right[j, 1])
    total += popcount(left[i, 2] ^ right[j, 2]) + popcount(left[i, 3] ^ right[j, 3])
    return total


@njit(cache=True, nogil=True)
def any_near(  # noqa: PLR0917  a kernel takes its arrays one by one
    first: NDArray[np.uint64], second: NDArray[np.uint64], size: int, a: np.uint64, b: np.uint64, radius: np.uint64
) -> Any:
    """Whether any of the first `size` pairs of words is within `radius` of (a, b): a lower bound for whole codes.

    No branch inside, so that the loop becomes vector instructions.
    """
    near = np.uint64(0)
    for i in range(size):
        near |= np.uint64(popcount(first[i] ^ a) + popcount(second[i] ^ b) <= radius)
    return near != 0


def distances(codes: NDArray[np.uint8], code: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Hamming distances int64 (n,) of codes uint8 (n, width) from one code uint8 (width,), outside compiled loops."""
    return np.asarray(np.bitwise_count(codes ^ code).sum(axis=1), np.int64)
