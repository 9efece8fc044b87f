"""The rounds of MD5, SHA-1 and SHA-256 over one block of sixteen texts, as vector instructions.

Loops over lanes do not become vectors by themselves here, so the steps are written as LLVM's own vector operations,
which become whatever the machine has (AVX-512, AVX2, SSE2, NEON). MD5: RFC 1321. SHA-1 and SHA-256:
FIPS 180-4.

Arrays are contiguous, and nothing is checked: the state, uint32 (4, 5 or 8, 16), one lane a text; the tile, uint8 (16,
64), one row a text; low and high, uint32 (16,), the number of bits of texts that end in this block, else 0. The state
is replaced by what comes out of the rounds; adding what it was before is left to the caller.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from vetset.signal.lanes import LANES, turned_over

BLOCK = 64
"""Bytes of a block of any of them."""

_WORD = ir.IntType(32)
_BYTES = ir.VectorType(ir.IntType(8), BLOCK)
_VECTOR = ir.VectorType(_WORD, LANES)
_cgutils: Any = cgutils  # which carries no types


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _fraction_of_root(number: int, degree: int) -> int:
    """The first 32 bits of the fraction of a square or cube root, in whole numbers."""
    scaled = number << (32 * degree)
    low, high = 0, scaled
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= scaled else (low, middle - 1)
    return low & 0xFFFFFFFF


MD5_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
"""The state before the first block."""
SHA1_START = (*MD5_START, 0xC3D2E1F0)
"""The state before the first block."""
SHA256_START = tuple(_fraction_of_root(prime, 2) for prime in _primes(8))
"""The state before the first block."""
_SINES = [int(abs(math.sin(i + 1)) * 2**32) for i in range(64)]
_TURNS = [turn for four in ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21)) for turn in four * 4]
_ORDER = [(factor * i + first) % 16 for factor, first in ((1, 0), (5, 1), (3, 5), (7, 0)) for i in range(16)]
_ROOTS = [math.isqrt(number << 60) for number in (2, 3, 5, 10)]
_CUBES = [_fraction_of_root(prime, 3) for prime in _primes(64)]


class _Steps:
    """Vector operations under construction."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        of_one, of_three = (ir.FunctionType(_VECTOR, [_VECTOR] * count) for count in (1, 3))
        self._funnel = _cgutils.get_or_insert_function(builder.module, of_three, f"llvm.fshl.v{LANES}i32")
        self._swap = _cgutils.get_or_insert_function(builder.module, of_one, f"llvm.bswap.v{LANES}i32")

    def all(self, value: int) -> Any:
        return ir.Constant(_VECTOR, [ir.Constant(_WORD, value)] * LANES)

    def load(self, array: Any, row: int) -> Any:
        place = self._builder.gep(array, [ir.Constant(ir.IntType(64), LANES * row)])
        return self._builder.load(self._builder.bitcast(place, _VECTOR.as_pointer()), align=4)

    def store(self, value: Any, array: Any, row: int) -> None:
        place = self._builder.gep(array, [ir.Constant(ir.IntType(64), LANES * row)])
        self._builder.store(value, self._builder.bitcast(place, _VECTOR.as_pointer()), align=4)

    def add(self, *values: Any) -> Any:
        total = values[0]
        for value in values[1:]:
            total = self._builder.add(total, value)
        return total

    def xor(self, *values: Any) -> Any:
        total = values[0]
        for value in values[1:]:
            total = self._builder.xor(total, value)
        return total

    def either(self, one: Any, other: Any) -> Any:
        return self._builder.or_(one, other)

    def both(self, one: Any, other: Any) -> Any:
        return self._builder.and_(one, other)

    def other(self, value: Any) -> Any:
        return self._builder.not_(value)

    def turned(self, value: Any, by: int) -> Any:
        """Rotated to the left."""
        return self._builder.call(self._funnel, [value, value, self.all(by)])

    def shifted(self, value: Any, by: int) -> Any:
        """Shifted to the right."""
        return self._builder.lshr(value, self.all(by))

    def words(self, tile: Any, low: Any, high: Any, *, big: bool) -> list[Any]:
        """The 16 words of every text's block; the number of bits stands in the last two."""
        rows = self._builder.bitcast(tile, _WORD.as_pointer())
        block = turned_over(self._builder, [self.load(rows, i) for i in range(LANES)])
        if big:
            block = [self._builder.call(self._swap, [word]) for word in block]
        block[14] = self.either(block[14], self.load(high if big else low, 0))
        block[15] = self.either(block[15], self.load(low if big else high, 0))
        return block


def _taken(builder: Any, arguments: list[Any]) -> None:
    """64 bytes, those behind the first `left` of them as zeros, and a one bit where the text ends."""
    source, at, left, tile, lane = arguments
    byte = ir.IntType(8)
    place = builder.bitcast(builder.gep(source, [at]), _BYTES.as_pointer())
    end = builder.insert_element(ir.Constant(_BYTES, ir.Undefined), builder.trunc(left, byte), ir.Constant(_WORD, 0))
    ends = builder.shuffle_vector(end, end, ir.Constant(ir.VectorType(_WORD, BLOCK), [0] * BLOCK))
    index = ir.Constant(_BYTES, [ir.Constant(byte, i) for i in range(BLOCK)])
    mark = ir.Constant(_BYTES, [ir.Constant(byte, 0x80)] * BLOCK)
    zero = ir.Constant(_BYTES, None)
    behind = builder.select(builder.icmp_signed("==", index, ends), mark, zero)
    kept = builder.select(builder.icmp_signed("<", index, ends), builder.load(place, align=1), behind)
    target = builder.gep(tile, [builder.mul(lane, ir.Constant(ir.IntType(64), BLOCK))])
    builder.store(kept, builder.bitcast(target, _BYTES.as_pointer()), align=1)


