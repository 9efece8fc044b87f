"""Encodings that Pillow reads and does not write, put together here box by box, and those that are committed.

Each maker takes a picture (even sides) and gives the file and the RGB form of its pixels.
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray
from PIL import Image

from photographs import pixels as photograph

Pixels = NDArray[np.uint8]
Made = tuple[bytes, Pixels]
FOLDER = Path(__file__).parents[1] / "fixtures" / "odd"


def source() -> Pixels:
    """What the committed files show."""
    return np.ascontiguousarray(photograph("coffee.png")[120:280, 300:460])


def committed(name: str) -> bytes:
    """A committed file."""
    return (FOLDER / name).read_bytes()


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def grey(pixels: Pixels) -> Pixels:
    """One channel (H, W)."""
    return np.array(Image.fromarray(pixels).convert("L"))


def thrice(plane: Pixels) -> Pixels:
    """RGB of one channel."""
    return np.repeat(plane[:, :, None], 3, axis=2)


def indexed(pixels: Pixels, colours: int = 256) -> tuple[Pixels, bytes, Pixels]:
    """Indices, the palette (padded) and the RGB form."""
    picture = Image.fromarray(pixels).quantize(colours)
    palette = bytes(picture.getpalette() or ())[: 3 * colours].ljust(3 * colours, b"\0")
    return np.asarray(picture), palette, np.array(picture.convert("RGB"))


# JPEG


def without_application_markers(data: bytes) -> bytes:
    """A JPEG without JFIF, Adobe and EXIF."""
    found, place = data[:2], 2
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if not 0xE0 <= data[place + 1] <= 0xEF:
            found += data[place:end]
        place = end
    return found + data[place:]


def with_adobe(data: bytes, transform: int) -> bytes:
    """A JPEG whose only such marker is Adobe's, with this transform."""
    marker = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
    return data[:2] + marker + without_application_markers(data)[2:]


def jpeg(pixels: Pixels, mode: str = "RGB", **options: object) -> bytes:
    return saved(Image.fromarray(pixels).convert(mode), "JPEG", quality=90, **options)


def _sampled(name: str) -> Callable[[Pixels], Made]:
    return lambda pixels: (simplejpeg.encode_jpeg(pixels, 90, "RGB", name), pixels)


# PNG


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(shape: tuple[int, ...], depth: int, colour: int, rows: bytes, *between: bytes) -> bytes:
    """A PNG of these raw rows (each with its filter)."""
    header = struct.pack(">IIBBBBB", shape[1], shape[0], depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + b"".join(between) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def raw(samples: NDArray[np.generic]) -> bytes:
    """Rows without filters, most significant byte first."""
    return b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in samples)


def packed(plane: Pixels, depth: int) -> Pixels:
    """Samples of fewer than 8 bits, put together."""
    bits = np.unpackbits(plane[:, :, None], axis=2)[:, :, 8 - depth :]
    return np.packbits(bits.reshape(len(plane), -1), axis=1)


def _few_greys(depth: int, *between: bytes) -> Callable[[Pixels], Made]:
    def make(pixels: Pixels) -> Made:
        few = grey(pixels) >> (8 - depth)
        shown = few.astype(int) * 255 // ((1 << depth) - 1)
        return png(pixels.shape, depth, 0, raw(packed(few, depth)), *between), thrice(shown.astype(np.uint8))

    return make


def _palette_with_alphas(pixels: Pixels) -> Made:
    index, palette, shown = indexed(pixels, 16)
    between = chunk(b"PLTE", palette), chunk(b"tRNS", bytes(range(0, 160, 10)))
    return png(pixels.shape, 4, 3, raw(packed(index, 4)), *between), shown


def _ramp(pixels: Pixels) -> Pixels:
    return np.broadcast_to(np.linspace(0, 255, pixels.shape[1]).astype(np.uint8), pixels.shape[:2])


def _deep_png(colour: int) -> Callable[[Pixels], Made]:
    def make(pixels: Pixels) -> Made:
        shown = pixels if colour == 6 else thrice(grey(pixels))
        samples = np.dstack([pixels if colour == 6 else grey(pixels), _ramp(pixels)])
        return png(pixels.shape, 16, colour, raw(samples.astype(np.uint16) * 257)), shown

    return make


def _keyed_png(pixels: Pixels) -> Made:
    key = struct.pack(">HHH", *pixels[0, 0])
    return png(pixels.shape, 8, 2, raw(pixels), chunk(b"tRNS", key)), pixels


