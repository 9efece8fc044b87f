"""Inner products of many 8-bit rows with a group of 8-bit seeds, exact in 32-bit integers.

Two ways with one result. Where the processor multiplies and adds 64 pairs of bytes in one instruction (AVX-512 VNNI), a
kernel of our own keeps the sums of a few rows and 16 or 64 seeds in registers while it goes once over the columns.
Everywhere else NumKong does it, which knows each kind of processor.

The instruction wants one factor without a sign. So seeds are stored as p + 128, and sums begin at -128 times the sum
of the row, which a row knows; sums may wrap on the way, as integers do, and come back.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import llvmlite.binding
import numba
import numkong
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

GROUP = 64
"""Most seeds of a group."""
FOUR = 4
"""Columns that are multiplied in one lane; rows and seeds are padded with zeros to a multiple."""
TILE = 12
"""Rows are padded to a multiple of this, which the tiles of both kernels divide."""
_SHIFT = 128
_LANES = 16
_cgutils: Any = cgutils  # which carries no types


def has_byte_products() -> bool:
    """Whether our own kernel can run: the processor has the instructions, and nobody told Numba of another one."""
    told = numba.config.CPU_NAME or numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    features = llvmlite.binding.get_host_cpu_features()
    return not told and all(features.get(name, False) for name in ("avx512f", "avx512vnni"))


@dataclass(frozen=True, slots=True)
class Group:
    """Up to 64 seeds, packed.

    Attributes:
        seeds: how many.
        width: columns of the scores: `seeds`, or more where the kernel fills whole vectors.
        packed: uint8 (d / 4, width, 4), or what NumKong makes of them.
    """

    seeds: int
    width: int
    packed: Any

    @property
    def own(self) -> bool:
        """Whether our own kernel multiplies."""
        return isinstance(self.packed, np.ndarray)

    def multiply(self, rows: NDArray[np.int8], sums: NDArray[np.int32], room: NDArray[np.int32]) -> NDArray[np.int32]:
        """p·q of each row and each seed.

        Args:
            rows: int8 (n, d), -127 to 127, n a multiple of `TILE` and d of `FOUR`.
            sums: int32 (n,), of each row.
            room: int32 (n × 64 or more,), overwritten.

        Returns:
            int32 (n, width), a part of `room`; columns behind those of the seeds mean nothing.
        """
        scores = room[: len(rows) * self.width].reshape(len(rows), self.width)
        if not self.own:
            numkong.dots_packed(rows, self.packed, out=numkong.from_dlpack(scores))
        elif self.width == _LANES:
            _narrow(rows, self.packed, sums, scores)
        else:
            _wide(rows, self.packed, sums, scores)
        return scores


def packed(seeds: NDArray[np.int8], *, own: bool | None = None) -> Group:
    """Up to 64 seeds, int8 (s, d), -127 to 127, d a multiple of 4; by our own kernel, or as the processor allows."""
    count, dimension = seeds.shape
    if not (has_byte_products() if own is None else own):
        return Group(count, count, numkong.dots_pack(seeds))
    width = _LANES if count <= _LANES else GROUP
    whole = np.full((width, dimension), _SHIFT, np.uint8)
    whole[:count] = seeds.astype(np.int16) + _SHIFT
    fours = np.ascontiguousarray(whole.reshape(width, dimension // FOUR, FOUR).transpose(1, 0, 2))
    return Group(count, width, fours)


_VECTOR = ir.VectorType(ir.IntType(32), _LANES)


def _everywhere(builder: Any, word: Any) -> Any:
    """A 32-bit word in each lane."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, word, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_VECTOR, [0] * _LANES))


