"""How a picture is to be turned before it stands upright: EXIF's tag 274, and what its eight values do to pixels."""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

_Pixels = NDArray[np.uint8]
_ORIENTATION = 0x0112
_SHORT = 3
_SOS = 0xDA
_APP1 = 0xE1

TURNS: Mapping[int, Callable[[_Pixels], _Pixels]] = MappingProxyType(
    {
        2: lambda pixels: pixels[:, ::-1],
        3: lambda pixels: pixels[::-1, ::-1],
        4: lambda pixels: pixels[::-1],
        5: lambda pixels: pixels.swapaxes(0, 1),
        6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
        7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
        8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
    }
)
"""What brings a picture of each orientation upright (TIFF 6.0, tag Orientation); 1 is upright already."""


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
