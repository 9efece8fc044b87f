"""Whether the rows of a PNG are all there. Pillow fills up with zeros what a stream that ends in good order lacks."""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""

_END = b"IEND\xae\x42\x60\x82"

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column, first row, step of columns, step of rows."""
_STEP = 1 << 16


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of every chunk; of the last one, what is there."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def lacks_rows(picture: Image.Image, data: bytes) -> bool:
    """Whether the stream of a loaded PNG ends before its last row.

    The rows are only counted (which inflates the stream once more) where one of the last two is empty: a row that is
    missing is, and of an interlaced picture every second one.
    """
    width, height = picture.size
    last = (picture.crop((0, row, width, row + 1)) for row in range(max(0, height - 2), height))
    if height > 1 and all(row.getbbox(alpha_only=False) is not None for row in last):
        return False
    wanted = _raw_bytes(data)
    return _inflated(data, wanted) < wanted


def lacks_end(data: bytes) -> bool:
    """Whether a PNG without its last chunk has other data than were written, such as zeros where a download stopped.

    Pillow does not compare the sum of the data, and zeros may stand for colours. Where the last chunk is there, a wrong
    sum is a writer's mistake; without it, a right one says that all data are there.
    """
    if data.endswith(_END):
        return False
    place, last = len(SIGNATURE), (0, 0)
    while place + 8 <= len(data):
        kind, end = data[place + 4 : place + 8], place + 8 + int.from_bytes(data[place : place + 4])
        if kind == b"IEND":
            return False
        if kind == b"IDAT":
            last = place + 4, end
        place = end + 4
    # of a sum that is cut off, what is there
    return not struct.pack(">I", zlib.crc32(data[slice(*last)])).startswith(data[last[1] : last[1] + 4])


def _raw_bytes(data: bytes) -> int:
    """Bytes of all rows with their filters, as the header has it."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, len(SIGNATURE) + 8)
    total = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * CHANNELS.get(colour, 0) * depth + 7) // 8)
    return total


def _inflated(data: bytes, most: int) -> int:
    """How many bytes the stream of the picture holds, counted up to `most`."""
    stream = zlib.decompressobj()
    total = 0
    for kind, content in chunks(data):
        if kind == b"IDAT":
            waiting = content
            while waiting and total < most:
                total += len(stream.decompress(waiting, _STEP))
                waiting = stream.unconsumed_tail
    while total < most and not stream.eof:
        more = stream.decompress(stream.unconsumed_tail, _STEP)
        if not more:
            break
        total += len(more)
    return total
