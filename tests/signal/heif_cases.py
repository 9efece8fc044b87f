"""HEIC files that lie in tests/fixtures/heif, and which crop of which picture each of them holds.

No encoder of HEVC is free of conditions that this project would not take, so the files are committed;
`scripts/make_heif_fixtures.py` made them from this list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photographs import pixels
from vetset.signal.orientation import turned

FOLDER = Path(__file__).parents[1] / "fixtures" / "heif"


@dataclass(frozen=True)
class HeifFile:
    """One committed file.

    Attributes:
        photograph: what it was cut from.
        box: left, top, width and height of the crop.
        mode: what was encoded: `RGB`, `L`, `RGBA`, `RGBa` (premultiplied), `RGB;16` (10 bits) or `L;16`.
        settings: what the encoder was told.
        second: whether the inverted picture lies before it, in a collection of which this one is the primary.
    """

    photograph: str
    box: tuple[int, int, int, int]
    mode: str = "RGB"
    settings: Mapping[str, object] = field(default_factory=lambda: {"quality": 60})
    second: bool = False

    @property
    def source(self) -> NDArray[np.uint8]:
        """The crop, RGB (H, W, 3); grey where grey was encoded."""
        left, top, width, height = self.box
        crop = np.ascontiguousarray(pixels(self.photograph)[top : top + height, left : left + width])
        if self.mode.startswith("L"):
            return np.array(Image.fromarray(crop).convert("L").convert("RGB"))
        return crop

    @property
    def upright(self) -> NDArray[np.uint8]:
        """The picture that the file stands for: the crop, turned as the file states."""
        orientation = int(str(self.settings.get("orientation", 1)))
        return self.source if orientation == 1 else turned(self.source, orientation)


CROP = (300, 120, 200, 200)
SMALL = (300, 120, 120, 120)

FILES = {
    "plain-1": HeifFile("coffee.png", (60, 100, 240, 240)),
    "plain-2": HeifFile("chelsea.png", (110, 30, 200, 200)),
    "plain-3": HeifFile("rocket.jpg", (180, 100, 240, 240)),
    "quality-90": HeifFile("coffee.png", SMALL, settings={"quality": 90}),
    "best-444": HeifFile("coffee.png", SMALL, settings={"quality": -1, "chroma": "444"}),
    "odd-sides": HeifFile("coffee.png", (301, 121, 151, 133)),
    "ten-bits": HeifFile("coffee.png", CROP, "RGB;16"),
    "grey": HeifFile("coffee.png", CROP, "L"),
    "alpha": HeifFile("coffee.png", CROP, "RGBA"),
    "alpha-premultiplied": HeifFile("coffee.png", SMALL, "RGBa", {"quality": 90}),
    "grid": HeifFile("coffee.png", CROP, settings={"quality": 60, "tile_size": 64}),
    "collection": HeifFile("coffee.png", SMALL, second=True),
    "thumbnail": HeifFile("coffee.png", CROP, settings={"quality": 60, "thumbnails": [64]}),
    "profile": HeifFile("coffee.png", CROP, settings={"quality": 60, "icc_profile": True}),
    **{
        f"turned-{orientation}": HeifFile(
            "chelsea.png", (110, 60, 160, 128), settings={"quality": 60, "orientation": orientation}
        )
        for orientation in range(2, 9)
    },
}

REFUSED = {"grey-ten-bits": HeifFile("coffee.png", CROP, "L;16")}
"""What the library is not trusted with."""


def heif_bytes(name: str) -> bytes:
    """The committed file of this name."""
    return (FOLDER / f"{name}.heic").read_bytes()


def faded(size: tuple[int, int]) -> Image.Image:
    """The alpha channel of the transparent files."""
    return Image.linear_gradient("L").resize(size)
