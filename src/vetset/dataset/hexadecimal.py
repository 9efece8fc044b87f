"""Hexadecimal digits to bytes, whole columns at once.

Thirty-two digits are a vector. Left to itself, a compiler picks the digits of each byte apart first, which takes three
times as long as all the rest, so that the step is written here as LLVM's own vector operations.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

BYTES_AT_ONCE = 16
_DIGITS = ir.VectorType(ir.IntType(8), 2 * BYTES_AT_ONCE)
_PAIRS = ir.VectorType(ir.IntType(16), BYTES_AT_ONCE)
_VALUES = ir.VectorType(ir.IntType(8), BYTES_AT_ONCE)
_cgutils: Any = cgutils  # which carries no types

Bytes = NDArray[np.uint8]


def unhex(data: Bytes, starts: NDArray[np.int64], width: int) -> tuple[Bytes, NDArray[np.bool_]]:
    """The values of texts of `2 * width` digits, in either case.

    Args:
        data: uint8, all texts.
        starts: int64 (n,), where each begins; none of them reaches out of `data`.
        width: bytes of a value, at least 16.

    Returns:
        uint8 (n, width), and bool (n,): which texts are digits throughout; the values of the others mean nothing.
    """
    values, good = np.empty((len(starts), width), np.uint8), np.empty(len(starts), np.bool_)
    _unhex(data, starts, width, values.reshape(-1), good)
    return values, good


def _all(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [ir.Constant(kind.element, value)] * kind.count)


def _nibbles(builder: Any, digits: Any) -> tuple[Any, Any]:
    """Of each digit its value, and whether it is none: '0' to '9' end in their value, 'a' and 'A' in 1."""
    beyond = builder.icmp_unsigned(">", digits, _all(_DIGITS, 0x3F))
    nine = builder.select(beyond, _all(_DIGITS, 9), _all(_DIGITS, 0))
    number = builder.sub(digits, _all(_DIGITS, ord("0")))
    letter = builder.sub(builder.or_(digits, _all(_DIGITS, 0x20)), _all(_DIGITS, ord("a")))
    no_number = builder.icmp_unsigned(">", number, _all(_DIGITS, 9))
    no_letter = builder.icmp_unsigned(">", letter, _all(_DIGITS, 5))
    return builder.add(builder.and_(digits, _all(_DIGITS, 0x0F)), nine), builder.and_(no_number, no_letter)


def _bytes_of(builder: Any, nibbles: Any) -> Any:
    """Of each pair one byte; the first of a pair, which is the upper half, is the lower byte of a word."""
    pairs = builder.bitcast(nibbles, _PAIRS)
    return builder.trunc(
        builder.or_(builder.shl(pairs, _all(_PAIRS, 4)), builder.lshr(pairs, _all(_PAIRS, 8))), _VALUES
    )


if TYPE_CHECKING:

    def unhexed(data: Bytes, at: int, values: Bytes, to: int) -> int:
        """Write the 16 bytes of 32 digits; 0 if they are digits throughout. Nothing is checked."""

else:

    @intrinsic
    def unhexed(typing_context, data, at, values, to):  # noqa: ANN001, ANN201, ARG001, D103
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            source, target = (
                _cgutils.create_struct_proxy(signature.args[which])(context, builder, value=arguments[which]).data
                for which in (0, 2)
            )
            place = builder.bitcast(builder.gep(source, [arguments[1]]), _DIGITS.as_pointer())
            nibbles, bad = _nibbles(builder, builder.load(place, align=1))
            place = builder.bitcast(builder.gep(target, [arguments[3]]), _VALUES.as_pointer())
            builder.store(_bytes_of(builder, nibbles), place, align=1)
            return builder.zext(builder.bitcast(bad, ir.IntType(2 * BYTES_AT_ONCE)), ir.IntType(64))

        return types.int64(data, types.int64, values, types.int64), generate


@njit(cache=True, nogil=True)
def _unhex(data: Bytes, starts: NDArray[np.int64], width: int, values: Bytes, good: NDArray[np.bool_]) -> None:
    for row in range(len(starts)):
        bad = 0
        for step in range(0, width, BYTES_AT_ONCE):
            at = min(step, width - BYTES_AT_ONCE)  # the last one again takes some of what the one before it took
            bad |= unhexed(data, starts[row] + 2 * at, values, row * width + at)
        good[row] = bad == 0
