"""Values that a dataset states of a picture: digests and PhotoDNA, in hexadecimal or raw; PhotoDNA in base64 too.

A PhotoDNA value has 144 bytes: 192 characters of base64 without padding, of which every bit counts, so that it has one
such form. Numbers in decimal, which some exports have, are not read.
"""

import binascii
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.model.signal import Kind

BASE64_LENGTH = 4 * Kind.PHOTODNA.width // 3
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NONE = 0x40
_SIX_BITS = np.full(256, _NONE, np.uint8)
_SIX_BITS[np.frombuffer(_ALPHABET, np.uint8)] = np.arange(64)

Bytes = NDArray[np.uint8]


def value_of(value: Any, kind: Kind) -> bytes | None:
    """A value given as hex text, of PhotoDNA as base64 (RFC 4648, section 4), or as raw bytes; None if it is none."""
    width = kind.width
    if isinstance(value, bytes) and len(value) == width:
        return value
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str) or not value.isascii():
        return None
    try:
        if kind is Kind.PHOTODNA and len(value) == BASE64_LENGTH:
            raw = binascii.a2b_base64(value, strict_mode=True)
            return raw if len(raw) == width else None
        return bytes.fromhex(value) if len(value) == 2 * width and value.isalnum() else None
    except ValueError:
        return None


def unbase64(data: Bytes, starts: NDArray[np.int64]) -> tuple[Bytes, NDArray[np.bool_]]:
    """The values of texts of 192 characters, whole columns at once.

    Args:
        data: uint8, all texts.
        starts: int64 (n,), where each begins; none of them reaches out of `data`.

    Returns:
        uint8 (n, 144), and bool (n,): which texts are base64 throughout; the values of the others mean nothing.
    """
    values, good = np.empty((len(starts), Kind.PHOTODNA.width), np.uint8), np.empty(len(starts), np.bool_)
    _unbase64(data, starts, _SIX_BITS, values, good)
    return values, good


@njit(cache=True, nogil=True)
def _unbase64(data: Bytes, starts: NDArray[np.int64], six: Bytes, values: Bytes, good: NDArray[np.bool_]) -> None:
    for row in range(len(starts)):
        bad = np.uint8(0)
        for i in range(values.shape[1] // 3):
            at = starts[row] + 4 * i
            one, two, three, four = six[data[at]], six[data[at + 1]], six[data[at + 2]], six[data[at + 3]]
            bad |= one | two | three | four
            values[row, 3 * i] = one << 2 | two >> 4
            values[row, 3 * i + 1] = two << 4 | three >> 2
            values[row, 3 * i + 2] = three << 6 | four
        good[row] = bad & _NONE == 0
