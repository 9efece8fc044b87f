"""Compiled code is made, or loaded, before the first picture whose time is taken: it takes as long as many pictures."""

import io
from functools import cache

import numpy as np
from PIL import Image

from vetset.model.signal import Form, Kind
from vetset.signal.fingerprint import fingerprint


@cache
def warm_up() -> None:
    """Hash two small pictures in every form; once in a process."""
    drawn = np.random.default_rng(0).integers(0, 256, (72, 80, 4), np.uint8)
    for pixels in (drawn, np.full_like(drawn, 127)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        fingerprint(file.getvalue(), kinds=(Kind.PDQ,), variants=tuple(Form))
