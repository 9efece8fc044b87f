"""What a JPEG is made of, read as libjpeg reads it, and the same JPEG without what libjpeg merely remarks upon.

Numbers are those of ITU-T T.81, annex B.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

SOS, EOI, DRI = 0xDA, 0xD9, 0xDD
FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
"""Frames that libjpeg decodes: baseline, extended, progressive, and the last two in arithmetic coding."""
PROGRESSIVE = frozenset({0xC2, 0xCA})
ARITHMETIC = frozenset({0xC9, 0xCA})

_APP0, _APP2, _APP14 = 0xE0, 0xE2, 0xEE
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment."""
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
"""Any number of fill bytes may come before a marker; 0xFF 0 is a byte of data, or stray."""
_END = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_MOST = 1 << 14
"""Segments that are looked at; a JPEG of 1 GiB of metadata has as many."""

_TABLES = rb"(?:\xff\xc4\0(?:\x1f.{29}|\xb5.{179})|\xff\xdd\0\x04..)*"
_USUAL = re.compile(
    rb"\xff\xd8(?:\xff\xe0\0\x10.{14})?(?:\xff\xdb\0(?:\x43.{65}|\x84.{130}))*\xff[\xc0\xc1]\0(?:"
    rb"\x11.{5}\x03.{9}" + _TABLES + rb"\xff\xda\0\x0c\x03|\x0b.{5}\x01.{3}" + _TABLES + rb"\xff\xda\0\x08\x01)",
    re.DOTALL,
)
"""The header that most tools write, all its components in one scan; to match it takes half the time of a walk."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker and what belongs to it.

    Attributes:
        marker: its second byte.
        body: the segment with its two bytes of length; empty where it has none.
        data: of a scan, where its entropy-coded data lie: first byte, first byte after.
    """

    marker: int
    body: bytes
    data: tuple[int, int] = (0, 0)


def is_usual(data: bytes) -> bool:
    """Whether a JPEG has the header that most tools write: no EXIF, no XMP, all its components in its first scan."""
    return _USUAL.match(data) is not None


def segments(data: bytes) -> list[Segment]:
    """Every segment up to the end of the picture, or of the file; stray bytes between them are passed over."""
    found: list[Segment] = []
    place = 2
    while len(found) < _MOST and (sign := _MARKER.search(data, place)):
        marker, place = sign[1][0], sign.end()
        if marker == EOI:
            return [*found, Segment(EOI, b"")]
        if marker in _ALONE:
            continue
        start, place = place, place + max(2, int.from_bytes(data[place : place + 2]))
        coded = (0, 0)
        if marker == SOS:
            after = _END.search(data, place)
            coded = place, after.start() if after else len(data)
        found.append(Segment(marker, data[start:place], coded))
        place = max(place, coded[1])
    return found


@dataclass(frozen=True, slots=True)
class Frame:
    """What a frame header states.

    Attributes:
        marker: how the frame is coded.
        height: rows of the picture.
        width: columns of the picture.
        sampling: by the number of each component, its sampling across and down.
    """

    marker: int
    height: int
    width: int
    sampling: dict[int, tuple[int, int]]


def frame_of(parts: Sequence[Segment]) -> Frame | None:
    """The frame header; None where there is none, or a damaged one."""
    header = next((part for part in parts if part.marker in FRAMES), None)
    if header is None or len(header.body) < 8 or len(header.body) < 8 + 3 * header.body[7]:
        return None
    body = header.body
    entries = [body[place : place + 3] for place in range(8, 8 + 3 * body[7], 3)]
    sampling = {number: (factors >> 4, factors & 15) for number, factors, _ in entries}
    if not all(across and down for across, down in sampling.values()):
        return None
    return Frame(header.marker, int.from_bytes(body[3:5]), int.from_bytes(body[5:7]), sampling)


def components(scan: Segment) -> bytes:
    """Numbers of the components that a scan has data of."""
    return scan.body[3 : 3 + 2 * scan.body[2] : 2] if len(scan.body) > 2 else b""


def tidied(data: bytes) -> bytes:
    """The JPEG with the same pixels and without what libjpeg remarks upon ahead of its data.

    Stray bytes between segments go, and so do colour profiles, which nothing here applies; a revision of JFIF, a
    transform of Adobe's or a selection of coefficients that does not exist becomes what libjpeg takes it for.
    """
    parts = segments(data)
    frame = frame_of(parts)
    out = [data[:2]]
    for part in parts:
        if part.marker == _APP2 and part.body.startswith(b"ICC_PROFILE\0", 2):
            continue
        out += [b"\xff", bytes([part.marker]), _mended(part, frame), data[slice(*part.data)]]
    return b"".join(out)


def _mended(part: Segment, frame: Frame | None) -> bytes:
    body = part.body
    if part.marker == _APP0 and body.startswith(b"JFIF\0", 2) and len(body) >= 16:
        return body[:7] + b"\1" + body[8:]
    if frame is not None and part.marker == _APP14 and body.startswith(b"Adobe", 2) and len(body) >= 14:
        known, otherwise = ({0, 2}, b"\2") if len(frame.sampling) == 4 else ({0, 1}, b"\1")
        return body if body[13] in known else body[:13] + otherwise + body[14:]
    if frame is not None and part.marker == SOS and frame.marker not in PROGRESSIVE:
        return body[:-3] + b"\0\x3f\0"
    return body
