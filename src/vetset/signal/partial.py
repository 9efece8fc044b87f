"""What decodes of a picture whose file ends early: JPEG and PNG, filled up to the full size.

The missing rest is what the decoder makes of it: mid-grey for JPEG, the first colour (black) for PNG. The hash of the
whole is near the whole picture's only where most of it is there, which is what is wanted: a file that lacks its last
lines is the same picture, one that lacks its lower half is not claimed to be.
"""

import io
import struct
import zlib

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from vetset.model.signal import Reason
from vetset.signal.decode import decode
from vetset.signal.png import CHANNELS, SIGNATURE, chunks
from vetset.signal.quiet import strict_and_silent_pillow

MAX_RAW = 256 << 20
"""Most bytes that the rows of a truncated PNG may have once they are inflated."""


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
    whole = _completed_png(data, max_pixels) if data.startswith(SIGNATURE) else None
    pixels = None if whole is None else decode(whole, max_pixels=max_pixels)
    return None if isinstance(pixels, Reason) else pixels


def _jpeg(data: bytes, max_pixels: int) -> NDArray[np.uint8] | None:
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        if height * width > max_pixels or space in {"CMYK", "YCCK"}:
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", strict=False)
    except MemoryError:
        return None
    except (ValueError, KeyError):  # more than one remark, or a sampling that it does not read
        return _jpeg_by_pillow(data, max_pixels)
    return pixels


def _jpeg_by_pillow(data: bytes, max_pixels: int) -> NDArray[np.uint8] | None:
    """What Pillow shows of a JPEG once its end is marked."""
    try:
        with strict_and_silent_pillow(), JpegImageFile(io.BytesIO(data + b"\xff\xd9")) as picture:
            if picture.width * picture.height > max_pixels or picture.mode == "CMYK":
                return None
            return np.array(picture.convert("RGB"), dtype=np.uint8, order="C")
    except (OSError, SyntaxError, ValueError, MemoryError):
        return None


def _completed_png(data: bytes, max_pixels: int) -> bytes | None:
    """A PNG with the rows that are there and zeros for the others; None where no row is."""
    found = list(chunks(data))
    if not found or found[0][0] != b"IHDR" or len(found[0][1]) != 13:
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", found[0][1])
    row = 1 + (width * CHANNELS.get(colour, 0) * depth + 7) // 8
    if interlaced or row * height > MAX_RAW or width * height > max_pixels:
        return None
    packed = b"".join(content for kind, content in found if kind == b"IDAT")
    try:
        rows = zlib.decompressobj().decompress(packed, row * height)
    except zlib.error:
        return None
    if len(rows) < row:
        return None
    head = [(kind, content) for kind, content in found if kind in {b"IHDR", b"PLTE", b"tRNS"}]
    # whole rows only: the last one may lack its end
    kept = rows[: len(rows) // row * row]
    filled = zlib.compress(kept.ljust(row * height, b"\0"), 0)
    return SIGNATURE + b"".join(_chunk(*part) for part in [*head, (b"IDAT", filled), (b"IEND", b"")])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
