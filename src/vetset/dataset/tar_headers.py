"""Headers of common members of a tar, many at once: a walk by `TarWalk` alone costs more than hashing a small picture.

A member is common if every reader of tar understands it alike: a file (`0`) under a short name in one header, before
which at most one PAX header may stand that changes neither name nor size (a time, as img2dataset writes it). Whatever
else comes up, well-formed or not, ends the walk here, and `TarWalk` judges it.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 512
_MOST = 256
"""Members that are found at a time."""
_LONGEST_PAX = 4096
"""Bytes of a PAX header that is common."""
_FILE, _PAX = ord("0"), ord("x")
_SPACE, _SLASH = ord(" "), ord("/")
_WORDS = (
    np.frombuffer(b"path=", np.uint8),
    np.frombuffer(b"size=", np.uint8),
    np.frombuffer(b"GNU.sparse", np.uint8),
)

Bytes = NDArray[np.uint8]


def common_members(window: bytes, left: int) -> list[tuple[int, int, int, int, int, int]]:
    """The common members with which the window begins, one behind the other, as far as it holds their headers.

    Args:
        window: consecutive bytes of an archive.
        left: bytes of the archive from the window's first on; no member ends behind them.

    Returns:
        Of each: where it begins, where its name does, the name's length, where its content begins, the content's size,
        and where the next member begins; places are counted from the window's first byte, and may lie behind its end.
    """
    found = np.empty((_MOST, 6), np.int64)
    count = _common(np.frombuffer(window, np.uint8), left, _WORDS, found)
    return [tuple(row) for row in found[:count].tolist()]


@njit(cache=True, nogil=True)
def _common(window: Bytes, left: int, words: tuple[Bytes, Bytes, Bytes], found: NDArray[np.int64]) -> int:
    count, start = 0, 0
    while count < len(found):
        header = _behind_pax(window, start, words)
        if header < 0 or header + BLOCK > window.size or not _is_plain_file(window, header):
            break
        size = _octal(window, header + 124, 12)
        data = header + BLOCK
        end = data + (size + BLOCK - 1) // BLOCK * BLOCK
        name = 0
        while name < 100 and window[header + name]:
            name += 1
        if size < 0 or end > left or name == 0 or window[header + name - 1] == _SLASH:
            break
        found[count] = (start, header, name, data, size, end)
        count += 1
        start = end
    return count


@njit(cache=True, nogil=True)
def _behind_pax(window: Bytes, start: int, words: tuple[Bytes, Bytes, Bytes]) -> int:
    """Where the header of a member that begins at `start` lies; -1 if what stands before it is not common."""
    if start + BLOCK > window.size or window[start + 156] != _PAX:
        return start
    size = _octal(window, start + 124, 12)
    first, last = start + BLOCK, start + BLOCK + size
    header = first + (size + BLOCK - 1) // BLOCK * BLOCK
    if not 0 <= size <= _LONGEST_PAX or header > window.size or not _sum_holds(window, start):
        return -1
    for place in range(last, header):
        if window[place]:
            return -1
    for word in words:
        for place in range(first, last - word.size + 1):
            at = 0
            while at < word.size and window[place + at] == word[at]:
                at += 1
            if at == word.size:
                return -1
    return header


@njit(cache=True, nogil=True)
def _is_plain_file(window: Bytes, header: int) -> bool:
    """A file whose name has no prefix, under a checksum that holds."""
    return window[header + 156] == _FILE and window[header + 345] == 0 and _sum_holds(window, header)


@njit(cache=True, nogil=True)
def _sum_holds(window: Bytes, header: int) -> bool:
    total = np.int32(8 * _SPACE)
    for place in range(header, header + BLOCK):
        total += np.int32(window[place])
    for place in range(header + 148, header + 156):
        total -= np.int32(window[place])
    return _octal(window, header + 148, 8) == total


@njit(cache=True, nogil=True)
def _octal(window: Bytes, first: int, width: int) -> int:
    """A field of octal digits that ends in a NUL, or in its last byte, a digit or a space; -1 for any other."""
    value, at = 0, 0
    while at < width and np.uint8(window[first + at] - np.uint8(48)) < 8:
        value = 8 * value + (window[first + at] - 48)
        at += 1
    ended = at == width or window[first + at] == 0 or (at == width - 1 and window[first + at] == _SPACE)
    return value if at and ended else -1
