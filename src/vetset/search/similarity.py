"""The similarity of vectors as it is defined, in float64 and in one order of summation.

Sums are taken in sixteen lanes, column i in lane i mod 16, and the lanes are added in halves: 0 to 7 and 8 to 15, then
the quarters of that, and so on. It is an order that processors can follow sixteen columns at a time, and no two of them
differently: a tie is a tie on every machine. `vetset.search.linear.similarities` says the same in NumPy.
"""

from typing import TYPE_CHECKING, Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_cgutils: Any = cgutils  # which carries no types

LANES = 16
"""Sums that are kept apart while one goes through the columns."""


def has_half() -> bool:
    """Whether this processor turns float16 into float32 by itself."""
    if llvmlite.binding.get_default_triple().startswith(("aarch64", "arm64")):
        return True
    return bool(llvmlite.binding.get_host_cpu_features().get("f16c", False))


if TYPE_CHECKING:

    def _converted(bits: Any) -> Any: ...
    def _add_products(seed: Any, row: Any, whole: Any, lanes: Any) -> None: ...

else:

    @intrinsic
    def _converted(typing_context, bits):  # noqa: ANN001, ANN202, ARG001
        """float16 bits to float32 by the processor."""

        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202, ARG001
            return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

        return types.float32(types.uint16), generate if isinstance(bits, types.Integer) else None

    @intrinsic
    def _add_products(typing_context, seed, row, whole, lanes):  # noqa: ANN001, ANN202, ARG001
        """Set lanes (2, 16) to the sums over the first `whole` columns, a multiple of 16, of seed × row and row × row.

        The lanes are spelled out as LLVM's vectors, since a compiler that may not reorder sums does not find them.
        """

        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            arrays = [(signature.args[place], arguments[place]) for place in (0, 1, 3)]
            pointers = [context.make_array(kind)(context, builder, value).data for kind, value in arrays]
            _summed_products(builder, pointers, arguments[2])
            return context.get_dummy_value()

        return types.void(seed, row, types.intp, lanes), generate


def _summed_products(builder: Any, pointers: list[Any], size: Any) -> None:
    double, single = (ir.VectorType(kind, LANES) for kind in (ir.DoubleType(), ir.FloatType()))
    sums = [_cgutils.alloca_once_value(builder, ir.Constant(double, [0.0] * LANES)) for _ in range(2)]
    zero, step = ir.Constant(size.type, 0), ir.Constant(size.type, LANES)
    with _cgutils.for_range_slice(builder, zero, size, step, size.type) as (column, _):
        places = [builder.bitcast(builder.gep(pointer, [column]), single.as_pointer()) for pointer in pointers[:2]]
        left, right = (builder.fpext(builder.load(place, align=4), double) for place in places)
        for place, factor in zip(sums, (left, right), strict=True):
            builder.store(builder.fadd(builder.load(place), builder.fmul(factor, right)), place)
    for number, place in enumerate(sums):
        target = builder.gep(pointers[2], [ir.Constant(size.type, number * LANES)])
        builder.store(builder.load(place), builder.bitcast(target, double.as_pointer()), align=8)


@njit(cache=True, nogil=True, inline="always")
def _reckoned(bits: np.uint16) -> Any:
    """float16 bits to float32 in integers, for processors that do not know float16."""
    sign = np.uint32(bits & np.uint16(0x8000)) << np.uint32(16)
    rest = np.uint32(bits & np.uint16(0x7FFF))
    # Exponents are biased by 15 and by 127; the largest one, of NaN and infinity, goes to the largest.
    normal = (rest << np.uint32(13)) + np.uint32(112 << 23)
    special = normal + np.uint32(112 << 23)
    subnormal = np.float32(np.float32(rest) * np.float32(2.0**-24)).view(np.uint32)
    wide = special if rest >= np.uint32(0x7C00) else normal
    return np.uint32(sign | (subnormal if rest < np.uint32(0x0400) else wide)).view(np.float32)


_single = _converted if has_half() else _reckoned


def widen(rows: NDArray[Any], row: int, out: Floats) -> None:
    """One row as float32, exactly.

    Args:
        rows: uint16 (n, d), the bits of float16, or float32 or int8 (n, d).
        row: which.
        out: float32 (d,), filled.
    """
    out[:] = rows[row].view(np.float16) if rows.dtype == np.uint16 else rows[row]


@overload(widen)
def _widen(rows: Any, row: Any, out: Any) -> Any:  # noqa: ARG001  numba looks at the types
    if rows.dtype == types.uint16:

        def halves(rows: Any, row: Any, out: Any) -> None:
            for column in range(out.size):
                out[column] = _single(rows[row, column])

        return halves

    def numbers(rows: Any, row: Any, out: Any) -> None:
        for column in range(out.size):
            out[column] = np.float32(rows[row, column])

    return numbers


@njit(cache=True, nogil=True)
def _folded(lanes: Doubles) -> Any:
    half = LANES >> 1
    while half:
        for lane in range(half):
            lanes[lane] += lanes[lane + half]
        half >>= 1
    return lanes[0]


@njit(cache=True, nogil=True)
def similarity(seed: Floats, length: float, row: Floats, cosine: bool, lanes: Doubles) -> Any:
    """Inner product of a seed and a row; under `cosine` over both lengths, and 0 where one of them is 0.

    Args:
        seed: float32 (d,), contiguous.
        length: of the seed, see `lengths`.
        row: float32 (d,), contiguous.
        cosine: whether to divide.
        lanes: float64 (2, 16), overwritten.
    """
    whole = seed.size - seed.size % LANES
    _add_products(seed, row, whole, lanes)
    for column in range(whole, seed.size):
        value = np.float64(row[column])
        lanes[0, column - whole] += np.float64(seed[column]) * value
        lanes[1, column - whole] += value * value
    product = _folded(lanes[0])
    if not cosine:
        return product
    both = length * np.sqrt(_folded(lanes[1]))
    return product / both if both > 0 else 0.0


@njit(cache=True, nogil=True)
def lengths(vectors: Floats) -> Doubles:
    """Lengths of float32 vectors (n, d), float64 (n,), summed in the same order."""
    out = np.empty(vectors.shape[0])
    lanes = np.empty(LANES)
    for row in range(vectors.shape[0]):
        lanes[:] = 0.0
        for column in range(vectors.shape[1]):
            value = np.float64(vectors[row, column])
            lanes[column % LANES] += value * value
        out[row] = np.sqrt(_folded(lanes))
    return out
