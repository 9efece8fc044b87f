"""Whether the data of a JPEG are all there, where libjpeg does not say so.

It says nothing about scans that are missing between two markers, nor of arithmetic coding that ends early, and whoever
has it stop at its first remark hears none of the others.
"""

import io
import struct
from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from vetset.signal.jpeg import (
    ARITHMETIC,
    DRI,
    FRAMES,
    PROGRESSIVE,
    RESTART,
    SOS,
    Frame,
    Segment,
    components,
    frame_of,
    is_usual,
    segments,
)
from vetset.signal.quiet import strict_and_silent_pillow

_PADDINGS = (b"\xfe\x5b\xd3\x17\xa9\x6e\x34\xc8\x9d\x42\xe7\x71", b"\x69\xb4\x2d\xee\x13\xc7\x58\xf2\x86\x3b\x95\xac")
"""Data that begin with a bit of either kind and are as good as random."""
_HEAD = struct.Struct(">HH").unpack_from
_SHOWN = (1, 3, 4)
"""Numbers of components that Pillow shows; in a TIFF there may be others."""
_ZEROS = bytes(8)
"""Arithmetic coding leaves out zeros at its end (T.81, D.1.8); never that many."""


def lacks_unheard(data: bytes) -> bool:
    """Whether data are missing of a JPEG that libjpeg has nothing to say about.

    Nearly every JPEG has data of all its components in its first scan and is not in arithmetic coding; of these only
    the header is looked at.
    """
    if is_usual(data):
        return False
    marker, complete = _first(data)
    if marker not in ARITHMETIC and complete:
        return False
    parts = segments(data)
    frame = frame_of(parts)
    if frame is None:
        return False
    return lacks_scans(parts, frame) or (frame.marker in ARITHMETIC and _ends_early(data, parts, frame))


def _first(data: bytes) -> tuple[int, bool]:
    """Marker of the frame, and whether the first scan has data of each of its components."""
    place, frame, count = 2, 0, 0
    try:
        while True:
            marker, length = _HEAD(data, place)
            if marker == 0xFF00 | SOS:
                return frame, data[place + 4] == count
            if marker & 0xFF in FRAMES:
                frame, count = marker & 0xFF, data[place + 9]
            if marker < 0xFF00:
                return 0, False
            place += 2 + length
    except (struct.error, IndexError):
        return 0, False


def lacks_data(data: bytes) -> bool:
    """Whether data of a JPEG are missing, whatever else libjpeg may remark upon.

    Data are missing where a scan, a restart interval or the end of an interval is.
    """
    parts = segments(data)
    frame = frame_of(parts)
    if frame is None:
        return False
    return lacks_scans(parts, frame) or _lacks_intervals(data, parts, frame) or _ends_early(data, parts, frame)


def lacks_scans(parts: Sequence[Segment], frame: Frame) -> bool:
    """Whether there is a component of which no scan has data, or a scan that refines what no scan has stated."""
    stated: dict[int, list[int]] = {number: [-1] * 64 for number in frame.sampling}
    for scan in parts:
        if scan.marker != SOS or len(scan.body) < 6:
            continue
        first, last, planes = scan.body[-3:] if frame.marker in PROGRESSIVE else (0, 63, 0)
        for number in components(scan):
            bits = stated.get(number, [])
            if planes >> 4 and any(seen < 0 or planes >> 4 < seen for seen in bits[first : last + 1]):
                return True
            bits[first : last + 1] = [planes & 15] * len(bits[first : last + 1])
    return any(bits[0] < 0 for bits in stated.values())


def _lacks_intervals(data: bytes, parts: Sequence[Segment], frame: Frame) -> bool:
    """Whether a scan has too few restart intervals, or some that do not follow each other."""
    length = 0
    for part in parts:
        if part.marker == DRI:
            length = int.from_bytes(part.body[2:4])
        if part.marker == SOS and length:
            needed = -(-_units(components(part), frame) // length) - 1
            count = 0
            for count, mark in enumerate(islice(RESTART.finditer(data, *part.data), needed), start=1):
                if mark[1][0] & 7 != (count - 1) % 8:
                    return True
            if count < needed:
                return True
    return False


def _units(numbers: bytes, frame: Frame) -> int:
    """How many units (T.81, A.2) a scan of these components has."""
    across = max(factors[0] for factors in frame.sampling.values())
    down = max(factors[1] for factors in frame.sampling.values())
    width, height, unit = frame.width, frame.height, (8 * across, 8 * down)
    if len(numbers) == 1 and numbers[0] in frame.sampling:
        own = frame.sampling[numbers[0]]
        width, height, unit = -(-width * own[0] // across), -(-height * own[1] // down), (8, 8)
    return -(-width // unit[0]) * -(-height // unit[1])


def _ends_early(data: bytes, parts: Sequence[Segment], frame: Frame) -> bool:
    """Whether the pixels change where more data are put to the end of every interval.

    Of an interval that is whole libjpeg passes over what comes after; one that ends early is filled up with it.
    """
    if len(frame.sampling) not in _SHOWN:
        return False
    shown = _shown(data)
    zeros = _ZEROS if frame.marker in ARITHMETIC else b""
    for padding in _PADDINGS:
        longer = _shown(_padded(data, parts, frame, zeros + padding))
        if shown is None or longer is None or not np.array_equal(shown, longer):
            return True
    return False


def _padded(data: bytes, parts: Sequence[Segment], frame: Frame, padding: bytes) -> bytes:
    out, done = [], 0
    for part in parts:
        if part.marker == SOS:
            start, end = part.data
            most = max(1, _units(components(part), frame))  # intervals; markers there may be any number of
            out += [data[done:start], RESTART.sub(lambda found: padding + found[0], data[start:end], most), padding]
            done = end
    return b"".join([*out, data[done:]])


def _shown(data: bytes) -> NDArray[np.uint8] | None:
    """What Pillow makes of a JPEG, in the colours that it is stored in; None where it makes nothing of it."""
    try:
        with strict_and_silent_pillow(), JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as picture:
            picture.load()
            return np.asarray(picture)
    except (OSError, SyntaxError, ValueError, MemoryError):
        return None
