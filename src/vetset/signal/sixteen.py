"""Grey of more than 8 bits as grey of 8, and files whose 16 bits Pillow takes for 8."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

_BITS, _PHOTOMETRIC, _PLANES = 258, 262, 284  # TIFF 6.0, section 8
_WHITE_IS_ZERO, _PLANE_BY_PLANE = 0, 2


def grey_of(picture: Image.Image) -> NDArray[np.uint8]:
    """The upper 8 bits of a loaded picture of one deep channel: RGB (H, W, 3), the same in each.

    Pillow leaves what a TIFF says of its numbers to its caller: 12 bits stay 12, and white may be 0.
    """
    bits, inverted = 16, False
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        bits = int(picture.tag_v2.get(_BITS, (16,))[0])
        inverted = picture.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    grey = (np.asarray(picture).astype(np.int64) >> (bits - 8)).clip(0, 255).astype(np.uint8)
    if inverted:
        grey = 255 - grey
    return np.repeat(grey[:, :, None], 3, axis=2)


def is_misread(picture: Image.Image) -> bool:
    """Whether Pillow, not yet having loaded it, would take every byte of a picture for a sample where two are one.

    So it does with TIFFs that store 16-bit planes one after another and uncompressed.
    """
    if not isinstance(picture, TiffImagePlugin.TiffImageFile) or picture.tag_v2.get(_PLANES) != _PLANE_BY_PLANE:
        return False
    deep = max(picture.tag_v2.get(_BITS, (1,))) > 8
    return deep and len(picture.getbands()) > 1 and any(tile[0] == "raw" for tile in picture.tile)
