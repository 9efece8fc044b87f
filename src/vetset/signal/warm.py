"""Compiled code is made, or loaded, before the first picture whose time is taken: it takes as long as many pictures."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import cast

import numpy as np
from PIL import Image

from vetset.model.signal import Form, Kind
from vetset.signal.fingerprint import fingerprint

_LINEAR_ALGEBRA = "scipy.linalg"


@cache
def warm_up() -> None:
    """Hash two small pictures in every form; once in a process, and in a worker only.

    No kernel that Numba makes in this process can multiply matrices from then on; none of ours does.
    """
    drawn = np.random.default_rng(0).integers(0, 256, (72, 80, 4), np.uint8)
    with _without_linear_algebra():
        for pixels in (drawn, np.full_like(drawn, 127)):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            fingerprint(file.getvalue(), kinds=(Kind.PDQ,), variants=tuple(Form))


@contextmanager
def _without_linear_algebra() -> Iterator[None]:
    """Keep Numba from loading SciPy's, where it is installed: 0.3 to 0.4 s, to learn that it is there."""
    if _LINEAR_ALGEBRA in sys.modules:
        yield
        return
    sys.modules[_LINEAR_ALGEBRA] = cast("ModuleType", None)  # what Python takes for "cannot be imported"
    try:
        yield
    finally:
        del sys.modules[_LINEAR_ALGEBRA]
