"""Landmarks: by what a space is known again, record by record.

How far the vectors of some records go in a direction that has nothing to do with any of them. Whoever brings the same
vectors in other files, or in another order, brings the same numbers; vectors of another model, or of other records, do
not have them. The records are drawn by their numbers, so that findings have no part in it.
"""

from hashlib import shake_256

import numpy as np
from numpy.typing import NDArray

from vetset.stage.space import Space

_RECORDS = 512
"""Where one record in a hundred has the vector of another, one space in two hundred passes."""
_DIGITS = 5


def landmarks(space: Space, seed: str) -> tuple[float, ...]:
    """Of every record that is looked at, by its number, the component of its vector in one direction.

    Args:
        space: the vectors.
        seed: hex digest that fixes the records and the direction.
    """
    drawn = space.sample(_RECORDS, np.random.default_rng(int(seed[:16], 16)))
    told = drawn.at(np.argsort(drawn.numbers)).vectors.astype(np.float64) @ _direction(seed, space.dimension)
    return tuple(np.round(told, _DIGITS).tolist())


def _direction(seed: str, dimension: int) -> NDArray[np.float64]:
    """A direction in which every component counts alike, float64 (d,), of length 1."""
    bits = np.unpackbits(np.frombuffer(shake_256(seed.encode("ascii")).digest(-(-dimension // 8)), np.uint8))
    signs = 1.0 - 2.0 * bits[:dimension].astype(np.float64)
    direction: NDArray[np.float64] = signs / np.sqrt(max(1, dimension))
    return direction


def agree(one: tuple[float, ...], other: tuple[float, ...], tolerance: float) -> bool:
    """Whether two spaces have the same landmarks, each within this much."""
    return len(one) == len(other) and bool(np.all(np.abs(np.array(one) - np.array(other)) <= tolerance))
