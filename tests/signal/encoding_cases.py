"""One picture in every encoding that can be written here, the RGB form of its own pixels, and how near it must hash.

Forms that Pillow does not write (interlaced and 16-bit colour PNG, YCCK JPEG) are written out here; files that nothing
here can write are committed (HEIC).
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import odd_cases
from heif_cases import FILES, heif_bytes
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]

LOSSLESS, JPEG, LOSSY = 0, 10, 20
"""Greatest PDQ distance to the RGB form, in bits of 256."""


@dataclass(frozen=True)
class Case:
    """One encoding.

    Attributes:
        name: what the table calls it.
        bound: greatest distance that is allowed.
        make: picture → bytes of the file and pixels of the RGB form.
        committed: files that are committed, and the RGB forms, where nothing here can make one.
    """

    name: str
    bound: int
    make: Callable[[Pixels], tuple[bytes, Pixels]] | None = None
    committed: Callable[[], list[tuple[bytes, Pixels]]] = list

    def files(self, pictures: Sequence[Pixels]) -> list[tuple[bytes, Pixels]]:
        """Files and the RGB forms of their pixels: one for each picture, or those that are committed."""
        if self.make is None:
            return self.committed()
        return [self.make(pixels) for pixels in pictures]


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def rgb_of(picture: Image.Image) -> Pixels:
    return np.array(picture.convert("RGB"))


def _as(mode: str, form: str, **options: object) -> Callable[[Pixels], tuple[bytes, Pixels]]:
    """The picture in another mode; its RGB form is that mode's."""

    def make(pixels: Pixels) -> tuple[bytes, Pixels]:
        picture = MODES[mode](Image.fromarray(pixels))
        return encoded(picture, form, **options), rgb_of(picture)

    return make


def _faded(picture: Image.Image, mode: str) -> Image.Image:
    picture = picture.convert("RGB" if mode == "RGBA" else "L").convert(mode)
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def _clear(picture: Image.Image) -> Image.Image:
    picture = picture.quantize(64)
    picture.info["transparency"] = 3
    return picture


MODES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "RGB": lambda picture: picture,
    "L": lambda picture: picture.convert("L"),
    "1": lambda picture: picture.convert("1"),
    "P": lambda picture: picture.quantize(256),
    "P 2": lambda picture: picture.quantize(4),
    "P 4": lambda picture: picture.quantize(16),
    "P clear": _clear,
    "LA": lambda picture: _faded(picture, "LA"),
    "RGBA": lambda picture: _faded(picture, "RGBA"),
    "CMYK": lambda picture: picture.convert("CMYK"),
}


def _grey16(form: str) -> Callable[[Pixels], tuple[bytes, Pixels]]:
    def make(pixels: Pixels) -> tuple[bytes, Pixels]:
        grey = np.array(Image.fromarray(pixels).convert("L"))
        return encoded(Image.fromarray(grey.astype(np.uint16) * 257), form), np.repeat(grey[:, :, None], 3, axis=2)

    return make


def _frames(form: str, **options: object) -> Callable[[Pixels], tuple[bytes, Pixels]]:
    """An animation whose first frame is the picture."""

    def make(pixels: Pixels) -> tuple[bytes, Pixels]:
        first = Image.fromarray(pixels)
        first = first.quantize(256) if form == "GIF" else first
        later = [Image.fromarray(np.ascontiguousarray(np.roll(pixels, 40 * step, axis=1))) for step in (1, 2)]
        data = encoded(first, form, save_all=True, append_images=later, **options)
        return data, rgb_of(first)

    return make


def _tagged(form: str, orientation: int, **options: object) -> Callable[[Pixels], tuple[bytes, Pixels]]:
    def make(pixels: Pixels) -> tuple[bytes, Pixels]:
        tags = Image.Exif()
        tags[0x0112] = orientation
        return encoded(Image.fromarray(pixels), form, exif=tags, **options), pixels

    return make


def _profiled(form: str, space: str, **options: object) -> Callable[[Pixels], tuple[bytes, Pixels]]:
    def make(pixels: Pixels) -> tuple[bytes, Pixels]:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
        return encoded(Image.fromarray(pixels), form, icc_profile=profile, **options), pixels

    return make


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(samples: NDArray[np.uint8] | NDArray[np.uint16], *, interlaced: bool = False) -> bytes:
    """A PNG of RGB samples (H, W, 3) of 8 or 16 bits, without filters; Adam7 if interlaced."""
    height, width = samples.shape[:2]
    depth = samples.dtype.itemsize * 8
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes] if interlaced else [samples]
    rows = b"".join(
        b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for part in parts if part.size for row in part
    )
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, interlaced)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 6)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def ycck_of(pixels: Pixels, quality: int) -> bytes:
    """A JPEG of four inks whose first three are stored as luma and chroma, as Adobe writes it.

    Pillow writes four planes as they are (inverted); so the planes are turned to YCC here, and the mark that says so is
    set by hand.
    """
    inks = np.asarray(Image.fromarray(pixels).convert("CMYK"))
    ycc = np.asarray(Image.fromarray(np.ascontiguousarray(inks[:, :, :3])).convert("YCbCr"))
    planes = np.dstack([255 - ycc, inks[:, :, 3]]).astype(np.uint8)
    data = bytearray(
        encoded(Image.frombytes("CMYK", planes.shape[1::-1], planes.tobytes()), "JPEG", quality=quality, subsampling=0)
    )
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def cases() -> Iterator[Case]:
    """Every encoding, in the order of the table."""
    yield from _jpeg_cases()
    yield from _png_cases()
    yield from _moving_cases()
    yield from _later_cases()
    yield from _plain_cases()


