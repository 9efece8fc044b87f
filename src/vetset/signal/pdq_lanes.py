"""Steps of PDQ on tiles of 16 x 16 values, as vector instructions.

The replay: a running sum cannot be taken in another order without other roundings, but sixteen lines can be summed
side by side: one value of each lies in a vector of 16 lanes. For that a tile has to be turned over between a pass along
the rows and one along the columns. The fast form: sixteen short weighted sums, whose lanes are added up together.

Loops that a compiler makes vectors of by itself do not get this far, so the steps are written here as LLVM's own vector
operations, which become whatever the machine has (AVX-512, AVX2, SSE2, NEON).

All arrays are flat and positions are given in elements; nothing is checked.
"""

import platform
from typing import TYPE_CHECKING, Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from vetset.signal.lanes import LANES, shuffled, turned_over

PRODUCT_ROWS = 4
OVERREAD = 64
"""`luma_tile` reads this many bytes from the first of each row's 16 pixels, of which it uses 48."""

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_BYTES = ir.VectorType(ir.IntType(8), OVERREAD)
_WHOLE = ir.VectorType(ir.IntType(32), LANES)
_HALVES = ir.VectorType(ir.IntType(16), LANES)
# With a fused multiply-add the rounded quotient costs three of them; without one it would be a slow library call.
_FUSED = bool(llvm.get_host_cpu_features().get("fma")) or platform.machine() in {"aarch64", "arm64"}

_cgutils: Any = cgutils  # which carries no types

Array32 = NDArray[np.float32]


def _int64(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


def _all(value: float) -> Any:
    return ir.Constant(_VECTOR, [ir.Constant(_FLOAT, float(np.float32(value)))] * LANES)


def _spread(builder: Any, array: Any, at: Any) -> Any:
    """One element in all lanes."""
    return _repeated(builder, builder.load(builder.gep(array, [at])))


def _repeated(builder: Any, value: Any) -> Any:
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    single = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return shuffled(builder, single, nothing, [0] * LANES)


def _load(builder: Any, array: Any, at: Any, kind: Any = _VECTOR, align: int = 4) -> Any:
    return builder.load(builder.bitcast(builder.gep(array, [at]), kind.as_pointer()), align=align)


def _store(builder: Any, vector: Any, array: Any, at: Any) -> None:
    builder.store(vector, builder.bitcast(builder.gep(array, [at]), _VECTOR.as_pointer()), align=4)


def _multiply_add(builder: Any, one: Any, other: Any, more: Any) -> Any:
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    function = _cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
    return builder.call(function, [one, other, more])


def _divided(builder: Any, value: Any, by: Any, share: Any) -> Any:
    """`value / by`, rounded once, where `share` is 1 / by, rounded.

    From the product with `share`, which is next to the quotient, and the exact rest (Markstein, "Computation of
    elementary functions on the IBM RISC System/6000 processor", 1990, theorem 2). Values of a picture are far from
    the least and the greatest float32.
    """
    if not _FUSED:
        return builder.fdiv(value, by)
    quotient = builder.fmul(value, share)
    rest = _multiply_add(builder, builder.fneg(quotient), by, value)
    return _multiply_add(builder, rest, share, quotient)


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, which: int) -> Any:
    return _cgutils.create_struct_proxy(signature.args[which])(context, builder, value=arguments[which]).data


