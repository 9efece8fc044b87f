"""Kernels that multiply 8-bit rows with 8-bit seeds, in LLVM's own operations; `vetset.search.products` says when.

Each keeps the sums of a tile of rows and seeds in registers while it goes once over the columns. Their instructions
want one factor without a sign. So seeds are stored with a shift, and sums begin at minus the shift times the sum of the
row, which a row knows; sums may wrap on the way, as integers do, and come back.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from vetset.search.lanes import LANES, everywhere, pointers

FOUR = 4
"""Columns that are multiplied in one lane."""
EIGHT = 8
"""Columns of a step of `paired`."""
BYTE_SHIFT = 128
"""Of seeds for `narrow` and `wide`, which multiply -127 to 127."""
PAIR_SHIFT = 64
"""Of seeds for `paired`, which multiplies -63 to 63: two pairs of products, 4 * 127 * 63, stay below 2**15."""

_cgutils: Any = cgutils  # which carries no types
_WORD, _SHORT, _BYTE = (ir.IntType(bits) for bits in (32, 16, 8))


def _at(builder: Any, pointer: Any, place: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(pointer, [place]), kind.as_pointer())


def _times(builder: Any, value: Any, factor: int) -> Any:
    return builder.mul(value, ir.Constant(value.type, factor))


def _plus(builder: Any, value: Any, more: int) -> Any:
    return builder.add(value, ir.Constant(value.type, more))


def _begun(builder: Any, sums: Any, numbers: list[Any], shape: tuple[int, int, int]) -> list[list[Any]]:
    """Slots for the sums of some rows, which LLVM keeps in registers: so many vectors of so many lanes each."""
    vectors, lanes, shift = shape
    vector = ir.VectorType(_WORD, lanes)
    kept = [[_cgutils.alloca_once(builder, vector) for _ in range(vectors)] for _ in numbers]
    for number, slots in zip(numbers, kept, strict=True):
        word = builder.load(_at(builder, sums, number, _WORD))
        begin = everywhere(builder, _times(builder, word, -shift), lanes)
        for slot in slots:
            builder.store(begin, slot)
    return kept


def _byte_tile(builder: Any, arrays: list[Any], row: Any, steps: Any, shape: tuple[int, int]) -> None:
    """Some rows and vectors of sixteen seeds by AVX-512 VNNI, four columns a step."""
    rows, sums, seeds, scores = arrays
    height, vectors = shape
    vector = ir.VectorType(_WORD, LANES)
    numbers = [_plus(builder, row, number) for number in range(height)]
    kept = _begun(builder, sums, numbers, (vectors, LANES, BYTE_SHIFT))
    starts = [builder.mul(number, _times(builder, steps, FOUR)) for number in numbers]
    kind = ir.FunctionType(vector, [vector] * 3)
    multiply = _cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")
    with _cgutils.for_range(builder, steps, intp=steps.type) as loop:
        first = _times(builder, loop.index, vectors)
        places = [_times(builder, _plus(builder, first, v), LANES * FOUR) for v in range(vectors)]
        unsigned = [builder.load(_at(builder, seeds, place, vector), align=1) for place in places]
        for start, slots in zip(starts, kept, strict=True):
            place = builder.add(start, _times(builder, loop.index, FOUR))
            signed = everywhere(builder, builder.load(_at(builder, rows, place, _WORD), align=1), LANES)
            for slot, each in zip(slots, unsigned, strict=True):
                builder.store(builder.call(multiply, [builder.load(slot), each, signed]), slot)
    for number, slots in zip(numbers, kept, strict=True):
        for v, slot in enumerate(slots):
            place = _times(builder, _plus(builder, _times(builder, number, vectors), v), LANES)
            builder.store(builder.load(slot), _at(builder, scores, place, vector), align=4)


_PAIR_ROWS, _PAIR_VECTORS, _PAIR_LANES = 4, 2, 8


def _pair_tile(builder: Any, arrays: list[Any], row: Any, steps: Any, width: Any) -> None:
    """Four rows and sixteen seeds by AVX2: products of bytes are added in pairs, two pairs in 16 bits, then in 32."""
    rows, sums, seeds, scores = arrays
    words, shorts, bytes_ = (ir.VectorType(kind, 256 // bits) for kind, bits in ((_WORD, 32), (_SHORT, 16), (_BYTE, 8)))

    def called(name: str, result: Any, *given: Any) -> Any:
        kind = ir.FunctionType(result, [each.type for each in given])
        return builder.call(_cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.avx2.{name}"), given)

    numbers = [_plus(builder, row, number) for number in range(_PAIR_ROWS)]
    kept = _begun(builder, sums, numbers, (_PAIR_VECTORS, _PAIR_LANES, PAIR_SHIFT))
    starts = [builder.mul(number, _times(builder, steps, EIGHT)) for number in numbers]
    ones = ir.Constant(shorts, [1] * 16)
    with _cgutils.for_range(builder, steps, intp=steps.type) as loop:
        first = _times(builder, loop.index, 2 * LANES * FOUR)
        places = [_plus(builder, first, 32 * number) for number in range(2 * _PAIR_VECTORS)]
        unsigned = [builder.load(_at(builder, seeds, place, bytes_), align=1) for place in places]
        for start, slots in zip(starts, kept, strict=True):
            place = builder.add(start, _times(builder, loop.index, EIGHT))
            fours = [
                builder.load(_at(builder, rows, _plus(builder, place, more), _WORD), align=1) for more in (0, FOUR)
            ]
            signed = [builder.bitcast(everywhere(builder, four, _PAIR_LANES), bytes_) for four in fours]
            for v, slot in enumerate(slots):
                pairs = [
                    called("pmadd.ub.sw", shorts, unsigned[half * _PAIR_VECTORS + v], signed[half]) for half in (0, 1)
                ]
                added = called("pmadd.wd", words, builder.add(*pairs), ones)
                builder.store(builder.add(builder.load(slot), added), slot)
    for number, slots in zip(numbers, kept, strict=True):
        for v, slot in enumerate(slots):
            place = _plus(builder, builder.mul(number, width), v * _PAIR_LANES)
            builder.store(builder.load(slot), _at(builder, scores, place, words), align=4)


if TYPE_CHECKING:

    def _narrow_tiles(rows: Any, sums: Any, seeds: Any, scores: Any, *size: int) -> None: ...
    def _wide_tiles(rows: Any, sums: Any, seeds: Any, scores: Any, *size: int) -> None: ...
    def _paired_tiles(rows: Any, sums: Any, seeds: Any, scores: Any, *size: int) -> None: ...

else:

    def _byte_tiles(height, vectors):  # noqa: ANN001, ANN202
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            places = pointers(context, builder, signature.args[:4], arguments[:4])
            count, steps = arguments[4:]
            zero, step = ir.Constant(count.type, 0), ir.Constant(count.type, height)
            with _cgutils.for_range_slice(builder, zero, count, step, count.type) as (row, _):
                _byte_tile(builder, places, row, steps, (height, vectors))
            return context.get_dummy_value()

        return generate

    @intrinsic
    def _narrow_tiles(typing_context, rows, sums, seeds, scores, count, steps):  # noqa: ANN001, ANN202, ARG001, PLR0917
        return types.void(rows, sums, seeds, scores, types.intp, types.intp), _byte_tiles(12, 1)

    @intrinsic
    def _wide_tiles(typing_context, rows, sums, seeds, scores, count, steps):  # noqa: ANN001, ANN202, ARG001, PLR0917
        return types.void(rows, sums, seeds, scores, types.intp, types.intp), _byte_tiles(4, 4)

    @intrinsic
    def _paired_tiles(typing_context, rows, sums, seeds, scores, count, steps, width):  # noqa: ANN001, ANN202, ARG001, PLR0917
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            rows, sums, seeds, scores = pointers(context, builder, signature.args[:4], arguments[:4])
            count, steps, width = arguments[4:]
            zero, tall, across = (ir.Constant(count.type, number) for number in (0, _PAIR_ROWS, LANES))
            with _cgutils.for_range_slice(builder, zero, width, across, width.type) as (seed, _):
                mine = builder.gep(seeds, [builder.mul(seed, _times(builder, steps, EIGHT))])
                out = builder.gep(scores, [seed])
                with _cgutils.for_range_slice(builder, zero, count, tall, count.type) as (row, _):
                    _pair_tile(builder, [rows, sums, mine, out], row, steps, width)
            return context.get_dummy_value()

        return types.void(rows, sums, seeds, scores, types.intp, types.intp, types.intp), generate


@njit(cache=True, nogil=True)
def narrow(
    rows: NDArray[np.int8], seeds: NDArray[np.uint8], sums: NDArray[np.int32], scores: NDArray[np.int32]
) -> None:
    """Twelve rows and sixteen seeds at a time: int8 (n, d), uint8 (d / 4, 16, 4), int32 (n,), int32 (n, 16)."""
    _narrow_tiles(rows, sums, seeds, scores, rows.shape[0], seeds.shape[0])


@njit(cache=True, nogil=True)
def wide(rows: NDArray[np.int8], seeds: NDArray[np.uint8], sums: NDArray[np.int32], scores: NDArray[np.int32]) -> None:
    """Four rows and sixty-four seeds at a time: int8 (n, d), uint8 (d / 4, 64, 4), int32 (n,), int32 (n, 64)."""
    _wide_tiles(rows, sums, seeds, scores, rows.shape[0], seeds.shape[0])


@njit(cache=True, nogil=True)
def paired(
    rows: NDArray[np.int8], seeds: NDArray[np.uint8], sums: NDArray[np.int32], scores: NDArray[np.int32]
) -> None:
    """Four rows and sixteen seeds at a time: int8 (n, d), uint8 (w / 16, d / 4, 16, 4), int32 (n,), int32 (n, w)."""
    _paired_tiles(rows, sums, seeds, scores, rows.shape[0], rows.shape[1] // EIGHT, scores.shape[1])