def _jpeg_cases() -> Iterator[Case]:
    """JPEG and its relatives."""
    for name, options in {
        "JPEG, quality 95": {"quality": 95},
        "JPEG, quality 90": {"quality": 90},
        "JPEG, quality 90, 4:4:4": {"quality": 90, "subsampling": 0},
        "JPEG, quality 90, progressive": {"quality": 90, "progressive": True},
        "JPEG, quality 90, restart markers": {"quality": 90, "restart_marker_rows": 1},
    }.items():
        yield Case(name, JPEG, _as("RGB", "JPEG", **options))
    yield Case("JPEG, grey, quality 90", JPEG, _as("L", "JPEG", quality=90))
    yield Case("JPEG, CMYK (Adobe, inverted), quality 90", JPEG, _as("CMYK", "JPEG", quality=90))
    yield Case("JPEG, YCCK (Adobe), quality 90", JPEG, lambda pixels: (ycck_of(pixels, 90), pixels))
    for orientation in range(1, 9):
        made = _tagged("JPEG", orientation, quality=90)
        yield Case(f"JPEG, quality 90, EXIF orientation {orientation}", JPEG, made)
    yield Case("JPEG, quality 90, ICC profile (sRGB)", JPEG, _profiled("JPEG", "sRGB", quality=90))
    yield from (case for case in _odd_cases("JPEG") if "JPEG 2000" not in case.name)
    yield Case("MPO, quality 90", JPEG, _as("RGB", "MPO", quality=90))


def _png_cases() -> Iterator[Case]:
    """PNG."""
    yield Case("PNG", LOSSLESS, _as("RGB", "PNG"))
    yield Case("PNG, interlaced", LOSSLESS, lambda pixels: (png_of(pixels, interlaced=True), pixels))
    yield Case("PNG, 1 bit", LOSSLESS, _as("1", "PNG"))
    yield Case("PNG, palette of 4 (2 bits)", LOSSLESS, _as("P 2", "PNG", bits=2))
    yield Case("PNG, palette of 16 (4 bits)", LOSSLESS, _as("P 4", "PNG", bits=4))
    yield Case("PNG, palette of 256", LOSSLESS, _as("P", "PNG"))
    yield Case("PNG, palette, one colour transparent", LOSSLESS, _as("P clear", "PNG"))
    yield Case("PNG, grey", LOSSLESS, _as("L", "PNG"))
    yield Case("PNG, grey, 16 bits", LOSSLESS, _grey16("PNG"))
    yield Case("PNG, grey and alpha", LOSSLESS, _as("LA", "PNG"))
    yield Case("PNG, RGBA", LOSSLESS, _as("RGBA", "PNG"))
    yield Case("PNG, 16 bits a channel", LOSSLESS, lambda pixels: (png_of(pixels.astype(np.uint16) * 257), pixels))
    yield Case("PNG, EXIF orientation 6", LOSSLESS, _tagged("PNG", 6))
    yield Case("PNG, ICC profile (sRGB)", LOSSLESS, _profiled("PNG", "sRGB"))
    yield from _odd_cases("PNG")


def _moving_cases() -> Iterator[Case]:
    """APNG, GIF and WebP."""
    yield from _odd_cases("APNG")
    yield Case("APNG, first frame", LOSSLESS, _frames("PNG"))
    yield Case("GIF", LOSSLESS, _as("P", "GIF"))
    yield Case("GIF, interlaced off", LOSSLESS, _as("P", "GIF", interlace=0))
    yield Case("GIF, one colour transparent", LOSSLESS, _as("P clear", "GIF"))
    yield Case("GIF, animated, first frame", LOSSLESS, _frames("GIF"))
    yield from _odd_cases("GIF")
    yield Case("WebP, lossless", LOSSLESS, _as("RGB", "WEBP", lossless=True))
    yield Case("WebP, lossless, RGBA", LOSSLESS, _as("RGBA", "WEBP", lossless=True, exact=True))
    yield Case("WebP, lossless, animated, first frame", LOSSLESS, _frames("WEBP", lossless=True))
    yield Case("WebP, quality 90, RGBA", LOSSY, _as("RGBA", "WEBP", quality=90, exact=True))
    yield Case("WebP, quality 90", LOSSY, _as("RGB", "WEBP", quality=90))
    yield Case("WebP, quality 80", LOSSY, _as("RGB", "WEBP", quality=80))


