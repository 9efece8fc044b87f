"""An npz file: what is accepted, numpy loads as the same arrays (or refuses for a checksum, which is not read)."""

import zipfile

import numpy as np

from fuzz_targets.scratch import emptied, written
from vetset.dataset.embeddings.npz import read_arrays
from vetset.dataset.embeddings.rows import BFLOAT16
from vetset.model.errors import AlignmentError, DatasetError

MAX_ROWS = 1000


def target(data: bytes) -> None:
    """Every array by one pass, and a copy of every second row."""
    path = written("npz/x.npz", data)
    try:
        arrays = read_arrays(path, "embedding part 0")
    except (AlignmentError, DatasetError):  # a directory may name places that cannot be
        return
    for name in arrays.candidates():
        block = arrays.rows(name)
        if block.rows > MAX_ROWS:
            return
        out = np.empty((block.rows, block.dimension), block.dtype)
        with block.open() as fill:
            fill(out)
        loaded = _by_numpy(path, name)
        if loaded is not None and block.numbers != BFLOAT16:
            assert loaded.tobytes() == out.tobytes()
    if len({arrays.rows(name).rows for name in arrays.candidates()}) == 1:
        _halved(arrays)


def _by_numpy(path, name):
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]
    except (zipfile.BadZipFile, ValueError, KeyError, OSError):
        return None


def _halved(arrays):
    rows = arrays.rows(arrays.candidates()[0]).rows
    copied = emptied("npz-out") / "x.npz"
    arrays.write(np.arange(rows) % 2 == 0, copied)
    after = read_arrays(copied, "embedding part 0")
    assert after.candidates() == arrays.candidates()
    assert all(after.rows(name).rows == (rows + 1) // 2 for name in after.candidates())