def _tile(builder: Any, pointers: list[Any], row: Any, steps: Any, shape: tuple[int, int]) -> None:
    """The products of some rows and vectors of seeds; their sums stay in registers, which LLVM finds for the slots."""
    rows, sums, seeds, scores = pointers
    height, vectors = shape

    def at(pointer: Any, place: Any, kind: Any) -> Any:
        return builder.bitcast(builder.gep(pointer, [place]), kind.as_pointer())

    def times(value: Any, factor: int) -> Any:
        return builder.mul(value, ir.Constant(value.type, factor))

    numbers = [builder.add(row, ir.Constant(row.type, number)) for number in range(height)]
    kept = [[_cgutils.alloca_once(builder, _VECTOR) for _ in range(vectors)] for _ in numbers]
    for number, slots in zip(numbers, kept, strict=True):
        begin = _everywhere(builder, times(builder.load(at(sums, number, ir.IntType(32))), -_SHIFT))
        for slot in slots:
            builder.store(begin, slot)
    starts = [builder.mul(number, times(steps, FOUR)) for number in numbers]
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    multiply = _cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")
    with _cgutils.for_range(builder, steps, intp=steps.type) as loop:
        places = [
            times(builder.add(times(loop.index, vectors), ir.Constant(steps.type, v)), 64) for v in range(vectors)
        ]
        unsigned = [builder.load(at(seeds, place, _VECTOR), align=1) for place in places]
        for start, slots in zip(starts, kept, strict=True):
            word = builder.load(at(rows, builder.add(start, times(loop.index, FOUR)), ir.IntType(32)), align=1)
            signed = _everywhere(builder, word)
            for slot, vector in zip(slots, unsigned, strict=True):
                builder.store(builder.call(multiply, [builder.load(slot), vector, signed]), slot)
    for number, slots in zip(numbers, kept, strict=True):
        for v, slot in enumerate(slots):
            place = times(builder.add(times(number, vectors), ir.Constant(row.type, v)), _LANES)
            builder.store(builder.load(slot), at(scores, place, _VECTOR), align=4)


if TYPE_CHECKING:

    def _narrow_tiles(rows: Any, sums: Any, seeds: Any, scores: Any, *size: int) -> None: ...
    def _wide_tiles(rows: Any, sums: Any, seeds: Any, scores: Any, *size: int) -> None: ...

else:

    def _tiles(height, vectors):  # noqa: ANN001, ANN202
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            arrays = zip(signature.args[:4], arguments[:4], strict=True)
            pointers = [context.make_array(kind)(context, builder, value).data for kind, value in arrays]
            count, steps = arguments[4:]
            zero, step = ir.Constant(count.type, 0), ir.Constant(count.type, height)
            with _cgutils.for_range_slice(builder, zero, count, step, count.type) as (row, _):
                _tile(builder, pointers, row, steps, (height, vectors))
            return context.get_dummy_value()

        return generate

    @intrinsic
    def _narrow_tiles(typing_context, rows, sums, seeds, scores, count, steps):  # noqa: ANN001, ANN202, ARG001, PLR0917
        return types.void(rows, sums, seeds, scores, types.intp, types.intp), _tiles(12, 1)

    @intrinsic
    def _wide_tiles(typing_context, rows, sums, seeds, scores, count, steps):  # noqa: ANN001, ANN202, ARG001, PLR0917
        return types.void(rows, sums, seeds, scores, types.intp, types.intp), _tiles(4, 4)


@njit(cache=True, nogil=True)
def _narrow(
    rows: NDArray[np.int8], seeds: NDArray[np.uint8], sums: NDArray[np.int32], scores: NDArray[np.int32]
) -> None:
    """Twelve rows and sixteen seeds at a time."""
    _narrow_tiles(rows, sums, seeds, scores, rows.shape[0], seeds.shape[0])


@njit(cache=True, nogil=True)
def _wide(rows: NDArray[np.int8], seeds: NDArray[np.uint8], sums: NDArray[np.int32], scores: NDArray[np.int32]) -> None:
    """Four rows and sixty-four seeds at a time."""
    _wide_tiles(rows, sums, seeds, scores, rows.shape[0], seeds.shape[0])
