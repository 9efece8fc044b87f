"""How a picture is to be turned before it stands upright: EXIF's tag 274, and what its eight values do to pixels."""

import struct
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numba import njit
from numpy.typing import NDArray

_Pixels = NDArray[np.uint8]
_ORIENTATION = 0x0112
_SHORT = 3
_SOS = 0xDA
_APP1 = 0xE1
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
    """The orientation, 1 to 8, that the first EXIF segment of a JPEG states; 1 where there is none or a damaged one."""
    place = 2
    while data[place : place + 1] == b"\xff" and place + 4 <= len(data):
        marker = data[place + 1]
        if marker == _SOS:
            break
        length = data[place + 2] << 8 | data[place + 3]
        if marker == _APP1 and data.startswith(b"Exif\0\0", place + 4):
            return tiff_orientation(data[place + 10 : place + 2 + length])
        place += 2 + max(length, 2)
    return 1


def tiff_orientation(block: bytes) -> int:
    """The orientation that a TIFF structure, as EXIF is one, states in its first directory; 1 if none or damaged."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return 1
    (entries,) = struct.unpack_from(order + "H", block, start)
    for place in range(start + 2, min(start + 2 + 12 * entries, len(block) - 11), 12):
        tag, kind, count, value = struct.unpack_from(order + "HHIH", block, place)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and count == 1 and value in TURNS else 1
    return 1
