"""What a file begins with that is a picture, whatever it is called.

Names are what people choose. Where a file's name does not say that it is a picture, its first bytes may; they are those
that decoders look for. Formats that begin with hardly anything of their own (TGA) are told by their names alone.
"""

import re

NEEDED = 32
"""Bytes of a file that are looked at."""
_STARTS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",
    b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"\0\0\0\x0cJXL \r\n\x87\n",
)  # fmt: skip
"""JPEG, PNG, GIF, TIFF and BigTIFF in either order, JPEG 2000 as a file and bare, JPEG XL."""
_OTHERS = re.compile(
    rb"RIFF....WEBP"
    rb"|....ftyp(?:avif|avis|hei[cxms]|hev[cxms]|mif1|msf1)"
    rb"|BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0"
    rb"|P[1-6]\s+\d+\s+\d+\s",
    re.DOTALL,
)
"""WebP, AVIF and HEIC, BMP by the length of its second header, PNM by its two sizes."""


def begins_as_picture(head: bytes) -> bool:
    """Whether these first bytes of a file, `NEEDED` or all there are, are those of an encoded picture."""
    return head.startswith(_STARTS) or _OTHERS.match(head) is not None
