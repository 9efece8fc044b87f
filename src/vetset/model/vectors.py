"""Rows of embeddings as the search takes them, wherever they lie: known by size and type, handed out in order.

Readers of embeddings make such blocks and `vetset.search.nearest` takes them, so neither needs to know the other.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

VECTOR_TYPES = (np.dtype("<f2"), np.dtype("<f4"), np.dtype("i1"))
"""float16, float32 and int8; whatever else a file holds becomes one of them as it is read (bfloat16: float32)."""

Fill = Callable[[NDArray[Any]], None]
"""Fills an array (n, dimension) of the block's type with the next n rows; raises a `VetsetError` if it cannot."""


class VectorBlock(Protocol):
    """Vectors of one file or array, row after row."""

    @property
    def where(self) -> str:
        """What the block is called in errors; no path, no key."""

    @property
    def rows(self) -> int:
        """How many there are."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """One of `VECTOR_TYPES`."""

    def open(self) -> AbstractContextManager[Fill]:
        """Begin a pass from the first row; several passes may be open at once, each used by one thread."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """These rows, int64 (n,) ascending, as an array (n, dimension) of the block's type."""
