"""The bound of `vetset.search.screen` for one row and a group of seeds: which of them it does not rule out.

Answers are bits, one for each seed of up to 64, so that a row that nothing is near costs a few instructions a seed.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from vetset.search.heap import Ints, rise, sink, worse
from vetset.search.lanes import LANES, WORDS, Lanes, pointers
from vetset.search.rounding import FIT
from vetset.search.similarity import Doubles, Floats

_cgutils: Any = cgutils  # which carries no types
_BITS = ir.IntType(64)
_ROUNDED = 1e-6
"""What taking the lower side in single precision may have added, several times over."""


def _mask_lanes(builder: Any, arrays: list[Any], size: Any, row: Any, numbers: list[Any]) -> Any:
    lanes, (scores, grains, offsets, needed) = Lanes(builder), arrays
    grain, bound, scale = (lanes.everywhere(number) for number in numbers)
    mask = _cgutils.alloca_once_value(builder, ir.Constant(_BITS, 0))
    with lanes.columns(size) as (seed,):
        score = builder.sitofp(lanes.load(scores, builder.add(row, seed), WORDS), grain.type)
        cosine = lanes.times(lanes.load(grains, seed), lanes.times(grain, score))
        above = lanes.plus(cosine, lanes.plus(lanes.load(offsets, seed), bound))
        reached = builder.fcmp_ordered(">=", above, lanes.times(lanes.load(needed, seed), scale))
        bits = builder.zext(builder.bitcast(reached, ir.IntType(LANES)), _BITS)
        shifted = builder.shl(bits, builder.zext(seed, _BITS) if seed.type.width < 64 else seed)
        builder.store(builder.or_(builder.load(mask), shifted), mask)
    return builder.load(mask)


if TYPE_CHECKING:

    def _mask(scores: Any, grains: Any, offsets: Any, needed: Any, *numbers: Any) -> Any: ...

    def _lowest(bits: Any) -> int: ...

else:

    @intrinsic
    def _mask(typing_context, scores, grains, offsets, needed, size, start, grain, bound, scale):  # noqa: ANN001, ANN202, ARG001, PLR0917
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            arrays = pointers(context, builder, signature.args[:4], arguments[:4])
            return _mask_lanes(builder, arrays, arguments[4], arguments[5], arguments[6:])

        kinds = types.intp, types.intp, types.float32, types.float32, types.float32
        return types.uint64(scores, grains, offsets, needed, *kinds), generate

    @intrinsic
    def _lowest(typing_context, bits):  # noqa: ANN001, ANN202, ARG001
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202, ARG001
            return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

        return types.intp(types.uint64), generate


@njit(cache=True, nogil=True)
def possible(
    scores: NDArray[np.int32], row: int, seeds: tuple[Floats, Floats, Floats], terms: tuple[Any, Any, Any]
) -> Any:
    """Bits of the seeds whose bound on the cosine with a row reaches what is needed.

    Args:
        scores: int32 (n, w), p·q, contiguous, and memory behind it up to a multiple of 16 seeds of the last row.
        row: which.
        seeds: of the group, padded to a multiple of 16, 64 at most: grains, offsets, needed; needed is infinite for
            the padding.
        terms: of the row, float32: grain, bound, and what `needed` is multiplied by.
    """
    grains, offsets, needed = seeds
    return _mask(scores, grains, offsets, needed, needed.size, row * scores.shape[1], *terms)


@njit(cache=True, nogil=True)
def lowest(bits: Any) -> Any:
    """The place of the lowest bit that is set."""
    return _lowest(bits)


@njit(cache=True, nogil=True)
def raise_floors(  # noqa: PLR0917  a kernel takes its arrays one by one
    scores: NDArray[np.int32],
    seeds: tuple[Floats, Floats, Doubles],
    rows: tuple[Floats, Floats, Floats, Doubles, NDArray[np.uint8]],
    cosine: bool,
    needed: Floats,
    best: tuple[Doubles, Ints, Ints],
) -> None:
    """Take the least similarities that the bound leaves possible into heaps, the worst of each on top.

    When a seed's heap is full, as many rows are at least as similar as its top says, and `needed` rises to it.

    Args:
        scores: as `possible` takes them.
        seeds: of the group: grains, offsets, and float64 lengths.
        rows: grain, bound, apart, length, state.
        cosine: cosine, or else inner product.
        needed: float32, as `possible` takes it, raised.
        best: float64 (s, k) heaps, int64 (s, k) places, and how many of each are filled.
    """
    grains, offsets, lengths = seeds
    for row in range(scores.shape[0]):
        if rows[4][row] != FIT:
            continue
        scale = np.float32(1) if cosine else np.float32(1 / rows[3][row])
        # The lower side of the bound is held to what is needed.
        lower = rows[1][row] - rows[2][row]
        bits = _mask(scores, grains, offsets, needed, needed.size, row * scores.shape[1], rows[0][row], lower, scale)
        while bits:
            seed = _lowest(bits)
            bits &= bits - np.uint64(1)
            least = np.float64(grains[seed]) * np.float64(rows[0][row]) * scores[row, seed]
            least += np.float64(offsets[seed]) + np.float64(lower) - _ROUNDED
            least = least if cosine else least * lengths[seed] * rows[3][row]
            heap, places, filled = best[0][seed], best[1][seed], best[2]
            if filled[seed] < heap.size:
                rise(heap, places, filled[seed], least, row)
                filled[seed] += 1
            elif worse(heap, places, 0, least, row):
                sink(heap, places, least, row)
            if filled[seed] == heap.size:
                top = heap[0]
                bar = top if cosine else (top / lengths[seed] if lengths[seed] > 0 else -np.inf)
                needed[seed] = max(needed[seed], np.float32(bar))