def _later_cases() -> Iterator[Case]:
    """AVIF and HEIC."""
    yield Case("AVIF, quality 90", LOSSY, _as("RGB", "AVIF", quality=90))
    yield Case("AVIF, quality 90, 4:4:4", LOSSY, _as("RGB", "AVIF", quality=90, subsampling="4:4:4"))
    yield Case("AVIF, quality 90, grey", LOSSY, _as("L", "AVIF", quality=90, subsampling="4:0:0"))
    yield Case("AVIF, quality 90, RGBA", LOSSY, _as("RGBA", "AVIF", quality=90))
    yield Case("AVIF, quality 90, EXIF orientation 6", LOSSY, _tagged("AVIF", 6, quality=90))
    yield Case("AVIF, quality 90, animated, first frame", LOSSY, _frames("AVIF", quality=90))
    yield Case("AVIF, quality 75", LOSSY, _as("RGB", "AVIF", quality=75))
    yield from _odd_cases("AVIF")
    yield from _heif_cases()


def _plain_cases() -> Iterator[Case]:
    """TIFF and what is simpler."""
    yield Case("TIFF", LOSSLESS, _as("RGB", "TIFF"))
    yield Case("TIFF, LZW", LOSSLESS, _as("RGB", "TIFF", compression="tiff_lzw"))
    yield Case("TIFF, 1 bit, group 4", LOSSLESS, _as("1", "TIFF", compression="group4"))
    yield Case("TIFF, grey, 16 bits", LOSSLESS, _grey16("TIFF"))
    yield Case("TIFF, CMYK", LOSSLESS, _as("CMYK", "TIFF"))
    yield Case("TIFF, 1 bit, group 3", LOSSLESS, _as("1", "TIFF", compression="group3"))
    yield Case("TIFF, RGBA", LOSSLESS, _as("RGBA", "TIFF"))
    yield from _odd_cases("TIFF")
    yield Case("BMP", LOSSLESS, _as("RGB", "BMP"))
    yield Case("BMP, palette", LOSSLESS, _as("P", "BMP"))
    yield from _odd_cases("BMP")
    yield Case("JPEG 2000, lossless", LOSSLESS, _as("RGB", "JPEG2000", irreversible=False))
    yield from _odd_cases("JPEG 2000")
    yield Case("PPM", LOSSLESS, _as("RGB", "PPM"))
    yield from _odd_cases("PPM")
    yield from _odd_cases("PGM")
    yield from _odd_cases("ICO")
    yield Case("ICO (PNG inside)", LOSSLESS, lambda pixels: (_ico(pixels), pixels))


def _heif_cases() -> Iterator[Case]:
    for name, stored in {
        "HEIC, quality 60": ("plain-1", "plain-2", "plain-3"),
        "HEIC, quality 90": ("quality-90",),
        "HEIC, best quality, 4:4:4": ("best-444",),
        "HEIC, 10 bits": ("ten-bits",),
        "HEIC, grey": ("grey",),
        "HEIC, alpha": ("alpha",),
        "HEIC, premultiplied alpha": ("alpha-premultiplied",),
        "HEIC, grid of tiles": ("grid",),
        "HEIC, second picture of a collection": ("collection",),
        "HEIC, turned by the file (seven ways)": tuple(f"turned-{orientation}" for orientation in range(2, 9)),
    }.items():
        yield Case(name, LOSSY, committed=partial(_heif_files, stored))


def _heif_files(names: Sequence[str]) -> list[tuple[bytes, Pixels]]:
    return [(heif_bytes(name), FILES[name].upright) for name in names]


def _odd_cases(form: str) -> Iterator[Case]:
    """Those of one form of file that are put together elsewhere."""
    for bound, makers in ((JPEG, odd_cases.JPEGS), (LOSSY, odd_cases.LOSSY), (LOSSLESS, odd_cases.LOSSLESS)):
        for name, make in makers.items():
            if name.startswith(form):
                yield Case(name, bound, make)
    for name, file in odd_cases.COMMITTED.items():
        if name.startswith(form):
            bound = JPEG if form == "JPEG" else LOSSY
            yield Case(name, bound, committed=partial(_odd_file, file))


def _odd_file(name: str) -> list[tuple[bytes, Pixels]]:
    return [(odd_cases.committed(name), odd_cases.source())]


def _ico(pixels: Pixels) -> bytes:
    picture = Image.fromarray(pixels)
    return encoded(picture, "ICO", sizes=[picture.size])