def _still_apart(pixels: Pixels) -> Made:
    later = [Image.fromarray(255 - pixels), Image.fromarray(pixels[::-1])]
    data = saved(Image.fromarray(pixels), "PNG", save_all=True, append_images=later, default_image=True)
    return data, pixels


def cgbi(pixels: Pixels) -> bytes:
    """What Apple's tools make of a PNG: blue first, a stream without its head."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    rows = deflate.compress(raw(np.dstack([pixels[:, :, ::-1], 255 - 0 * pixels[:, :, 0]]))) + deflate.flush()
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 6, 0, 0, 0)
    parts = chunk(b"CgBI", b"\x50\0\x20\2"), chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# GIF


def gif(index: Pixels, palette: bytes, *, canvas: tuple[int, int] | None = None, at: tuple[int, int] = (0, 0),
        local: bool = False, interlaced: bool = False, stop: int | None = None) -> bytes:  # fmt: skip
    """A GIF of one frame whose codes are literal; it ends in good order after `stop` pixels."""
    height, width = index.shape
    canvas = canvas or (width, height)
    rows = np.concatenate([index[0::8], index[4::8], index[2::4], index[1::2]]) if interlaced else index
    pixels = rows.reshape(-1)[:stop].astype(np.uint16)
    codes = np.concatenate(
        [part for n in range(0, len(pixels), 100) for part in ([256], pixels[n : n + 100])] + [[257]]
    )
    bits = (codes[:, None].astype(np.uint16) >> np.arange(9)) & 1
    stream = np.packbits(bits.astype(np.uint8).reshape(-1), bitorder="little").tobytes()
    blocks = b"".join(bytes([len(stream[n : n + 255])]) + stream[n : n + 255] for n in range(0, len(stream), 255))
    screen = struct.pack("<HHBBB", *canvas, 0x70 if local else 0xF7, 0, 0) + (b"" if local else palette)
    flags = (0x87 if local else 0) | (0x40 if interlaced else 0)
    frame = b"," + struct.pack("<HHHHB", *at, width, height, flags) + (palette if local else b"")
    return b"GIF89a" + screen + frame + b"\x08" + blocks + b"\0;"


def _gif(*, local: bool = False, interlaced: bool = False) -> Callable[[Pixels], Made]:
    def make(pixels: Pixels) -> Made:
        index, palette, shown = indexed(pixels)
        return gif(index, palette, local=local, interlaced=interlaced), shown

    return make


def _gif_inset(pixels: Pixels) -> Made:
    """A frame within a larger canvas, whose rest is the background's colour, the first of the palette."""
    index, palette, shown = indexed(pixels)
    height, width = index.shape
    whole = np.empty((height + 16, width + 24, 3), np.uint8)
    whole[:] = list(palette[:3])
    whole[6 : 6 + height, 10 : 10 + width] = shown
    return gif(index, palette, canvas=(width + 24, height + 16), at=(10, 6)), whole


# TIFF


def tiff(samples: NDArray[np.generic], **settings: object) -> bytes:
    out = io.BytesIO()
    container = {key: settings.pop(key) for key in ("byteorder", "bigtiff") if key in settings}
    with tifffile.TiffWriter(out, **container) as file:
        file.write(samples, metadata=None, **settings)
    return out.getvalue()


def planes(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _tiff(**settings: object) -> Callable[[Pixels], Made]:
    return lambda pixels: (tiff(pixels, photometric="rgb", **settings), pixels)


def _deep(pixels: Pixels) -> NDArray[np.uint16]:
    return pixels.astype(np.uint16) * 257


def _palette_tiff(pixels: Pixels) -> Made:
    index, palette, shown = indexed(pixels)
    colours = np.frombuffer(palette, np.uint8).reshape(-1, 3).T
    return tiff(index, photometric="palette", colormap=_deep(colours)), shown


def _inks(pixels: Pixels) -> tuple[Pixels, Pixels]:
    picture = Image.fromarray(pixels).convert("CMYK")
    return np.asarray(picture), np.array(picture.convert("RGB"))


def _twelve_bits(pixels: Pixels) -> Made:
    """Grey of 12 bits, two samples in three bytes; rows are whole bytes since sides are even."""
    plane = grey(pixels)
    samples = plane.astype(np.uint16) << 4
    left, right = samples[:, 0::2], samples[:, 1::2]
    body = np.stack([left >> 4, (left & 15) << 4 | right >> 8, right & 255], axis=2).astype(np.uint8).tobytes()
    tags = [(256, plane.shape[1]), (257, plane.shape[0]), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1),
            (278, plane.shape[0]), (279, len(body))]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4 if value > 65535 else 3, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(body)) + body + struct.pack("<H", len(tags)) + entries + bytes(4), (
        thrice(plane)
    )


