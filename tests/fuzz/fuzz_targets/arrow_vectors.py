"""An Arrow file or stream as a table of embeddings: as many keys as vectors, and picked rows are those of a pass."""

import numpy as np
import pyarrow as pa

from fuzz_targets.scratch import FOLDER, emptied, written
from vetset.dataset.embeddings.layouts import find_embeddings, settle
from vetset.model.errors import AlignmentError, DatasetError

pa.set_cpu_count(1)
pa.set_io_thread_count(1)
MAX_ROWS = 1000


def target(data: bytes) -> None:
    """Keys, one pass, picked rows, and a copy of every second row."""
    folder = emptied("arrow")
    written("arrow/x.arrow", data)
    try:
        (part,) = find_embeddings(folder)
        keys = sum(map(len, part.key_batches()))
        assert keys == part.rows
        settle([part])
        if keys > MAX_ROWS or part.dimension > MAX_ROWS:
            return
        out = np.empty((keys, part.dimension), part.block().dtype)
        with part.block().open() as fill:
            fill(out)
    except (AlignmentError, DatasetError):
        return
    some = np.arange(keys)[::3]
    assert part.block().take(some).tobytes() == out[some].tobytes()
    keep = np.arange(keys) % 2 == 0
    try:
        part.write(keep, emptied("arrow-out"))
    except DatasetError:  # what lies in other columns may be damaged, or cannot be divided
        return
    if keep.any():
        (copy,) = find_embeddings(FOLDER / "arrow-out")
        assert sum(map(len, copy.key_batches())) == int(keep.sum())
