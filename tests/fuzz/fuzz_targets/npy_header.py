"""An npy file as a part of a set of embeddings: what is accepted is what numpy itself loads."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fuzz_targets.scratch import FOLDER, emptied, written
from vetset.dataset.embeddings.layouts import find_embeddings
from vetset.dataset.embeddings.npy import npy_rows
from vetset.dataset.embeddings.rows import BFLOAT16
from vetset.model.errors import AlignmentError

MAX_ROWS = 1000


def target(data: bytes) -> None:
    """Header, one pass, picked rows, and a copy of every second row."""
    emptied("npy/img_emb")
    path = written("npy/img_emb/img_emb_0.npy", data)
    try:
        block = npy_rows(path, "embedding part 0")
    except AlignmentError:
        return
    loaded = np.load(path, allow_pickle=False)
    assert loaded.shape == (block.rows, block.dimension)
    if block.rows > MAX_ROWS:
        return
    out = np.empty(loaded.shape, block.dtype)
    with block.open() as fill:
        fill(out)
    if block.numbers == BFLOAT16:
        assert (out.view(np.uint32) >> 16).astype("<u2").tobytes() == loaded.tobytes()
    else:
        assert out.tobytes() == loaded.tobytes()
    some = np.arange(block.rows)[::3]
    assert block.take(some).tobytes() == out[some].tobytes()
    _halved(block.rows, loaded)


def _halved(rows, loaded):
    table = pa.table({"key": pa.array(map(str, range(rows)), pa.string())})
    pq.write_table(table, written("npy/metadata/metadata_0.parquet", b""))
    keep = np.arange(rows) % 2 == 0
    copied = emptied("npy-out")
    (part,) = find_embeddings(FOLDER / "npy")
    part.write(keep, copied)
    assert np.load(copied / "img_emb/img_emb_0.npy", allow_pickle=False).tobytes() == loaded[keep].tobytes()
