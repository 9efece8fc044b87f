"""The pictures behind `pdq.json`, made anew wherever they are needed: by the tests, and by scripts/make_pdq_golden.py.

Every case is a pure function of its name: seeded synthetic pictures, and crops of photographs that installed packages
ship. Photographs stored without loss come out the same everywhere; JPEGs come out the same with libjpeg-turbo.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from photographs import photographs, pixels

Picture = NDArray[np.uint8]

_SIZES = (
    (1, 1), (1, 300), (300, 1), (4, 64), (64, 4), (5, 5), (5, 700), (700, 5), (16, 16), (31, 77), (63, 64), (64, 63),
    (64, 64), (64, 65), (65, 64), (100, 100), (127, 128), (128, 128), (128, 129), (129, 127), (200, 150), (255, 257),
    (256, 256), (333, 512), (384, 256), (513, 511), (640, 480), (768, 1024),
)  # fmt: skip


def _flat(rng: np.random.Generator, height: int, width: int) -> Picture:
    return np.full((height, width, 3), rng.integers(0, 256, 3), dtype=np.uint8)


def _gradient(rng: np.random.Generator, height: int, width: int) -> Picture:
    down = np.arange(height)[:, None, None] * rng.integers(1, 5, 3)
    across = np.arange(width)[None, :, None] * rng.integers(1, 5, 3)
    return ((down + across) // 3 % 256).astype(np.uint8)


def _noise(rng: np.random.Generator, height: int, width: int) -> Picture:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def _blobs(rng: np.random.Generator, height: int, width: int) -> Picture:
    """Overlapping rectangles and discs, drawn with integers only."""
    picture = _flat(rng, height, width)
    y, x = np.ogrid[:height, :width]
    for _ in range(24):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        size = int(rng.integers(1, max(height, width) // 3 + 2))
        colour = rng.integers(0, 256, 3)
        if rng.integers(2):
            picture[top : top + size, left : left + int(rng.integers(1, size + 1))] = colour
        else:
            picture[(y - top) ** 2 + (x - left) ** 2 <= size * size] = colour
    return picture


def _checks(rng: np.random.Generator, height: int, width: int) -> Picture:
    """Symmetric on purpose: most coefficients are nothing but rounding."""
    side = int(rng.integers(2, 40))
    board = (np.arange(height)[:, None] // side + np.arange(width)[None, :] // side) % 2
    return np.repeat((board * int(rng.integers(1, 256))).astype(np.uint8)[:, :, None], 3, axis=2)


_KINDS = {"flat": _flat, "gradient": _gradient, "noise": _noise, "blobs": _blobs, "checks": _checks}


def cases() -> Iterator[tuple[str, Picture]]:
    """Name and pixels (H, W, 3) of every case, always in the same order."""
    for kind, draw in _KINDS.items():
        for height, width in _SIZES:
            yield f"{kind} {height}x{width}", draw(np.random.default_rng([height, width]), height, width)
    for path in photographs():
        whole = pixels(path.name)
        yield f"{path.name} whole", whole
        rng = np.random.default_rng([len(path.name), *whole.shape])
        for _ in range(16):
            height, width = (int(rng.integers(40, side + 1)) for side in whole.shape[:2])
            top, left = int(rng.integers(whole.shape[0] - height + 1)), int(rng.integers(whole.shape[1] - width + 1))
            crop = whole[top : top + height, left : left + width]
            yield f"{path.name} top {top} left {left} {height}x{width}", np.ascontiguousarray(crop)
