"""Vectors of sixteen lanes in LLVM's own operations, for kernels that no compiler makes vectors of by itself."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

LANES = 16
"""Lanes of a vector."""


def shuffled(builder: Any, one: Any, other: Any, lanes: Sequence[int]) -> Any:
    """Lanes of two vectors, counted through, in another order."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
    return builder.shuffle_vector(one, other, mask)


def turned_over(builder: Any, rows: list[Any]) -> list[Any]:
    """The 16 columns of 16 rows: pairs, then fours within quarters of a vector, then the quarters."""

    def lanes(*pattern: int) -> list[int]:
        return [quarter + lane for quarter in range(0, LANES, 4) for lane in pattern]

    low, high = lanes(0, 16, 1, 17), lanes(2, 18, 3, 19)
    pairs = [shuffled(builder, rows[i & ~1], rows[i | 1], high if i & 1 else low) for i in range(LANES)]
    low, high = lanes(0, 1, 16, 17), lanes(2, 3, 18, 19)
    fours = []
    for i in range(LANES):
        first = (i & ~3) + (i >> 1 & 1)
        fours.append(shuffled(builder, pairs[first], pairs[first + 2], high if i & 1 else low))
    even = [lane for lane in range(2 * LANES) if not lane & 4]
    odd = [lane for lane in range(2 * LANES) if lane & 4]
    columns: list[Any] = [None] * LANES
    for i in range(4):
        for part, quarter in ((even, 0), (odd, 4)):
            one = shuffled(builder, fours[i], fours[4 + i], part)
            other = shuffled(builder, fours[8 + i], fours[12 + i], part)
            columns[quarter + i] = shuffled(builder, one, other, even)
            columns[quarter + 8 + i] = shuffled(builder, one, other, odd)
    return columns
