"""Loops over float32 columns spelled out in sixteen lanes as LLVM's vectors, for kernels that Numba compiles.

Left to itself, a compiler takes up to three times as long over them. How a lane's numbers are summed is not defined
here: products and sums may be fused. Where the order of a sum matters, see `vetset.search.similarity`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 16
_cgutils: Any = cgutils  # which carries no types
_WORD = ir.IntType(32)
SINGLES = ir.VectorType(ir.FloatType(), LANES)
WORDS = ir.VectorType(_WORD, LANES)
BYTES = ir.VectorType(ir.IntType(8), LANES)
HALVES = ir.VectorType(ir.HalfType(), LANES)
_MAY_FUSE = ("contract",)


def everywhere(builder: Any, value: Any, lanes: int) -> Any:
    """A number in each lane of a vector of so many."""
    nothing = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_WORD, lanes), [0] * lanes))


class Lanes:
    """Sixteen columns at a time, by one builder."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    @contextmanager
    def columns(self, size: Any, times: int = 1) -> Iterator[list[Any]]:
        """A loop over the first of each sixteen columns, `times` of them in one go; size is a multiple of both."""
        zero, step = ir.Constant(size.type, 0), ir.Constant(size.type, LANES * times)
        with _cgutils.for_range_slice(self._builder, zero, size, step, size.type) as (column, _):
            more = [ir.Constant(size.type, LANES * time) for time in range(times)]
            yield [self._builder.add(column, each) for each in more]

    def load(self, pointer: Any, column: Any, kind: Any = SINGLES) -> Any:
        """Sixteen numbers of an array."""
        place = self._builder.bitcast(self._builder.gep(pointer, [column]), kind.as_pointer())
        return self._builder.load(place, align=1)

    def store(self, value: Any, pointer: Any, column: Any) -> None:
        """A vector to an array of numbers as wide as its own."""
        place = self._builder.bitcast(self._builder.gep(pointer, [column]), value.type.as_pointer())
        self._builder.store(value, place, align=1)

    def everywhere(self, value: Any) -> Any:
        """A number in each lane."""
        return everywhere(self._builder, value, LANES)

    def times(self, one: Any, other: Any) -> Any:
        """The product, which may be fused with a sum."""
        return self._builder.fmul(one, other, flags=_MAY_FUSE)

    def plus(self, one: Any, other: Any) -> Any:
        """The sum."""
        return self._builder.fadd(one, other, flags=_MAY_FUSE)

    def less(self, one: Any, other: Any) -> Any:
        """The difference."""
        return self._builder.fsub(one, other, flags=_MAY_FUSE)

    def slot(self, kind: Any = SINGLES) -> Any:
        """Room for what is gathered in a loop, zero at first; LLVM keeps it in a register."""
        return _cgutils.alloca_once_value(self._builder, ir.Constant(kind, [0] * LANES))

    def add_product(self, slot: Any, one: Any, other: Any) -> None:
        """Add to a slot of float32."""
        self._builder.store(self.plus(self._builder.load(slot), self.times(one, other)), slot)

    def greater(self, one: Any, other: Any) -> Any:
        """The greater of whole numbers without a sign, lane by lane."""
        return self._builder.select(self._builder.icmp_unsigned(">", one, other), one, other)

    def folded(self, slots: Sequence[Any], join: Any) -> Any:
        """All lanes of some slots in one number, by halves."""
        value = self._builder.load(slots[0])
        for slot in slots[1:]:
            value = join(value, self._builder.load(slot))
        half = LANES >> 1
        while half:
            above = ir.Constant(WORDS, [(lane + half) % LANES for lane in range(LANES)])
            value = join(value, self._builder.shuffle_vector(value, value, above))
            half >>= 1
        return self._builder.extract_element(value, ir.Constant(_WORD, 0))


def pointers(context: Any, builder: Any, kinds: Any, values: Any) -> list[Any]:
    """Where the numbers of some arrays begin."""
    given = zip(kinds, values, strict=True)
    return [context.make_array(kind)(context, builder, value).data for kind, value in given]
