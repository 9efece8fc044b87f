"""Rows of embeddings in small integers around a centre, for `vetset.search.screen`, which says what their bound is.

Three times over each row: its length; what is left without the centre; that in whole steps.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from vetset.search.lanes import BYTES, HALVES, LANES, SINGLES, WORDS, Lanes
from vetset.search.similarity import Floats, has_half, widen

TIMES = 2
"""So many times sixteen columns are taken in one go, so that no sum waits for itself."""
GONE, ODD, FIT = 0, 1, 2
"""A row that is not finite takes no part; one of zeros or of an extreme length is not screened; the others are."""
_LONGEST = 2.0**40
_EVEN = 1e20
_NORMALISED = 0.01
_cgutils: Any = cgutils  # which carries no types


def _widened_lanes(builder: Any, arrays: list[Any], size: Any, kind: Any) -> None:
    lanes, (chunk, row, sums) = Lanes(builder), arrays
    totals = [lanes.slot() for _ in range(TIMES)]
    with lanes.columns(size, TIMES) as columns:
        for column, total in zip(columns, totals, strict=True):
            value = lanes.load(chunk, column, kind)
            if kind is BYTES:
                value = builder.sitofp(value, SINGLES)
            elif kind is HALVES:
                value = builder.fpext(value, SINGLES)
            lanes.store(value, row, column)
            lanes.add_product(total, value, value)
    _write(builder, sums, [lanes.folded(totals, lanes.plus)])


def _centred_lanes(builder: Any, arrays: list[Any], size: Any, scaled: Any) -> None:
    lanes, (row, centre, sums) = Lanes(builder), arrays
    scale = lanes.everywhere(scaled)
    slots = [(lanes.slot(), lanes.slot(), lanes.slot(WORDS)) for _ in range(TIMES)]
    unsigned = ir.Constant(WORDS, [0x7FFFFFFF] * LANES)
    with lanes.columns(size, TIMES) as columns:
        for column, (squares, along, greatest) in zip(columns, slots, strict=True):
            middle = lanes.load(centre, column)
            z = lanes.less(lanes.times(lanes.load(row, column), scale), middle)
            lanes.store(z, row, column)
            lanes.add_product(squares, z, z)
            lanes.add_product(along, z, middle)
            # Without their sign, floats are ordered as their bits are.
            bits = builder.and_(builder.bitcast(z, WORDS), unsigned)
            builder.store(lanes.greater(bits, builder.load(greatest)), greatest)
    squared, alongside, extremes = zip(*slots, strict=True)
    most = builder.bitcast(lanes.folded(extremes, lanes.greater), ir.FloatType())
    _write(builder, sums, [lanes.folded(squared, lanes.plus), lanes.folded(alongside, lanes.plus), most])


def _rounded_lanes(builder: Any, arrays: list[Any], size: Any, numbers: list[Any]) -> None:
    lanes, (z, whole, sums) = Lanes(builder), arrays
    grain, steps = (lanes.everywhere(number) for number in numbers)
    slots = [(lanes.slot(), lanes.slot(WORDS)) for _ in range(TIMES)]
    kind = ir.FunctionType(SINGLES, [SINGLES])
    nearest = _cgutils.get_or_insert_function(builder.module, kind, f"llvm.rint.v{LANES}f32")
    with lanes.columns(size, TIMES) as columns:
        for column, (squares, total) in zip(columns, slots, strict=True):
            value = lanes.load(z, column)
            step = builder.call(nearest, [lanes.times(value, steps)])
            left = lanes.less(value, lanes.times(step, grain))
            lanes.add_product(squares, left, left)
            number = builder.fptosi(step, WORDS)
            builder.store(builder.add(number, builder.load(total)), total)
            lanes.store(builder.trunc(number, BYTES), whole, column)
    squared, totals = zip(*slots, strict=True)
    summed = builder.sitofp(lanes.folded(totals, builder.add), ir.FloatType())
    _write(builder, sums, [lanes.folded(squared, lanes.plus), summed])


def _write(builder: Any, sums: Any, values: list[Any]) -> None:
    for place, value in enumerate(values):
        builder.store(value, builder.gep(sums, [ir.Constant(ir.IntType(64), place)]))


if TYPE_CHECKING:

    def _widened(chunk: Any, z: Floats, sums: Floats, start: int, row: int) -> None: ...
    def _centred(z: Floats, centre: Floats, sums: Floats, row: int, scale: np.float32) -> None: ...
    def _rounded(z: Floats, whole: Any, sums: Floats, row: int, first: int, *scales: np.float32) -> None: ...

else:

    def _rows(context, builder, kinds, values, row):  # noqa: ANN001, ANN202
        """Where this row of each of some arrays begins, and how long it is in the first.

        A slice of Numba's would count its array's users up and down, which costs as much as some columns.
        """
        arrays = [context.make_array(kind)(context, builder, value) for kind, value in zip(kinds, values, strict=True)]
        shapes = [_cgutils.unpack_tuple(builder, array.shape) for array in arrays]
        starts = [
            builder.gep(array.data, [builder.mul(row, shape[-1])]) if len(shape) > 1 else array.data
            for array, shape in zip(arrays, shapes, strict=True)
        ]
        return starts, shapes[0][-1]

    @intrinsic
    def _widened(typing_context, chunk, z, sums, first, row):  # noqa: ANN001, ANN202, ARG001, PLR0917
        """Write a row of a chunk to a row of z as float32; sums[row, 0] becomes its squared length."""
        kind = {types.uint16: HALVES, types.int8: BYTES}.get(chunk.dtype, SINGLES)

        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            (values,), size = _rows(context, builder, signature.args[:1], arguments[:1], arguments[3])
            (z, sums), _ = _rows(context, builder, signature.args[1:3], arguments[1:3], arguments[4])
            _widened_lanes(builder, [values, z, sums], size, kind)
            return context.get_dummy_value()

        return types.void(chunk, z, sums, types.intp, types.intp), generate

    @intrinsic
    def _centred(typing_context, z, centre, sums, row, scale):  # noqa: ANN001, ANN202, ARG001, PLR0917
        """Turn a row into z; sums[row, :3] become its squared length, m·z and its greatest component."""

        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            given, size = _rows(context, builder, signature.args[:3], arguments[:3], arguments[3])
            _centred_lanes(builder, given, size, arguments[4])
            return context.get_dummy_value()

        return types.void(z, centre, sums, types.intp, types.float32), generate

    @intrinsic
    def _rounded(typing_context, z, whole, sums, row, first, grain, steps):  # noqa: ANN001, ANN202, ARG001, PLR0917
        """Write z in whole steps; sums[row, 3:] become the squared length of what is left over, and their sum.

        The sum is exact in float32: it does not reach 2**24.
        """

        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            kinds, values, (row, first) = signature.args, arguments[:3], arguments[3:5]
            (z, sums), size = _rows(context, builder, [kinds[0], kinds[2]], [values[0], values[2]], row)
            (whole,), _ = _rows(context, builder, kinds[1:2], values[1:2], first)
            behind = builder.gep(sums, [ir.Constant(ir.IntType(64), 3)])
            _rounded_lanes(builder, [z, whole, behind], size, arguments[5:])
            return context.get_dummy_value()

        return types.void(z, whole, sums, types.intp, types.intp, types.float32, types.float32), generate


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _wide_squares(row: Floats) -> Any:
    total = 0.0
    for column in range(row.size):
        value = np.float64(row[column])
        total += value * value
    return total


def _opened(chunk: NDArray[Any], first: int, z: Floats, sums: Floats, row: int) -> None:
    """Write a row as float32 to a row of z, and its squared length to sums[row, 0]."""
    widen(chunk, first, z[row, : chunk.shape[1]])
    sums[row, 0] = z[row] @ z[row]


@overload(_opened, inline="always")
def _open(chunk: Any, first: Any, z: Any, sums: Any, row: Any) -> Any:  # noqa: ARG001  numba looks at the types
    def twice(chunk: Any, first: Any, z: Any, sums: Any, row: Any) -> None:
        widen(chunk, first, z[row, : chunk.shape[1]])
        _widened(z, z, sums, row, row)

    def at_once(chunk: Any, first: Any, z: Any, sums: Any, row: Any) -> None:
        if chunk.shape[1] == z.shape[1]:
            _widened(chunk, z, sums, first, row)
        else:
            widen(chunk, first, z[row, : chunk.shape[1]])
            _widened(z, z, sums, row, row)

    return at_once if has_half() or chunk.dtype != types.uint16 else twice


@njit(cache=True, nogil=True)
def _measured(row: Any, total: float, out: tuple[Any, ...], counts: Any) -> None:
    """Enter the length of a row by its square, and what is to be done with it."""
    whole, totals, grain, bound, apart, length, state = out
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
        grain[row] = bound[row] = apart[row] = 0


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
        centre: float32 (w,), m, padded with zeros to a multiple of 32 columns.
        levels: the greatest number.
        terms: of the seeds: greatest |e|, greatest |w|, slack.
        out: arrays of `vetset.search.screen.Rows`, from `whole` to `state`, filled.
        z: float32 (some rows, w), scratch, zero behind d. So many rows go through each loop before the next, since
            a processor begins one row while it still sums up another.

    Returns:
        int64 (3,): rows that are not finite, rows of zeros, others whose length is further than 1 % from 1.
    """
    counts, sums = np.zeros(3, np.int64), np.empty((z.shape[0], 5), np.float32)
    rest, reach, slack = terms
    whole, totals, grain, bound, apart, length, state = out
    top = np.float32(levels)
    for first in range(0, chunk.shape[0], z.shape[0]):
        here = min(z.shape[0], chunk.shape[0] - first)
        for i in range(here):
            _opened(chunk, first + i, z, sums, i)
        for i in range(here):
            total = np.float64(sums[i, 0])
            if not 1 / _EVEN < total < _EVEN:
                total = _wide_squares(z[i])
            _measured(first + i, total, out, counts)
        for i in range(here):
            if state[first + i] == FIT:
                _centred(z, centre, sums, i, np.float32(1 / length[first + i]))
        for i in range(here):
            row = first + i
            if state[row] == FIT:
                greatest = sums[i, 2]
                grain[row] = greatest / top
                steps = top / greatest if greatest > np.float32(1e-30) else np.float32(0)
                _rounded(z, whole, sums, i, row, grain[row], steps)
                left = np.sqrt(np.float64(sums[i, 3]))
                totals[row] = np.int32(sums[i, 4])
                doubt = rest * (np.sqrt(np.float64(sums[i, 0])) + left) + reach * left + slack
                bound[row] = sums[i, 1] + doubt
                apart[row] = 2 * doubt
    return counts
