"""Pillow without warnings and without tolerance, whatever the process has set."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ImageFile

_lock = threading.Lock()
_inside = 0
_outer_filters: "warnings.catch_warnings[None] | None" = None
_outer_lenience = False


@contextmanager
def strict_and_silent_pillow() -> Iterator[None]:
    """Pillow without warnings and without tolerance for files that end early; may be entered again within.

    Both settings belong to the whole process, so the first thread that comes in sets them and the last one resets.
    """
    global _inside, _outer_filters, _outer_lenience  # noqa: PLW0603 - they mirror two process-wide settings
    with _lock:
        if _inside == 0:
            _outer_filters = warnings.catch_warnings()
            _outer_filters.__enter__()
            warnings.simplefilter("ignore")
            _outer_lenience = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _outer_filters is not None:
                ImageFile.LOAD_TRUNCATED_IMAGES = _outer_lenience
                _outer_filters.__exit__(None, None, None)
                _outer_filters = None
