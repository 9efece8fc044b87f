"""Values as text: hexadecimal in either case, base32 and base64 (RFC 4648, each with its padding or without).

The values of a kind in a file are of one encoding. Given the kind, the number of characters tells which: a SHA-1 is 40,
32 or 27 characters long. The one length that two of them share, 32 for an MD5, is base32 only where it ends in padding.
So nothing is guessed: a value that is not as long as those before it is refused.

What is left of a value in a file that was cut off may be as long as one in another encoding: 27 of the 40 digits of a
SHA-1. So a text that could be the beginning of a longer form is none of the shorter one, where nothing else says what
it is. Of random values in base64, one in four million reads so.
"""

import binascii
import re
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.hashlist.opinions import values_of
from vetset.model.signal import Kind

_HEX = b"0123456789abcdef"
_BASE32 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NONE = 0xFF


class Encoding(StrEnum):
    """How a value is written down."""

    HEX = "hex"
    BASE32 = "base32"
    BASE64 = "base64"

    @property
    def bits(self) -> int:
        """Bits that a character stands for."""
        return {Encoding.HEX: 4, Encoding.BASE32: 5, Encoding.BASE64: 6}[self]

    @property
    def characters(self) -> str:
        """What its characters are called."""
        return "hexadecimal digits" if self is Encoding.HEX else f"those of {self.value}"

    def length(self, kind: Kind) -> int:
        """Characters of a value of a kind, without padding."""
        return -(-8 * kind.width // self.bits)

    def padded(self, kind: Kind) -> int:
        """Characters of a value of a kind, with padding."""
        group = {Encoding.HEX: 2, Encoding.BASE32: 8, Encoding.BASE64: 4}[self]
        return -(-self.length(kind) // group) * group


def encoding_of(text: str, kind: Kind) -> Encoding | None:
    """The encoding in which a value of this kind is as long as this text, and that it is not cut off from another.

    None if there is none.
    """
    whole, bare = len(text), len(text.rstrip("="))
    for encoding in Encoding:
        if whole == encoding.padded(kind) > encoding.length(kind) == bare:
            return encoding
    for encoding in Encoding:
        if whole == encoding.length(kind) and not _may_be_cut(text, encoding):
            return encoding
    return None


def _may_be_cut(text: str, encoding: Encoding) -> bool:
    """Whether all characters are of an encoding that takes more of them."""
    return any(longer.bits < encoding.bits and _WRITTEN[longer].fullmatch(text) for longer in Encoding)


def fitting(cells: pa.StringArray, kind: Kind, encoding: Encoding) -> tuple[pa.StringArray, NDArray[np.bool_]]:
    """Cells without padding, and which of them are as long as a value is, with or without it.

    Args:
        cells: text without nulls.
        kind: what they are to be.
        encoding: how they are to be written.
    """
    length, padded = encoding.length(kind), encoding.padded(kind)
    whole = _lengths(cells)
    if padded == length or np.all(whole == length):
        return cells, whole == length
    bare = pc.ascii_rtrim(cells, "=")
    return bare, (_lengths(bare) == length) & ((whole == length) | (whole == padded))


def decoded(cells: pa.StringArray, kind: Kind, encoding: Encoding) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The values of cells that are all as long as they must be, and which of the cells have other characters.

    Args:
        cells: text without nulls and without padding, of `encoding.length(kind)` bytes each.
        kind: what they are.
        encoding: how they are written.

    Returns:
        uint8 (n, kind.width), whose rows mean nothing where bool (n,) is true.
    """
    text = values_of(cells.view(pa.binary()), encoding.length(kind))
    if encoding is Encoding.HEX:
        try:
            whole = binascii.unhexlify(text.data)
        except binascii.Error:
            pass  # which of them it was, is found below
        else:
            return np.frombuffer(whole, np.uint8).reshape(-1, kind.width), np.zeros(len(text), np.bool_)
    digits = _DIGITS[encoding][text]
    wrong = np.any(digits == _NONE, axis=1)
    bits = np.unpackbits(digits[:, :, np.newaxis], axis=2)[:, :, 8 - encoding.bits :].reshape(
        len(text), text.shape[1] * encoding.bits
    )
    # a value has one form: bits that are left over must be zero
    wrong |= np.any(bits[:, 8 * kind.width :], axis=1)
    return np.packbits(bits[:, : 8 * kind.width], axis=1), wrong


def _lengths(cells: pa.StringArray) -> NDArray[np.int32]:
    found: NDArray[np.int32] = pc.binary_length(cells).to_numpy()
    return found


def _table(alphabet: bytes) -> NDArray[np.uint8]:
    table = np.full(256, _NONE, np.uint8)
    table[list(alphabet)] = np.arange(len(alphabet))
    return table


_DIGITS = {
    Encoding.HEX: np.minimum(_table(_HEX), _table(_HEX.upper())),
    Encoding.BASE32: np.minimum(_table(_BASE32), _table(_BASE32.lower())),
    Encoding.BASE64: _table(_BASE64),
}
"""What every byte stands for, in each of the encodings."""
_WRITTEN = {
    Encoding.HEX: re.compile("[0-9A-Fa-f]*"),
    Encoding.BASE32: re.compile("[A-Z2-7]*|[a-z2-7]*"),
    Encoding.BASE64: re.compile("[A-Za-z0-9+/]*"),
}
"""What is written in each of the encodings, in one case."""
