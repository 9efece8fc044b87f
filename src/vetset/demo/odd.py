"""Encodings that few files use, and files that are no picture at all: what a crawl brings home besides plain JPEGs."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from vetset.demo.edits import encoded

Encoding = Callable[[Image.Image], bytes]
Damage = Callable[[bytes, np.random.Generator], bytes]


def _with_alpha(image: Image.Image) -> Image.Image:
    """The picture with every pixel opaque, so that what is seen does not depend on a background."""
    result = image.copy()
    result.putalpha(255)
    return result


def _sixteen_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


ENCODINGS: Mapping[str, Encoding] = MappingProxyType(
    {
        "progressive_jpeg": lambda image: encoded(image, quality=88, progressive=True),
        "grey_jpeg": lambda image: encoded(image.convert("L"), quality=88),
        "cmyk_jpeg": lambda image: encoded(image.convert("CMYK"), quality=88),
        "palette_png": lambda image: encoded(image.quantize(256), "PNG"),
        "grey_alpha_png": lambda image: encoded(_with_alpha(image.convert("L")), "PNG"),
        "rgba_png": lambda image: encoded(_with_alpha(image), "PNG"),
        "grey16_png": lambda image: encoded(_sixteen_bits(image), "PNG"),
        "one_bit_png": lambda image: encoded(image.convert("1"), "PNG"),
        "gif": lambda image: encoded(image.quantize(256), "GIF"),
        "webp_lossless": lambda image: encoded(image, "WEBP", lossless=True),
    }
)
"""Encodings by name; all but `one_bit_png` show what the original shows, some of them without its colours."""

SHOWS_OTHERWISE = frozenset({"one_bit_png"})
"""Encodings that no perceptual hash has to see through."""

_NOT_A_PICTURE = b"<!doctype html><title>404</title><p>The picture that you asked for has moved.</p>\n"


def _flat(data: bytes, rng: np.random.Generator) -> bytes:
    del data
    red, green, blue = (int(level) for level in rng.integers(40, 216, 3))
    return encoded(Image.new("RGB", (160, 120), (red, green, blue)), quality=90)


DAMAGE: Mapping[str, Damage] = MappingProxyType(
    {
        "truncated_jpeg": lambda data, _: data[: len(data) * 55 // 100],
        "random_bytes": lambda _, rng: rng.bytes(int(rng.integers(2_000, 9_000))),
        "empty": lambda *_: b"",
        "flat": _flat,
        "text": lambda *_: _NOT_A_PICTURE,
    }
)
"""What is wrong, by name: from the bytes of a sound JPEG and a source of chance to the bytes that are stored."""
