"""Later frames of an animation: which of them are sampled, and how their number is told without decoding one.

Frames of GIF, WebP and APNG are made of the frames before them, so that the last sample costs as much as all frames up
to it. Number and size are therefore bounded here, whatever a header claims.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRAMES_READ = 256
"""Frames that are looked at, from the first: samples are spread over these."""

ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats whose pages follow each other in time; the pages of a TIFF do not."""


def sampled(frames: int, count: int) -> list[int]:
    """Numbers of the frames (0 is the first, and never a sample) that stand for `frames` of them.

    They lie evenly between the first frame and the last, which is always one of them; there are fewer than `count`
    where there are no more frames.
    """
    return sorted({round(step * (frames - 1) / count) for step in range(1, count + 1)} - {0})


def later_frames(picture: Image.Image, data: bytes, count: int, max_pixels: int) -> Iterator[NDArray[np.uint8]]:
    """Sampled later frames (H, W, 3), uint8, alpha dropped.

    Args:
        picture: the opened file.
        data: its bytes.
        count: samples wanted, from 1.
        max_pixels: most pixels that all frames up to the last sample may have together.

    Raises:
        Exception: whatever Pillow raises about a damaged frame; the frames before it were handed out.
    """
    if picture.format not in ANIMATED:
        return
    size = picture.size
    most = min(FRAMES_READ, max_pixels // max(1, size[0] * size[1]))
    claimed = gif_frames(data, most) if picture.format == "GIF" else int(getattr(picture, "n_frames", 1))
    wanted = sampled(min(claimed, most), count)
    for number in range(1, wanted[-1] + 1 if wanted else 0):
        picture.seek(number)
        if picture.size != size:
            return  # a frame that is larger than its canvas makes Pillow enlarge all of them
        if number in wanted:
            yield np.array(picture.convert("RGB"), dtype=np.uint8, order="C")


def gif_frames(data: bytes, limit: int) -> int:
    """Number of frames of a GIF, at most `limit`, from its blocks alone; what is damaged ends the count.

    GIF89a, sections 17 to 26: a screen descriptor, then blocks, each a kind and chains of at most 255 bytes.
    """
    frames = 0
    place = 13 + _table(data, 10)
    while frames < limit and place < len(data):
        kind = data[place]
        if kind == 0x2C:  # a picture: position and size, flags, a table of colours, the least code size
            frames += 1
            place += 11 + _table(data, place + 9)
        elif kind == 0x21:  # an extension
            place += 2
        else:
            break
        while place < len(data) and data[place]:
            place += 1 + data[place]
        place += 1
    return frames


def _table(data: bytes, flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    if flags >= len(data) or not data[flags] & 0x80:
        return 0
    return 3 << ((data[flags] & 0x07) + 1)
