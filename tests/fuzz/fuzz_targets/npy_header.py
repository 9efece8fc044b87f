"""An npy file as a part of a set of embeddings: what is accepted is what numpy itself loads."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fuzz_targets.scratch import emptied, written
from vetset.dataset.embeddings import EmbeddingPart, _npy_header, open_vectors, write_part
from vetset.model.errors import AlignmentError, DatasetError

MAX_ROWS = 1000


def target(data: bytes) -> None:
    """Header, memory map and a copy of every second row."""
    path = written("npy/img_emb/img_emb_0.npy", data)
    try:
        header = _npy_header(path, "embedding part 0")
    except AlignmentError:
        return
    loaded = np.load(path, allow_pickle=False)
    rows, dimension = header.shape
    part = EmbeddingPart(0, path, _metadata(rows), None, rows, dimension)
    vectors = open_vectors(part)
    assert (vectors.shape, vectors.dtype) == (loaded.shape, loaded.dtype)
    assert vectors.tobytes() == loaded.tobytes()
    if rows <= MAX_ROWS:
        _halved(part, loaded)


def _metadata(rows):
    if rows > MAX_ROWS:
        return written("npy/none", b"")
    path = written("npy/metadata/metadata_0.parquet", b"")
    pq.write_table(pa.table({"key": pa.array(map(str, range(rows)), pa.string())}), path)
    return path


def _halved(part, loaded):
    keep = np.arange(part.rows) % 2 == 0
    out = emptied("npy-out")
    try:
        write_part(part, keep, out)
    except DatasetError:
        raise AssertionError("an accepted array cannot be copied") from None
    assert np.load(out / "img_emb/img_emb_0.npy", allow_pickle=False).tobytes() == loaded[keep].tobytes()
