"""Whether the pieces of a TIFF are all there. Pillow leaves black what no piece has, libtiff grey what a JPEG lacks."""

from collections.abc import Iterator

from PIL import TiffImagePlugin

_WIDTH, _LENGTH, _COMPRESSION, _STRIPS, _SAMPLES, _ROWS, _STRIP_SIZES, _PLANES = 256, 257, 259, 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_SIZES, _JPEG_TABLES = 322, 323, 324, 325, 347  # TIFF 6.0, sections 8, 15, 22
_JPEG, _PLANE_BY_PLANE = 7, 2


def lacks_pieces(picture: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether an opened TIFF has fewer strips or tiles than its size asks for, or one that lies nowhere."""
    tags = picture.tag_v2
    width, length = int(tags[_WIDTH]), int(tags[_LENGTH])
    if _STRIPS in tags:
        places, across, down = tags[_STRIPS], width, int(tags.get(_ROWS, length))
    else:
        places, across, down = tags.get(_TILES, ()), int(tags.get(_TILE_WIDTH, 0)), int(tags.get(_TILE_LENGTH, 0))
    if across <= 0 or down <= 0:
        return False  # nothing that Pillow reads
    needed = -(-width // across) * -(-length // down)
    if tags.get(_PLANES) == _PLANE_BY_PLANE:
        needed *= int(tags.get(_SAMPLES, 1))
    return len(places) < needed or 0 in places[:needed]


def jpegs(picture: TiffImagePlugin.TiffImageFile, data: bytes) -> Iterator[bytes]:
    """The pieces that are JPEGs, each with the tables that they share."""
    tags = picture.tag_v2
    if tags.get(_COMPRESSION) != _JPEG:
        return
    places, sizes = (_STRIPS, _STRIP_SIZES) if _STRIPS in tags else (_TILES, _TILE_SIZES)
    shared = bytes(tags.get(_JPEG_TABLES, b""))[2:-2]
    for place, size in zip(tags[places], tags.get(sizes, ()), strict=False):
        piece = data[place : place + size]
        yield piece[:2] + shared + piece[2:]