def _unpacked(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """Data pointers of the arrays, and the numbers as they are."""
    return [
        _pointer(context, builder, signature, arguments, i) if isinstance(kind, types.Array) else arguments[i]
        for i, kind in enumerate(signature.args)
    ]


def _luma(builder: Any, pixels: Any) -> Any:
    """Luma of 16 pixels (R, G, B, …): thousandths of it are whole numbers below 2^24, divided once.

    The binding adds three rounded products in double precision and rounds the sum to float32: the same for every
    colour, because no whole number of thousandths is as near to the middle of two float32 as those errors reach.
    """
    zero = ir.Constant(_BYTES, None)
    sum_: Any = None
    for colour, weight in enumerate((299, 587, 114)):
        lanes = [lane for x in range(LANES) for lane in (3 * x + colour, OVERREAD, OVERREAD, OVERREAD)]
        whole = builder.bitcast(shuffled(builder, pixels, zero, lanes), _WHOLE)
        part = builder.fmul(builder.sitofp(whole, _VECTOR), _all(weight))
        sum_ = part if sum_ is None else builder.fadd(sum_, part)
    return _divided(builder, sum_, _all(1000), _all(1 / 1000))


def _box(builder: Any, arguments: list[Any], *, divide: bool) -> None:
    values, at, back, total, counts, shares, position, out, to = arguments
    accumulated = _cgutils.alloca_once_value(builder, _load(builder, total, _int64(0)))
    with _cgutils.for_range(builder, _int64(LANES)) as loop:
        step = builder.mul(loop.index, _int64(LANES))
        here = builder.add(at, step)
        sum_ = builder.fadd(builder.load(accumulated), _load(builder, values, here))
        sum_ = builder.fsub(sum_, _load(builder, values, builder.sub(here, back)))
        builder.store(sum_, accumulated)
        if divide:
            place = builder.add(position, loop.index)
            sum_ = _divided(builder, sum_, _spread(builder, counts, place), _spread(builder, shares, place))
        _store(builder, sum_, out, builder.add(to, step))
    _store(builder, builder.load(accumulated), total, _int64(0))


def _down(builder: Any, arguments: list[Any]) -> None:
    values, at, ring, entering, leaving, column, width, total, counts, shares, position, out, to = arguments
    rows = turned_over(builder, [_load(builder, values, builder.add(at, _int64(LANES * i))) for i in range(LANES)])
    sum_ = _load(builder, total, column)
    means = []
    for i, row in enumerate(rows):
        _store(builder, row, ring, builder.add(builder.add(entering, column), builder.mul(width, _int64(i))))
        old = builder.add(builder.load(builder.gep(leaving, [_int64(i)])), column)
        sum_ = builder.fsub(builder.fadd(sum_, row), _load(builder, ring, old))
        place = builder.add(position, _int64(i))
        means.append(_divided(builder, sum_, _spread(builder, counts, place), _spread(builder, shares, place)))
    _store(builder, sum_, total, column)
    for i, mean in enumerate(turned_over(builder, means)):
        _store(builder, mean, out, builder.add(to, _int64(LANES * i)))


def _weighted(  # noqa: PLR0917
    builder: Any, rows: Any, whole: bool, starts: list[Any], weights: Any, at: Any, taps: Any
) -> list[Any]:
    """For each start, 16 lanes whose sum is the weighted sum of `taps` values (a multiple of 16) from there."""
    sums = [_cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, None)) for _ in starts]
    with _cgutils.for_range_slice(builder, _int64(0), taps, _int64(LANES)) as (tap, _):
        for i, (start, sum_) in enumerate(zip(starts, sums, strict=True)):
            place = builder.add(start, tap)
            value = _load(builder, rows, place, _HALVES, 2) if whole else _load(builder, rows, place)
            if whole:
                value = builder.sitofp(builder.zext(value, _WHOLE), _VECTOR)
            factor = _load(builder, weights, builder.add(builder.add(at, builder.mul(taps, _int64(i))), tap))
            builder.store(_multiply_add(builder, value, factor, builder.load(sum_)), sum_)
    return [builder.load(sum_) for sum_ in sums]


def _sums(builder: Any, vectors: list[Any]) -> Any:
    """The sum of the lanes of each of 16 vectors, in one: halves are added until one lane of each is left."""

    def quarters(*pattern: int) -> list[int]:
        return [quarter + lane for quarter in range(0, LANES, 4) for lane in pattern]

    for low, high in (
        (quarters(0, 16, 1, 17), quarters(2, 18, 3, 19)),
        (quarters(0, 1, 16, 17), quarters(2, 3, 18, 19)),
        ([lane for lane in range(2 * LANES) if not lane & 8], [lane for lane in range(2 * LANES) if lane & 8]),
        ([lane for lane in range(2 * LANES) if not lane & 4], [lane for lane in range(2 * LANES) if lane & 4]),
    ):
        vectors = [
            builder.fadd(shuffled(builder, one, other, low), shuffled(builder, one, other, high))
            for one, other in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]


def _product(builder: Any, arguments: list[Any]) -> None:
    left, at, depth, right, column, width, out, to = arguments
    sums = [_cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, None)) for _ in range(PRODUCT_ROWS)]
    with _cgutils.for_range(builder, depth) as loop:
        values = _load(builder, right, builder.add(column, builder.mul(width, loop.index)))
        for i, sum_ in enumerate(sums):
            factor = _spread(builder, left, builder.add(at, builder.add(builder.mul(depth, _int64(i)), loop.index)))
            # never fused: the reference rounds each product
            builder.store(builder.fadd(builder.load(sum_), builder.fmul(factor, values)), sum_)
    for i, sum_ in enumerate(sums):
        _store(builder, builder.load(sum_), out, builder.add(to, builder.mul(width, _int64(i))))


