"""HEIC pictures, where a library for them is installed: HEVC in a HEIF file, decoded by libheif and libde265.

What comes out is what pillow-heif hands to a model, and it is canonical in the sense of `decode` with one difference
that the standard makes: rotation, mirroring and clipping stated in the file (`irot`, `imir`, `clap`) belong to the
picture and are applied, and an EXIF orientation says nothing. It is the primary picture of a collection. A thumbnail, a
depth map or a later picture never stands in for it.

The library is called directly: no plugin is registered, so that nothing else in the process changes. It sees a file
only after `heif_boxes` has passed it (docs/adr/0015-heic.md).
"""

import importlib
from functools import cache
from types import ModuleType

from PIL import Image

from vetset.model.signal import Reason
from vetset.signal.heif_boxes import refusal

LIBRARY = "pillow_heif"
"""The module of pillow-heif. pi-heif has the same interface and no further releases: it is not looked for."""
LEAST_LIBHEIF = (1, 23, 6)
"""Older ones have holes that are published."""

EXTRA = "heic"
"""Name of the extra, and of this decoder in the key of what the store keeps."""

_ENDED = ("end of file", "insufficient input data", "file size too small", "cannot read full")
_LIMITED = ("security limit", "memory allocation")
_FOREIGN = ("unsupported codec", "unsupported filetype", "unsupported image type")


@cache
def _library() -> ModuleType | None:
    """The library, None where none is installed that is recent enough."""
    try:
        library = importlib.import_module(LIBRARY)
        version = library.libheif_version()  # what cannot load its own libraries says so only when it is used
    except ImportError:
        return None
    return library if tuple(map(int, version.split("."))) >= LEAST_LIBHEIF else None


def decodes_heif() -> bool:
    """Whether HEIC pictures are decoded here."""
    return _library() is not None


def heif_picture(data: bytes, max_pixels: int) -> Image.Image | Reason:
    """The primary picture of a HEIF file, upright as the file states, as a Pillow picture.

    Args:
        data: a file of which `is_heif` is true.
        max_pixels: most pixels that any picture or tile of the file may claim.

    Returns:
        The picture, or `UNKNOWN_ENCODING` (no library, or another coding than HEVC), `TOO_LARGE`, `TRUNCATED`,
        `UNDECODABLE`.

    Raises:
        Exception: what Pillow raises about a picture it cannot hold.
    """
    library = _library()
    if library is None:
        return Reason.UNKNOWN_ENCODING
    why = refusal(data, max_pixels)
    if why is not None:
        return why
    try:
        pictures = library.open_heif(data, convert_hdr_to_8bit=True)
        primary = next((picture for picture in pictures if picture.info["primary"]), None)
        if primary is None:
            return Reason.UNKNOWN_ENCODING  # the library passes over what it has no decoder for
        if primary.size[0] * primary.size[1] > max_pixels:
            return Reason.TOO_LARGE
        picture: Image.Image = primary.to_pillow()
    except (ValueError, EOFError, RuntimeError, SyntaxError, OSError) as error:
        return _meaning(str(error).lower())
    return picture


def _meaning(remark: str) -> Reason:
    """What a remark of libheif says about the file."""
    for reason, words in (
        (Reason.TRUNCATED, _ENDED),
        (Reason.TOO_LARGE, _LIMITED),
        (Reason.UNKNOWN_ENCODING, _FOREIGN),
    ):
        if any(word in remark for word in words):
            return reason
    return Reason.UNDECODABLE