# BMP


def bmp(shape: tuple[int, ...], bits: int, body: bytes, *, packing: int = 0, palette: bytes = b"", masks: bytes = b"",
        downwards: bool = False) -> bytes:  # fmt: skip
    """A BMP with the header of 40 bytes; `palette` is RGB."""
    colours = b"".join(palette[n + 2 : None if n == 0 else n - 1 : -1] + b"\0" for n in range(0, len(palette), 3))
    start = 54 + len(masks) + len(colours)
    height = -shape[0] if downwards else shape[0]
    header = struct.pack("<IiiHHIIiiII", 40, shape[1], height, 1, bits, packing, len(body), 0, 0, len(palette) // 3, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + masks + colours + body


def rows_of(samples: NDArray[np.generic], *, downwards: bool = False) -> bytes:
    """Rows, padded to four bytes, the last one first."""
    lines = [row.tobytes() for row in (samples if downwards else samples[::-1])]
    return b"".join(line + bytes(-len(line) % 4) for line in lines)


def _colour_bmp(bits: int, *, downwards: bool = False) -> Callable[[Pixels], Made]:
    def make(pixels: Pixels) -> Made:
        samples = pixels[:, :, ::-1] if bits == 24 else np.dstack([pixels[:, :, ::-1], _ramp(pixels)])
        return bmp(pixels.shape, bits, rows_of(samples, downwards=downwards), downwards=downwards), pixels

    return make


def _bmp_565(pixels: Pixels) -> Made:
    red, green, blue = (pixels[:, :, n].astype(int) >> drop for n, drop in enumerate((3, 2, 3)))
    shown = np.dstack([red * 255 // 31, green * 255 // 63, blue * 255 // 31]).astype(np.uint8)
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    body = rows_of((red << 11 | green << 5 | blue).astype("<u2"))
    return bmp(pixels.shape, 16, body, packing=3, masks=masks), shown


def _palette_bmp(bits: int) -> Callable[[Pixels], Made]:
    def make(pixels: Pixels) -> Made:
        index, palette, shown = indexed(pixels, 1 << bits)
        return bmp(pixels.shape, bits, rows_of(packed(index, bits)), palette=palette), shown

    return make


def run_lengths(index: Pixels) -> bytes:
    """Rows as pairs of count and colour, each with its end, and the end of the picture."""
    return b"".join(bytes(v for n in row for v in (1, n)) + b"\0\0" for row in index[::-1]) + b"\0\1"


def _rle8(pixels: Pixels) -> Made:
    index, palette, shown = indexed(pixels)
    return bmp(pixels.shape, 8, run_lengths(index), packing=1, palette=palette), shown


def _rle4(pixels: Pixels) -> Made:
    index, palette, shown = indexed(pixels, 16)
    pairs = packed(index, 4)
    body = b"".join(bytes(v for n in row for v in (2, n)) + b"\0\0" for row in pairs[::-1]) + b"\0\1"
    return bmp(pixels.shape, 4, body, packing=2, palette=palette), shown


# PPM


def _ppm(kind: bytes, most: int, plane: Callable[[Pixels], Pixels]) -> Callable[[Pixels], Made]:
    def make(pixels: Pixels) -> Made:
        samples = (plane(pixels).astype(np.int64) * most + 127) // 255
        head = b"%s %d %d %d\n" % (kind, pixels.shape[1], pixels.shape[0], most)
        shown = plane(pixels)
        body = (
            b" ".join(b"%d" % n for n in samples.reshape(-1)) if kind in b"P2 P3" else samples.astype(">u2").tobytes()
        )
        return head + body, shown if shown.ndim == 3 else thrice(shown)

    return make


# AVIF


def box(kind: bytes, body: bytes, full: int | None = None) -> bytes:
    """A box; a full one if its version and flags are given."""
    body = body if full is None else struct.pack(">I", full) + body
    return struct.pack(">I", 8 + len(body)) + kind + body


def _boxes(data: bytes, start: int, end: int, into: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Every box of a file, whole, those within others too."""
    inside = {b"meta": 12, b"iprp": 8, b"ipco": 8}
    while start + 8 <= end:
        last = start + int.from_bytes(data[start : start + 4])
        kind = data[start + 4 : start + 8]
        into[kind] = data[start:last]
        if kind in inside:
            _boxes(data, start + inside[kind], last, into)
        start = last
    return into


def avif_grid(pixels: Pixels, side: int = 64) -> Made:
    """An AVIF of tiles, as cameras write large pictures; what does not fill a tile is left out."""
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    whole = np.ascontiguousarray(pixels[: rows * side, : columns * side])
    cut = [
        whole[y : y + side, x : x + side] for y in range(0, rows * side, side) for x in range(0, columns * side, side)
    ]
    files = [saved(Image.fromarray(np.ascontiguousarray(tile)), "AVIF", quality=90) for tile in cut]
    tiles = [_boxes(file, 0, len(file), {}) for file in files]
    canvas = box(b"ispe", struct.pack(">II", columns * side, rows * side), 0)
    shared = b"".join(tiles[0][kind] for kind in (b"av1C", b"ispe", b"pixi", b"colr"))
    numbers = range(2, len(tiles) + 2)
    entries = [box(b"infe", struct.pack(">HH4sx", 1, 0, b"grid"), 2 << 24)]
    entries += [box(b"infe", struct.pack(">HH4sx", n, 0, b"av01"), 2 << 24 | 1) for n in numbers]
    held = struct.pack(">IHB3B", len(entries), 1, 3, 5, 3, 4)
    held += b"".join(struct.pack(">HB4B", n, 4, 0x81, 2, 3, 4) for n in numbers)
    rest = (
        box(b"iinf", struct.pack(">H", len(entries)) + b"".join(entries), 0)
        + box(b"iprp", box(b"ipco", shared + canvas) + box(b"ipma", held, 0))
        + box(b"iref", box(b"dimg", struct.pack(f">HH{len(tiles)}H", 1, len(tiles), *numbers)), 0)
    )
    items = [struct.pack(">4B2H", 0, 0, rows - 1, columns - 1, columns * side, rows * side)]
    items += [tile[b"mdat"][8:] for tile in tiles]

    def meta(place: int) -> bytes:
        places = b""
        for number, item in enumerate(items, start=1):
            places += struct.pack(">HHHII", number, 0, 1, place, len(item))
            place += len(item)
        head = box(b"hdlr", struct.pack(">4x4s13x", b"pict"), 0) + box(b"pitm", b"\0\1", 0)
        located = box(b"iloc", struct.pack(">HH", 0x4400, len(items)) + places, 0)
        return box(b"meta", head + located + rest, 0)

    kind = box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    return kind + meta(len(kind) + len(meta(0)) + 8) + box(b"mdat", b"".join(items)), whole


LOSSLESS: Mapping[str, Callable[[Pixels], Made]] = {
    "PNG, grey, 1 bit": _few_greys(1),
    "PNG, grey, 2 bits": _few_greys(2),
    "PNG, grey, 4 bits, one transparent": _few_greys(4, chunk(b"tRNS", b"\0\1")),
    "PNG, palette of 16 with alphas": _palette_with_alphas,
    "PNG, one colour transparent": _keyed_png,
    "PNG, RGBA, 16 bits a channel": _deep_png(6),
    "PNG, grey and alpha, 16 bits": _deep_png(4),
    "APNG, still picture apart": _still_apart,
    "GIF, interlaced": _gif(interlaced=True),
    "GIF, local palette": _gif(local=True),
    "GIF, frame within its canvas": _gif_inset,
    "TIFF, big-endian": _tiff(byteorder=">"),
    "TIFF, BigTIFF": _tiff(bigtiff=True),
    "TIFF, strips, deflate": _tiff(rowsperstrip=7, compression="zlib"),
    "TIFF, tiles": _tiff(tile=(64, 64)),
    "TIFF, tiles, deflate": _tiff(tile=(64, 64), compression="zlib"),
    "TIFF, plane by plane": lambda pixels: (
        tiff(planes(pixels), photometric="rgb", planarconfig="separate"), pixels),
    "TIFF, 16 bits a channel": lambda pixels: (tiff(_deep(pixels), photometric="rgb"), pixels),
    "TIFF, 16 bits a channel, big-endian": lambda pixels: (
        tiff(_deep(pixels), photometric="rgb", byteorder=">"), pixels),
    "TIFF, grey, 12 bits": _twelve_bits,
    "TIFF, grey, white is 0": lambda pixels: (tiff(255 - grey(pixels), photometric="miniswhite"), thrice(grey(pixels))),
    "TIFF, grey, 16 bits, white is 0": lambda pixels: (
        tiff(65535 - _deep(grey(pixels)), photometric="miniswhite"), thrice(grey(pixels))),
    "TIFF, palette": _palette_tiff,
    "TIFF, CMYK, deflate": lambda pixels: (
        tiff(_inks(pixels)[0], photometric="separated", compression="zlib"), _inks(pixels)[1]),
    "TIFF, first page of two": lambda pixels: (tiff(np.stack([pixels, 255 - pixels]), photometric="rgb"), pixels),
    "BMP, 24 bits, top row first": _colour_bmp(24, downwards=True),
    "BMP, 32 bits": _colour_bmp(32),
    "BMP, 16 bits (5, 6, 5)": _bmp_565,
    "BMP, palette of 2": _palette_bmp(1),
    "BMP, palette of 16": _palette_bmp(4),
    "BMP, run lengths, 8 bits": _rle8,
    "BMP, run lengths, 4 bits": _rle4,
    "PPM, 16 bits": _ppm(b"P6", 65535, lambda pixels: pixels),
    "PGM, 12 bits": _ppm(b"P5", 4095, grey),
    "PPM, digits": _ppm(b"P3", 255, lambda pixels: pixels),
    "PGM, digits, 16 bits": _ppm(b"P2", 65535, grey),
    "JPEG 2000, codestream alone": lambda pixels: (
        saved(Image.fromarray(pixels), "JPEG2000", no_jp2=True), pixels),
    "JPEG 2000, tiles": lambda pixels: (saved(Image.fromarray(pixels), "JPEG2000", tile_size=(64, 64)), pixels),
    "JPEG 2000, grey, 16 bits": lambda pixels: (
        saved(Image.fromarray(_deep(grey(pixels))), "JPEG2000"), thrice(grey(pixels))),
    "ICO (BMP inside)": lambda pixels: (
        saved(Image.fromarray(pixels), "ICO", sizes=[pixels.shape[1::-1]], bitmap_format="bmp"), pixels),
}  # fmt: skip
"""Encodings that give back their own pixels."""

JPEGS: Mapping[str, Callable[[Pixels], Made]] = {
    "JPEG, quality 90, 4:2:2": _sampled("422"),
    "JPEG, quality 90, 4:4:0": _sampled("440"),
    "JPEG, quality 90, 4:1:1": _sampled("411"),
    "JPEG, quality 90, no JFIF and no Adobe": lambda pixels: (without_application_markers(jpeg(pixels)), pixels),
    "JPEG, quality 90, Adobe transform 1": lambda pixels: (with_adobe(jpeg(pixels), 1), pixels),
    "JPEG, RGB, Adobe transform 0": lambda pixels: (with_adobe(jpeg(pixels, keep_rgb=True), 0), pixels),
    "JPEG, RGB, no JFIF and no Adobe": lambda pixels: (
        without_application_markers(jpeg(pixels, keep_rgb=True)), pixels),
    "JPEG, CMYK inverted, no Adobe": lambda pixels: (without_application_markers(jpeg(pixels, "CMYK")), pixels),
    "JPEG, grey, Adobe transform 0": lambda pixels: (with_adobe(jpeg(pixels, "L"), 0), thrice(grey(pixels))),
    "JPEG in TIFF, quality 90": lambda pixels: (
        saved(Image.fromarray(pixels), "TIFF", compression="jpeg", quality=90), pixels),
}  # fmt: skip
"""Lossy ones that are as near as a JPEG."""

LOSSY: Mapping[str, Callable[[Pixels], Made]] = {"AVIF, quality 90, grid of tiles": avif_grid}
"""Lossy ones that are as near as AVIF."""

COMMITTED: Mapping[str, str] = {
    "JPEG, arithmetic coding": "arithmetic.jpg",
    "JPEG, arithmetic coding, progressive": "arithmetic-progressive.jpg",
    "JPEG, a scan for each component": "scans.jpg",
    "AVIF, 10 bits": "10-bits.avif",
    "AVIF, 12 bits": "12-bits.avif",
}
"""Committed files; all of them show `source`."""
