"""Sets of embeddings read whole, for tests that compare them."""

import numpy as np
import pyarrow as pa

from vetset.dataset.embeddings.layouts import find_embeddings, settle


def keys_of(part):
    """Every key of a part."""
    return [key for keys in part.key_batches() for key in keys.to_pylist()]


def vectors_of(part, step=7):
    """Every vector of a part, by one pass in small pieces."""
    block = part.block()
    out = np.empty((block.rows, block.dimension), block.dtype)
    with block.open() as fill:
        for first in range(0, block.rows, step):
            fill(out[first : first + step])
    return out


def opened(folder, choice=None):
    """The parts of a set, with their keys read and their dimensions compared."""
    parts = find_embeddings(folder, choice)
    for part in parts:
        keys_of(part)
    settle(parts)
    return parts


def batches(keys, size=3):
    """Keys as readers hand them out."""
    return (pa.array(keys[first : first + size], pa.string()) for first in range(0, len(keys), size))
