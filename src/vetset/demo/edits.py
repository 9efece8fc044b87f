"""What people ordinarily do to a picture before it is stored again: the labelled near-duplicates of the demonstration.

Every edit goes from the original's stored bytes to the copy's stored bytes, with one everyday setting. None of them
looks at a hash or an embedding, and none is tuned to pass one.
"""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Edit = Callable[[bytes], bytes]


def opened(data: bytes) -> Image.Image:
    """The picture in some stored bytes, as RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def encoded(image: Image.Image, kind: str = "JPEG", **settings: Any) -> bytes:
    """A picture as the bytes of a file of a Pillow format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def _pixels(change: Callable[[Image.Image], Image.Image]) -> Edit:
    """An edit of the picture, stored as a JPEG of quality 90."""
    return lambda data: encoded(change(opened(data)), quality=90)


def _file(kind: str, **settings: Any) -> Edit:
    """The same picture, stored in another way."""
    return lambda data: encoded(opened(data), kind, **settings)


def _scaled(factor: float) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        return image.resize(size, Image.Resampling.LANCZOS)

    return change


def _thumbnail(longer: int) -> Callable[[Image.Image], Image.Image]:
    return lambda image: _scaled(longer / max(image.size))(image)


def _cropped(share: float) -> Callable[[Image.Image], Image.Image]:
    """The middle of a picture; `share` is of each side, not of the area."""

    def change(image: Image.Image) -> Image.Image:
        width, height = round(image.width * share), round(image.height * share)
        left, upper = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, upper, left + width, upper + height))

    return change


def _rotated(degrees: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.rotate(degrees, Image.Resampling.BICUBIC)


def _captioned(image: Image.Image) -> Image.Image:
    """A white bar with a line of writing over the lowest 15 %."""
    result = image.copy()
    draw = ImageDraw.Draw(result)
    bar = round(image.height * 0.15)
    draw.rectangle((0, image.height - bar, image.width, image.height), fill="white")
    draw.text(
        (6, image.height - bar + bar // 4), "when the tile is just right", fill="black", font=ImageFont.load_default()
    )
    return result


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "exact": lambda data: data,
        "png": _file("PNG"),
        "webp_q80": _file("WEBP", quality=80),
        "jpeg_q80": _file("JPEG", quality=80),
        "jpeg_q30": _file("JPEG", quality=30),
        "resize_half": _pixels(_scaled(0.5)),
        "resize_up": _pixels(_scaled(1.5)),
        "thumb_128": _pixels(_thumbnail(128)),
        "greyscale": _pixels(lambda image: ImageOps.grayscale(image).convert("RGB")),
        "brightness": _pixels(lambda image: ImageEnhance.Brightness(image).enhance(1.25)),
        "blur": _pixels(lambda image: image.filter(ImageFilter.GaussianBlur(1.5))),
        "crop_90": _pixels(_cropped(0.9)),
        "crop_80": _pixels(_cropped(0.8)),
        "crop_60": _pixels(_cropped(0.6)),
        "mirror": _pixels(ImageOps.mirror),
        "rotate_5": _pixels(_rotated(5)),
        "caption_bar": _pixels(_captioned),
    }
)
"""Every edit by name, from the least to the most; `exact` stores the same bytes once more."""
