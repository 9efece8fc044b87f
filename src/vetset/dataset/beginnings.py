"""What a file begins with that is a picture, whatever it is called.

Names are what people choose. Where a file's name does not say that it is a picture, its first bytes may; they are those
that decoders look for. Formats that begin with hardly anything of their own (TGA, PNM) are told by their names alone.
"""

NEEDED = 32
"""Bytes of a file that are looked at."""
_WHOLE = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",
    b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"\0\0\0\x0cJXL \r\n\x87\n",
)  # fmt: skip
"""JPEG, PNG, GIF, TIFF and BigTIFF in either order, JPEG 2000 as a file and bare, JPEG XL."""
_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Lengths of what may follow the 14 bytes that every BMP begins with."""


def begins_as_picture(head: bytes) -> bool:
    """Whether these first bytes of a file, `NEEDED` or all there are, are those of a picture."""
    if head.startswith(_WHOLE):
        return True
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WEBP"
    if head[4:8] == b"ftyp":
        return head[8:12] in _BRANDS
    return head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS
