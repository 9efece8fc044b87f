"""Rows of embeddings in small integers around a centre, for `vetset.search.screen`, which says what their bound is.

Three times over each row: its length; what is left without the centre; that in whole steps.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from vetset.search.lanes import LANES, SINGLES, WORDS, Lanes, pointers
from vetset.search.similarity import Floats, widen

GONE, ODD, FIT = 0, 1, 2
"""A row that is not finite takes no part; one of zeros or of an extreme length is not screened; the others are."""
_LONGEST = 2.0**40
_EVEN = 1e20
_NORMALISED = 0.01
_cgutils: Any = cgutils  # which carries no types


def _squares_lanes(builder: Any, arrays: list[Any], size: Any, numbers: list[Any]) -> None:  # noqa: ARG001
    lanes, (row, sums) = Lanes(builder), arrays
    total = lanes.slot()
    with lanes.columns(size) as column:
        value = lanes.load(row, column)
        lanes.add_product(total, value, value)
    _write(builder, sums, size, [lanes.folded(total, lanes.plus)])


def _centred_lanes(builder: Any, arrays: list[Any], size: Any, numbers: list[Any]) -> None:
    lanes, (row, centre, sums) = Lanes(builder), arrays
    scale = lanes.everywhere(numbers[0])
    squares, along, greatest = lanes.slot(), lanes.slot(), lanes.slot(WORDS)
    unsigned = ir.Constant(WORDS, [0x7FFFFFFF] * LANES)
    with lanes.columns(size) as column:
        middle = lanes.load(centre, column)
        z = lanes.less(lanes.times(lanes.load(row, column), scale), middle)
        lanes.store(z, row, column)
        lanes.add_product(squares, z, z)
        lanes.add_product(along, z, middle)
        # Without their sign, floats are ordered as their bits are.
        bits = builder.and_(builder.bitcast(z, WORDS), unsigned)
        builder.store(lanes.greater(bits, builder.load(greatest)), greatest)
    most = builder.bitcast(lanes.folded(greatest, lanes.greater), ir.FloatType())
    _write(builder, sums, size, [lanes.folded(squares, lanes.plus), lanes.folded(along, lanes.plus), most])


def _rounded_lanes(builder: Any, arrays: list[Any], size: Any, numbers: list[Any]) -> None:
    lanes, (z, whole, sums) = Lanes(builder), arrays
    grain, steps = (lanes.everywhere(number) for number in numbers)
    squares, total = lanes.slot(), lanes.slot(WORDS)
    kind = ir.FunctionType(SINGLES, [SINGLES])
    nearest = _cgutils.get_or_insert_function(builder.module, kind, f"llvm.rint.v{LANES}f32")
    with lanes.columns(size) as column:
        value = lanes.load(z, column)
        step = builder.call(nearest, [lanes.times(value, steps)])
        left = lanes.less(value, lanes.times(step, grain))
        lanes.add_product(squares, left, left)
        number = builder.fptosi(step, WORDS)
        builder.store(builder.add(number, builder.load(total)), total)
        lanes.store(builder.trunc(number, ir.VectorType(ir.IntType(8), LANES)), whole, column)
    summed = builder.sitofp(lanes.folded(total, builder.add), ir.FloatType())
    _write(builder, sums, size, [lanes.folded(squares, lanes.plus), summed])


def _write(builder: Any, sums: Any, size: Any, values: list[Any]) -> None:
    for place, value in enumerate(values):
        builder.store(value, builder.gep(sums, [ir.Constant(size.type, place)]))


if TYPE_CHECKING:

    def _squares(row: Floats, sums: Floats, size: int) -> None: ...
    def _centred(row: Floats, centre: Floats, sums: Floats, size: int, scale: np.float32) -> None: ...
    def _rounded(z: Floats, whole: Any, sums: Floats, size: int, *scales: np.float32) -> None: ...

else:

    def _generated(build, arrays):  # noqa: ANN001, ANN202
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            given = pointers(context, builder, signature.args[:arrays], arguments[:arrays])
            build(builder, given, arguments[arrays], arguments[arrays + 1 :])
            return context.get_dummy_value()

        return generate

    @intrinsic
    def _squares(typing_context, row, sums, size):  # noqa: ANN001, ANN202, ARG001
        """Set sums[0] to the squared length of a row, in float32; size is a multiple of 16."""
        return types.void(row, sums, types.intp), _generated(_squares_lanes, 2)

    @intrinsic
    def _centred(typing_context, row, centre, sums, size, scale):  # noqa: ANN001, ANN202, ARG001, PLR0917
        """Turn a row into z; sums become its squared length, m·z and its greatest component."""
        return types.void(row, centre, sums, types.intp, types.float32), _generated(_centred_lanes, 3)

    @intrinsic
    def _rounded(typing_context, z, whole, sums, size, grain, steps):  # noqa: ANN001, ANN202, ARG001, PLR0917
        """Write z in whole steps; sums become the squared length of what is left over, and the sum of the steps.

        The sum is exact in float32: it does not reach 2**24.
        """
        kinds = types.intp, types.float32, types.float32
        return types.void(z, whole, sums, *kinds), _generated(_rounded_lanes, 3)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _wide_squares(row: Floats) -> Any:
    total = 0.0
    for column in range(row.size):
        value = np.float64(row[column])
        total += value * value
    return total


@njit(cache=True, nogil=True)
def quantise(  # noqa: PLR0917  a kernel takes its arrays one by one
    chunk: NDArray[Any],
    centre: Floats,
    levels: int,
    terms: tuple[float, float, float],
    out: tuple[Any, ...],
    z: Floats,
) -> Any:
    """Write a chunk of rows in whole numbers of at most so many levels, with what their bound needs.

    Args:
        chunk: uint16 (n, d), the bits of float16, or float32 or int8 (n, d).
        centre: float32 (w,), m, padded with zeros to a multiple of 16 columns.
        levels: the greatest number.
        terms: of the seeds: greatest |e|, greatest |w|, slack.
        out: arrays of `vetset.search.screen.Rows`, from `whole` to `state`, filled.
        z: float32 (w,), scratch, zero behind d.

    Returns:
        int64 (3,): rows that are not finite, rows of zeros, others whose length is further than 1 % from 1.
    """
    counts, sums = np.zeros(3, np.int64), np.empty(3, np.float32)
    rest, reach, slack = terms
    whole, totals, grain, bound, apart, length, state = out
    for row in range(chunk.shape[0]):
        widen(chunk, row, z[: chunk.shape[1]])
        _squares(z, sums, z.size)
        total = np.float64(sums[0])
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
        if state[row] != FIT:
            whole[row] = 0
            totals[row] = 0
            grain[row] = 0
            bound[row] = apart[row] = 0
            continue
        _centred(z, centre, sums, z.size, np.float32(1 / long))
        squares, along, greatest = np.float64(sums[0]), sums[1], sums[2]
        a = greatest / np.float32(levels)
        steps = np.float32(levels) / greatest if greatest > np.float32(1e-30) else np.float32(0)
        _rounded(z, whole[row], sums, z.size, a, steps)
        left = np.sqrt(np.float64(sums[0]))
        totals[row] = np.int32(sums[1])
        grain[row] = a
        doubt = rest * (np.sqrt(squares) + left) + reach * left + slack
        bound[row] = along + doubt
        apart[row] = 2 * doubt
    return counts
