"""What decodes of a picture whose file ends early: JPEG and PNG, filled up to the full size.

The missing rest is what the decoder makes of it: mid-grey for JPEG, the first colour (black) for PNG. The hash of the
whole is near the whole picture's only where most of it is there, which is what is wanted: a file that lacks its last
lines is the same picture, one that lacks its lower half is not claimed to be.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from vetset.model.signal import Reason
from vetset.signal.decode import decode

MAX_RAW = 256 << 20
"""Most bytes that the rows of a truncated PNG may have once they are inflated."""

_PNG = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def decode_partial(data: bytes, *, max_pixels: int) -> NDArray[np.uint8] | None:
    """The pixels of a picture that `decode` calls `TRUNCATED`, its rest filled up.

    Args:
        data: the stored bytes.
        max_pixels: as for `decode`.

    Returns:
        Pixels (H, W, 3), uint8, or None where nothing can be shown: another format than JPEG and PNG, an interlaced
        PNG, or a file that ends before its first rows.
    """
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data, max_pixels)
    whole = _completed_png(data, max_pixels) if data.startswith(_PNG) else None
    pixels = None if whole is None else decode(whole, max_pixels=max_pixels)
    return None if isinstance(pixels, Reason) else pixels


def _jpeg(data: bytes, max_pixels: int) -> NDArray[np.uint8] | None:
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        if height * width > max_pixels or space in {"CMYK", "YCCK"}:
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", strict=False)
    except (ValueError, KeyError, MemoryError):
        return None
    return pixels


def _completed_png(data: bytes, max_pixels: int) -> bytes | None:
    """A PNG with the rows that are there and zeros for the others; None where no row is."""
    chunks = list(_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    row = 1 + (width * _CHANNELS.get(colour, 0) * depth + 7) // 8
    if interlaced or row * height > MAX_RAW or width * height > max_pixels:
        return None
    packed = b"".join(content for kind, content in chunks if kind == b"IDAT")
    try:
        rows = zlib.decompressobj().decompress(packed, row * height)
    except zlib.error:
        return None
    if len(rows) < row:
        return None
    head = [(kind, content) for kind, content in chunks if kind in {b"IHDR", b"PLTE", b"tRNS"}]
    # whole rows only: the last one may lack its end
    kept = rows[: len(rows) // row * row]
    filled = zlib.compress(kept.ljust(row * height, b"\0"), 0)
    return _PNG + b"".join(_chunk(*part) for part in [*head, (b"IDAT", filled), (b"IEND", b"")])


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of every chunk; of the last one, what is there."""
    place = len(_PNG)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