def _md5(do: _Steps, state: Any, tile: Any, low: Any, high: Any) -> None:
    a, b, c, d = (do.load(state, i) for i in range(4))
    block = do.words(tile, low, high, big=False)
    for step in range(64):
        if step < 16:
            mixed = do.xor(d, do.both(b, do.xor(c, d)))
        elif step < 32:
            mixed = do.xor(c, do.both(d, do.xor(b, c)))
        elif step < 48:
            mixed = do.xor(b, c, d)
        else:
            mixed = do.xor(c, do.either(b, do.other(d)))
        total = do.add(a, mixed, block[_ORDER[step]], do.all(_SINES[step]))
        a, d, c, b = d, c, b, do.add(b, do.turned(total, _TURNS[step]))
    for row, value in enumerate((a, b, c, d)):
        do.store(value, state, row)


def _sha1(do: _Steps, state: Any, tile: Any, low: Any, high: Any) -> None:
    a, b, c, d, e = (do.load(state, i) for i in range(5))
    block = do.words(tile, low, high, big=True)
    for step in range(80):
        if step >= 16:
            before = do.xor(block[step - 3], block[step - 8], block[step - 14], block[step - 16])
            block.append(do.turned(before, 1))
        if step < 20:
            mixed = do.xor(d, do.both(b, do.xor(c, d)))
        elif 40 <= step < 60:
            mixed = do.either(do.both(b, c), do.both(d, do.either(b, c)))
        else:
            mixed = do.xor(b, c, d)
        total = do.add(do.turned(a, 5), mixed, e, do.all(_ROOTS[step // 20]), block[step])
        e, d, c, b, a = d, c, do.turned(b, 30), a, total
    for row, value in enumerate((a, b, c, d, e)):
        do.store(value, state, row)


def _sha256(do: _Steps, state: Any, tile: Any, low: Any, high: Any) -> None:
    a, b, c, d, e, f, g, h = (do.load(state, i) for i in range(8))
    block = do.words(tile, low, high, big=True)
    for step in range(64):
        if step >= 16:
            early, late = block[step - 15], block[step - 2]
            small = do.xor(do.turned(early, 25), do.turned(early, 14), do.shifted(early, 3))
            large = do.xor(do.turned(late, 15), do.turned(late, 13), do.shifted(late, 10))
            block.append(do.add(block[step - 16], small, block[step - 7], large))
        turned = do.xor(do.turned(e, 26), do.turned(e, 21), do.turned(e, 7))
        chosen = do.xor(g, do.both(e, do.xor(f, g)))
        one = do.add(h, turned, chosen, do.all(_CUBES[step]), block[step])
        turned = do.xor(do.turned(a, 30), do.turned(a, 19), do.turned(a, 10))
        most = do.either(do.both(a, b), do.both(c, do.either(a, b)))
        h, g, f, e, d, c, b, a = g, f, e, do.add(d, one), c, b, a, do.add(one, turned, most)
    for row, value in enumerate((a, b, c, d, e, f, g, h)):
        do.store(value, state, row)


if TYPE_CHECKING:
    Bytes = NDArray[np.uint8]
    Words = NDArray[np.uint32]

    def take_block(source: Bytes, at: int, left: int, tile: Bytes, lane: int) -> None:
        """Put the 64 bytes at `at` into a row of the tile; `left` of them are the text's, and -1: it ended before."""

    def md5_rounds(state: Words, tile: Bytes, low: Words, high: Words) -> None:
        """The 64 steps of MD5 over one block of each text."""

    def sha1_rounds(state: Words, tile: Bytes, low: Words, high: Words) -> None:
        """The 80 steps of SHA-1 over one block of each text."""

    def sha256_rounds(state: Words, tile: Bytes, low: Words, high: Words) -> None:
        """The 64 steps of SHA-256 over one block of each text."""

else:

    def _data(context, builder, kind, value):  # noqa: ANN001, ANN202
        return _cgutils.create_struct_proxy(kind)(context, builder, value=value).data

    def _rounds(build):  # noqa: ANN001, ANN202
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            arrays = zip(signature.args, arguments, strict=True)
            build(_Steps(builder), *(_data(context, builder, kind, value) for kind, value in arrays))
            return context.get_dummy_value()

        return generate

    @intrinsic
    def take_block(typing_context, source, at, left, tile, lane):  # noqa: ANN001, ANN201, ARG001, D103, PLR0917
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            plain = list(arguments)
            for place in (0, 3):
                plain[place] = _data(context, builder, signature.args[place], arguments[place])
            _taken(builder, plain)
            return context.get_dummy_value()

        return types.none(source, types.int64, types.int64, tile, types.int64), generate

    @intrinsic
    def md5_rounds(typing_context, state, tile, low, high):  # noqa: ANN001, ANN201, ARG001, D103
        return types.none(state, tile, low, high), _rounds(_md5)

    @intrinsic
    def sha1_rounds(typing_context, state, tile, low, high):  # noqa: ANN001, ANN201, ARG001, D103
        return types.none(state, tile, low, high), _rounds(_sha1)

    @intrinsic
    def sha256_rounds(typing_context, state, tile, low, high):  # noqa: ANN001, ANN201, ARG001, D103
        return types.none(state, tile, low, high), _rounds(_sha256)
