"""Ordinary photographs, and how they are cut into pictures that have nothing in common.

The photographs are files inside the packages scikit-image and scikit-learn: their folders are looked up and their
files read, their code is never imported. Every pixel of a photograph belongs to at most one tile, whatever its scale,
so two tiles of different labels share no content: what resembles each other, resembles by texture alone.
"""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vetset.model.errors import MissingExtraError

BLOCK = 128
"""Pixels, about: the larger of the two tile sizes."""
FINE = 4
"""A block is kept whole, or cut into this many cells each way."""

_SKIMAGE = ("skimage", "data")
_SKLEARN = ("sklearn", "datasets/images")

# Left out: drawings, scanned text and binary shapes (color, logo, text, page, horse, phantom, chessboards), the second
# picture of a stereo pair, which would be an unlabelled near-duplicate (motorcycle_right), multi-frame and tiny files,
# and arrays (lfw_subset: faces of 25 pixels).
_SOURCES: tuple[tuple[tuple[str, str], str], ...] = (
    (_SKIMAGE, "astronaut.png"),
    (_SKIMAGE, "brick.png"),
    (_SKIMAGE, "camera.png"),
    (_SKIMAGE, "cell.png"),
    (_SKIMAGE, "chelsea.png"),
    (_SKLEARN, "china.jpg"),
    (_SKIMAGE, "clock_motion.png"),
    (_SKIMAGE, "coffee.png"),
    (_SKIMAGE, "coins.png"),
    (_SKLEARN, "flower.jpg"),
    (_SKIMAGE, "grass.png"),
    (_SKIMAGE, "gravel.png"),
    (_SKIMAGE, "hubble_deep_field.jpg"),
    (_SKIMAGE, "ihc.png"),
    (_SKIMAGE, "moon.png"),
    (_SKIMAGE, "motorcycle_left.png"),
    (_SKIMAGE, "retina.jpg"),
    (_SKIMAGE, "rocket.jpg"),
)

_WHOLE_ONLY = frozenset({"hubble_deep_field"})
"""Cut finely, this one is a thousand dots on black that nothing tells apart."""

_PROBE = 32
"""A cell is judged after resampling to this many pixels a side, so that texture means what is seen at tile size."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph.

    Attributes:
        name: file name without its suffix; unique.
        rgb: uint8 (height, width, 3).
    """

    name: str
    rgb: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of a photograph that is used as a picture of its own.

    Attributes:
        photograph: where it was cut.
        box: left, upper, right, lower, in pixels of the photograph.
        texture: how much goes on in it (see `textures`).
    """

    photograph: Photograph
    box: tuple[int, int, int, int]
    texture: float

    @property
    def label(self) -> str:
        """Name of what is seen; unique."""
        left, upper, right, lower = self.box
        return f"{self.photograph.name}/{left}-{upper}-{right}-{lower}"

    def picture(self, longer: int) -> Image.Image:
        """The tile as an RGB picture whose longer side has `longer` pixels, its contrast stretched as cameras do."""
        left, upper, right, lower = self.box
        width, height = right - left, lower - upper
        scale = longer / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        cut = Image.fromarray(np.ascontiguousarray(self.photograph.rgb[upper:lower, left:right]))
        return ImageOps.autocontrast(cut.resize(size, Image.Resampling.BICUBIC), cutoff=1, preserve_tone=True)


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a photograph's grid: one tile, or else its cells.

    Attributes:
        whole: the block as one tile.
        cells: the textured ones among its `FINE` × `FINE` cells, row by row.
    """

    whole: Tile
    cells: tuple[Tile, ...]


def _folder(package: str, below: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(f"no package {package}")
    return Path(spec.submodule_search_locations[0], below)


def _missing(seen: str) -> MissingExtraError:
    return MissingExtraError(
        "the photographs of the demonstration are not installed",
        expected="the picture files of scikit-image and scikit-learn",
        seen=seen,
        todo="Install them with: pip install 'vetset[demo]'.",
    )


def load_photographs() -> list[Photograph]:
    """The photographs, in a fixed order.

    Raises:
        MissingExtraError: a package, or one of its files, is not there.
    """
    photographs = []
    for (package, below), name in _SOURCES:
        path = _folder(package, below) / name
        if not path.is_file():
            raise _missing(f"no {name} in {package}")
        with Image.open(path) as image:
            photographs.append(Photograph(path.stem, np.asarray(image.convert("RGB"))))
    return photographs


def textures(grey: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """How much goes on in each cell of a picture.

    Args:
        grey: uint8 (n · side, m · side).
        side: pixels of a cell.

    Returns:
        float64 (n, m): the mean absolute step between horizontal and between vertical neighbours, added; 0 where the
        spread of the cell's values is under 10, because faint noise is no texture.
    """
    rows, columns = grey.shape[0] // side, grey.shape[1] // side
    cells = grey.reshape(rows, side, columns, side).swapaxes(1, 2).astype(np.int16)
    across = np.abs(np.diff(cells, axis=3)).mean(axis=(2, 3))
    down = np.abs(np.diff(cells, axis=2)).mean(axis=(2, 3))
    spread = cells.std(axis=(2, 3))
    return np.where(spread < 10, 0.0, across + down)


def _edges(length: int, parts: int, start: int = 0) -> list[int]:
    return [start + length * part // parts for part in range(parts + 1)]


def _block(photograph: Photograph, box: tuple[int, int, int, int], least: float) -> Block:
    left, upper, right, lower = box
    cut = Image.fromarray(np.ascontiguousarray(photograph.rgb[upper:lower, left:right])).convert("L")
    whole = np.asarray(cut.resize((_PROBE, _PROBE), Image.Resampling.BOX))
    fine = np.asarray(cut.resize((_PROBE * FINE, _PROBE * FINE), Image.Resampling.BILINEAR))
    texture = textures(fine, _PROBE)
    columns, rows = _edges(right - left, FINE, left), _edges(lower - upper, FINE, upper)
    cells = tuple(
        Tile(photograph, (columns[x], rows[y], columns[x + 1], rows[y + 1]), float(texture[y, x]))
        for y in range(FINE)
        for x in range(FINE)
        if texture[y, x] >= least and photograph.name not in _WHOLE_ONLY
    )
    return Block(Tile(photograph, box, float(textures(whole, _PROBE)[0, 0])), cells)


def cut(photographs: Iterable[Photograph], *, least_texture: float = 3.5) -> list[Block]:
    """Every photograph as a grid of blocks of about `BLOCK` pixels, without gap or overlap.

    Args:
        photographs: what to cut.
        least_texture: cells with less are left out (see `textures`); whole blocks are not judged here.
    """
    blocks = []
    for photograph in photographs:
        height, width = photograph.rgb.shape[:2]
        columns = _edges(width, max(1, round(width / BLOCK)))
        rows = _edges(height, max(1, round(height / BLOCK)))
        blocks += [
            _block(photograph, (columns[x], rows[y], columns[x + 1], rows[y + 1]), least_texture)
            for y in range(len(rows) - 1)
            for x in range(len(columns) - 1)
        ]
    return blocks
