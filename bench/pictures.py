"""JPEG files to measure on: crops of the ordinary photographs that come with scikit-image and scikit-learn."""

import io

import numpy as np
from PIL import Image

from vetset.demo.photographs import load_photographs

_LARGEST_SCALE = 2.0
_LEAST_SPREAD = 20.0


def pictures(sizes: list[tuple[int, int]], each: int, seed: int) -> list[bytes]:
    """`each` JPEG files of every size (width, height): quality 75 to 90, colour halved both ways (4:2:0).

    A crop is taken at a random place and enlarged at most twofold; flat ones are left out.
    """
    rng = np.random.default_rng(seed)
    photographs = [photograph.rgb for photograph in load_photographs()]
    files = []
    for width, height in sizes:
        found = 0
        while found < each:
            rgb = photographs[rng.integers(len(photographs))]
            scale = rng.uniform(1.0, _LARGEST_SCALE)
            across, down = round(width / scale), round(height / scale)
            if rgb.shape[1] < across or rgb.shape[0] < down:
                continue
            left = int(rng.integers(rgb.shape[1] - across + 1))
            top = int(rng.integers(rgb.shape[0] - down + 1))
            crop = rgb[top : top + down, left : left + across]
            if crop.std() < _LEAST_SPREAD:
                continue
            picture = Image.fromarray(crop).resize((width, height), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=int(rng.integers(75, 91)), subsampling=2)
            files.append(buffer.getvalue())
            found += 1
    return files
