"""Ordinary photographs for tests, read from the picture files of installed packages; none is committed here.

scikit-image and scikit-learn ship a few; their code is never imported (which would cost a second and more), only
their files are read.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FOLDERS = (("skimage", "data"), ("sklearn", "datasets/images"))
_NAMES = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "color.png", "grass.png",
    "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg",
    "rocket.jpg", "china.jpg", "flower.jpg",
)  # fmt: skip


@cache
def _folders() -> tuple[Path, ...]:
    found = []
    for package, inside in _FOLDERS:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError(f"the tests need the picture files of {package}: install vetset[dev]")
        found.append(Path(spec.submodule_search_locations[0]) / inside)
    return tuple(found)


def photographs() -> list[Path]:
    """Files of ordinary photographs (PNG and JPEG, the shorter side ≥ 190 px), always in the same order."""
    return [photograph(name) for name in _NAMES]


def photograph(name: str) -> Path:
    """The one file of this name."""
    for folder in _folders():
        if (folder / name).is_file():
            return folder / name
    raise RuntimeError(f"no installed package ships {name}")


@cache
def pixels(name: str) -> NDArray[np.uint8]:
    """RGB pixels (H, W, 3) of the photograph of this name; shared between callers, so not writeable."""
    with Image.open(photograph(name)) as picture:
        array = np.asarray(picture.convert("RGB"))
    array.setflags(write=False)
    return array


def tiles(size: int, count: int, seed: int) -> list[NDArray[np.uint8]]:
    """`count` square tiles (size, size, 3) of colour, cut at random places of random photographs (size ≤ 300).

    Tiles of one call may overlap by chance; flat ones (standard deviation below 20 grey levels) are not given out.
    """
    rng = np.random.default_rng(seed)
    large = [name for name in _NAMES if min(pixels(name).shape[:2]) >= size]
    if not large:
        raise ValueError(f"no photograph holds a tile of {size} px")
    found: list[NDArray[np.uint8]] = []
    while len(found) < count:
        whole = pixels(large[rng.integers(len(large))])
        top = int(rng.integers(whole.shape[0] - size + 1))
        left = int(rng.integers(whole.shape[1] - size + 1))
        tile = whole[top : top + size, left : left + size]
        if tile.std() >= 20:
            found.append(np.ascontiguousarray(tile))
    return found