if TYPE_CHECKING:

    def product_tile(  # noqa: PLR0917  a kernel takes its arrays one by one
        left: Array32, at: int, depth: int, right: Array32, column: int, width: int, out: Array32, to: int
    ) -> None:
        """4 rows and 16 columns of a matrix product, its sums from the first to the last of `depth` terms.

        `left` has rows of `depth` values, the first one at `at`; `right` and `out` have rows of `width` values.
        """

    def fold_tile(  # noqa: PLR0917  a kernel takes its arrays one by one
        values: Array32 | NDArray[np.uint16], starts: NDArray[np.int64], weights: Array32, taps: int, first: int,
        share: np.float32, out: Array32, to: int,
    ) -> None:  # fmt: skip
        """Weighted sums number `first` to `first` + 15, times `share`: of `taps` values from each one's start.

        `taps` is a multiple of 16, and so many values are read, whatever their weights.
        """

    def luma_tile(pixels: NDArray[np.uint8], at: int, stride: int, out: Array32, to: int) -> None:
        """Luma of 16 rows of 16 pixels, one column after the other."""

    def box_tile(  # noqa: PLR0917  a kernel takes its arrays one by one
        values: Array32, at: int, back: int, total: Array32, counts: Array32, shares: Array32, position: int,
        out: Array32, to: int,
    ) -> None:  # fmt: skip
        """Box filter over 16 vectors: each enters `total`, the one `back` before it leaves, then the mean is taken.

        `counts` and `shares` say how many values are in the window at each position, and 1 / that, rounded.
        """

    def sum_tile(  # noqa: PLR0917  a kernel takes its arrays one by one
        values: Array32, at: int, back: int, total: Array32, counts: Array32, shares: Array32, position: int,
        out: Array32, to: int,
    ) -> None:  # fmt: skip
        """`box_tile` without the division."""

    def down_tile(  # noqa: PLR0917  a kernel takes its arrays one by one
        values: Array32, at: int, ring: Array32, entering: int, leaving: NDArray[np.int64], column: int, width: int,
        total: Array32, counts: Array32, shares: Array32, position: int, out: Array32, to: int,
    ) -> None:  # fmt: skip
        """Turn 16 vectors over, filter down the 16 rows that come out, and turn the means back."""

    def turn_tile(values: Array32, at: int, out: Array32, to: int, stride: int) -> None:
        """Turn 16 vectors over; `stride` lies between the rows of the result."""

else:

    def _nothing(build):  # noqa: ANN001, ANN202
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            build(builder, _unpacked(context, builder, signature, arguments))
            return context.get_dummy_value()

        return generate

    @intrinsic
    def product_tile(typing_context, left, at, depth, right, column, width, out, to):  # noqa: ANN001, ANN201, ARG001, D103, PLR0917
        i = types.int64
        return types.none(left, i, i, right, i, i, out, i), _nothing(_product)

    @intrinsic
    def fold_tile(typing_context, values, starts, weights, taps, first, share, out, to):  # noqa: ANN001, ANN201, ARG001, D103, PLR0917
        def build(builder, arguments):  # noqa: ANN001, ANN202
            rows, starts, weights, taps, first, share, out, to = arguments
            begun = [builder.load(builder.gep(starts, [builder.add(first, _int64(i))])) for i in range(LANES)]
            whole = values.dtype == types.uint16
            sums = _weighted(builder, rows, whole, begun, weights, builder.mul(first, taps), taps)
            _store(builder, builder.fmul(_sums(builder, sums), _repeated(builder, share)), out, to)

        i = types.int64
        return types.none(values, starts, weights, i, i, types.float32, out, i), _nothing(build)

    @intrinsic
    def luma_tile(typing_context, pixels, at, stride, out, to):  # noqa: ANN001, ANN201, ARG001, D103, PLR0917
        def build(builder, arguments):  # noqa: ANN001, ANN202
            pixels, at, stride, out, to = arguments
            rows = []
            for i in range(LANES):
                place = builder.add(at, builder.mul(stride, _int64(i)))
                rows.append(_luma(builder, _load(builder, pixels, place, _BYTES, 1)))
            for i, column in enumerate(turned_over(builder, rows)):
                _store(builder, column, out, builder.add(to, _int64(LANES * i)))

        return types.none(pixels, types.int64, types.int64, out, types.int64), _nothing(build)

    def _box_signature(values, total, counts, shares, out):  # noqa: ANN001, ANN202
        return types.none(values, types.int64, types.int64, total, counts, shares, types.int64, out, types.int64)

    @intrinsic
    def box_tile(typing_context, values, at, back, total, counts, shares, position, out, to):  # noqa: ANN001, ANN201, ARG001, D103, PLR0917
        def build(builder, arguments):  # noqa: ANN001, ANN202
            _box(builder, arguments, divide=True)

        return _box_signature(values, total, counts, shares, out), _nothing(build)

    @intrinsic
    def sum_tile(typing_context, values, at, back, total, counts, shares, position, out, to):  # noqa: ANN001, ANN201, ARG001, D103, PLR0917
        def build(builder, arguments):  # noqa: ANN001, ANN202
            _box(builder, arguments, divide=False)

        return _box_signature(values, total, counts, shares, out), _nothing(build)

    @intrinsic
    def down_tile(  # noqa: ANN201, D103, PLR0917
        typing_context,  # noqa: ANN001, ARG001
        values, at, ring, entering, leaving, column, width, total, counts, shares, position, out, to,  # noqa: ANN001, ARG001
    ):  # fmt: skip
        i = types.int64
        return types.none(values, i, ring, i, leaving, i, i, total, counts, shares, i, out, i), _nothing(_down)

    @intrinsic
    def turn_tile(typing_context, values, at, out, to, stride):  # noqa: ANN001, ANN201, ARG001, D103, PLR0917
        def build(builder, arguments):  # noqa: ANN001, ANN202
            values, at, out, to, stride = arguments
            vectors = [_load(builder, values, builder.add(at, _int64(LANES * i))) for i in range(LANES)]
            for i, row in enumerate(turned_over(builder, vectors)):
                _store(builder, row, out, builder.add(to, builder.mul(stride, _int64(i))))

        return types.none(values, types.int64, out, types.int64, types.int64), _nothing(build)
