"""How a picture is to be turned before it stands upright: EXIF's tag 274, and what its eight values do to pixels."""

import re
import struct
from collections.abc import Mapping
from itertools import takewhile
from types import MappingProxyType

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image

from vetset.signal.jpeg import SOS, is_usual, segments
from vetset.signal.quiet import strict_and_silent_pillow

_Pixels = NDArray[np.uint8]
_ORIENTATION = 0x0112
_NUMBERS = {3: "H", 4: "I"}  # SHORT, as EXIF has it, and LONG
_APP1 = 0xE1
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_TILE = 32

TURNS: Mapping[int, tuple[int, int, int]] = MappingProxyType(
    {2: (0, 1, 0), 3: (1, 1, 0), 4: (1, 0, 0), 5: (0, 0, 1), 6: (1, 0, 1), 7: (1, 1, 1), 8: (0, 1, 1)}
)
"""What brings a picture of each orientation upright (TIFF 6.0, tag Orientation): whether to turn round the order of its
rows, that of its columns, and then to exchange rows and columns. 1 is upright already.
"""


def turned(pixels: _Pixels, orientation: int) -> _Pixels:
    """Pixels (H, W, 3) of this orientation, 2 to 8, brought upright: uint8, C-contiguous, a copy."""
    flipped, mirrored, transposed = TURNS[orientation]
    if not mirrored and not transposed:
        return pixels[::-1].copy()
    height, width = pixels.shape[:2]
    down, across = 3 * width * (-1 if flipped else 1), -3 if mirrored else 3
    first = (3 * width * (height - 1) if flipped else 0) + (3 * (width - 1) if mirrored else 0)
    if transposed:
        height, width, down, across = width, height, across, down
    out = np.empty((height, width, 3), np.uint8)
    _copy(np.ascontiguousarray(pixels).reshape(-1), first, down, across, out)
    return out


@njit(cache=True, nogil=True)
def _copy(source: _Pixels, first: int, down: int, across: int, out: _Pixels) -> None:
    """Tile by tile, so that neither side is walked through in long strides; NumPy's own copy takes much longer."""
    for top in range(0, out.shape[0], _TILE):
        for left in range(0, out.shape[1], _TILE):
            for y in range(top, min(top + _TILE, out.shape[0])):
                place = first + down * y + across * left
                for x in range(left, min(left + _TILE, out.shape[1])):
                    at = np.uint64(place)
                    out[y, x, 0] = source[at]
                    out[y, x, 1] = source[at + np.uint64(1)]
                    out[y, x, 2] = source[at + np.uint64(2)]
                    place += across


def jpeg_orientation(data: bytes) -> int:
    """The orientation, 1 to 8, of a JPEG as Pillow has it: of EXIF, where that states none of XMP, else 1."""
    if is_usual(data):
        return 1
    exif: list[bytes] = []
    xmp = b""
    for block in _application_blocks(data):
        if block.startswith(_EXIF):
            exif.append(block[len(_EXIF) :])
        elif block.startswith(_XMP):
            xmp = block
    stated = tiff_orientation(b"".join(exif)) if exif else None
    if stated is None and (found := _IN_XMP.search(xmp)):
        stated = int(found[1])
    return orientation_of(stated)


def _application_blocks(data: bytes) -> list[bytes]:
    """Content of every APP1 segment ahead of the data."""
    found: list[bytes] = []
    place = 2
    while data[place : place + 1] == b"\xff" and place + 4 <= len(data):
        marker = data[place + 1]
        if marker == SOS:
            return found
        if marker < 0xC0 or marker == 0xFF or 0xD0 <= marker <= 0xD9:
            break
        length = data[place + 2] << 8 | data[place + 3]
        if marker == _APP1:
            found.append(data[place + 4 : place + 2 + length])
        place += 2 + max(length, 2)
    # fill bytes, stray bytes, markers without a segment: rare, and walked through with more care
    ahead = takewhile(lambda part: part.marker != SOS, segments(data))
    return [part.body[2:] for part in ahead if part.marker == _APP1]


def tiff_orientation(block: bytes) -> int | None:
    """The orientation that a TIFF structure, as EXIF is one, states in its first directory.

    Returns:
        1 to 8; 1 where the structure states another; None where it states none.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return _by_pillow(block)
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return _by_pillow(block)
    (entries,) = struct.unpack_from(order + "H", block, start)
    for place in range(start + 2, min(start + 2 + 12 * entries, len(block) - 11), 12):
        tag, kind, count = struct.unpack_from(order + "HHI", block, place)
        if tag == _ORIENTATION:
            if kind not in _NUMBERS or count != 1:
                return _by_pillow(block)
            (value,) = struct.unpack_from(order + _NUMBERS[kind], block, place + 8)
            return orientation_of(value)
    return None if start + 2 + 12 * entries <= len(block) else _by_pillow(block)


def _by_pillow(block: bytes) -> int | None:
    """What Pillow makes of a structure that is not quite as it should be; of one that it cannot read, 1."""
    exif = Image.Exif()
    try:
        with strict_and_silent_pillow():
            exif.load(_EXIF + block)
            return orientation_of(exif[_ORIENTATION]) if _ORIENTATION in exif else None
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, struct.error, MemoryError):
        return 1


def orientation_of(stated: object) -> int:
    """1 to 8 for whatever Pillow found: any number that equals one of them is one, so that 6.0 turns a picture, too."""
    return next((number for number in TURNS if number == stated), 1)
