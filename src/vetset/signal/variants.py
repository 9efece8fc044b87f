"""Other forms of a stored picture that somebody may have hashed instead of it: one change each, never two.

Which of them a list owner's tool made is unknown, so those that differ from the stored pixels are hashed beside them.
What is no different (an opaque picture over white, orientation 1, a picture within 512 x 512) yields nothing and costs
next to nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image

from vetset.model.signal import FRAME_VARIANTS, Form, Variant
from vetset.signal.decode import Picture
from vetset.signal.orientation import TURNS, turned

_Pixels = NDArray[np.uint8]

RESIZED_SIDE = 512
"""Meta's `pdq/cpp/io/pdqio.cpp` brings a picture with a longer side to this many pixels in both directions."""

DIHEDRAL: Mapping[Variant, int] = MappingProxyType(
    {
        Variant.MIRRORED: 2,
        Variant.FLIPPED: 4,
        Variant.TURNED_90: 6,
        Variant.TURNED_180: 3,
        Variant.TURNED_270: 8,
        Variant.TRANSPOSED: 5,
        Variant.TRANSVERSED: 7,
    }
)
"""The seven forms of the square's symmetry that are not the picture itself, by EXIF's number. `pdq_dihedral` hashes
them without making them.
"""


def variants_of(picture: Picture, forms: Collection[Form]) -> Iterator[tuple[Variant, _Pixels]]:
    """Every variant among these forms but `dihedral` that differs from the stored pixels.

    Yields:
        The variant and its pixels (H, W, 3), uint8, C-contiguous.
    """
    pixels = picture.pixels
    if Form.UPRIGHT in forms and picture.orientation in TURNS:
        yield Variant.UPRIGHT, turned(pixels, picture.orientation)
    if picture.alpha is not None:
        if Form.WHITE in forms:
            yield Variant.WHITE, over(pixels, picture.alpha, 255)
        if Form.BLACK in forms:
            yield Variant.BLACK, over(pixels, picture.alpha, 0)
    if Form.FRAMES in forms:
        yield from zip(FRAME_VARIANTS, picture.frames, strict=False)
    if Form.RESIZED_512 in forms and max(pixels.shape[:2]) > RESIZED_SIDE:
        yield Variant.RESIZED_512, resized(pixels)


def over(pixels: _Pixels, alpha: _Pixels, grey: int) -> _Pixels:
    """The picture over an even grey, 0 to 255, rounded as Pillow does.

    Args:
        pixels: (H, W, 3), the colours that are stored under the alpha channel.
        alpha: (H, W), 255 is opaque.
        grey: what shines through.
    """
    picture = Image.fromarray(pixels)
    ground = Image.new("RGB", picture.size, (grey, grey, grey))
    ground.paste(picture, mask=Image.fromarray(alpha))
    return np.array(ground, dtype=np.uint8, order="C")


def resized(pixels: _Pixels) -> _Pixels:
    """512 x 512 pixels, each the nearest by its corner, proportions not kept.

    Meta's tool calls `CImg::resize(512, 512)`, whose default takes pixel floor(x · width / 512).
    """
    return _picked(
        pixels,
        np.arange(RESIZED_SIDE) * pixels.shape[0] // RESIZED_SIDE,
        np.arange(RESIZED_SIDE) * pixels.shape[1] // RESIZED_SIDE,
    )


@njit(cache=True, nogil=True)
def _picked(pixels: _Pixels, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> _Pixels:
    out = np.empty((len(rows), len(columns), 3), np.uint8)
    for y in range(len(rows)):
        source = pixels[rows[y]]
        for x in range(len(columns)):
            for channel in range(3):
                out[y, x, channel] = source[columns[x], channel]
    return out
