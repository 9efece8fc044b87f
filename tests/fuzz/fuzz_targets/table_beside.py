"""A parquet file as the table beside a tar, and as the metadata of embeddings."""

import numpy as np
import pyarrow as pa

from fuzz_targets.scratch import written
from vetset.dataset.columns import DEFAULT_MAPPING
from vetset.dataset.embeddings.beside import ArrayPart
from vetset.dataset.embeddings.parts import Choice
from vetset.dataset.embeddings.rows import StoredRows
from vetset.dataset.places import one_file
from vetset.dataset.sidecar import Sidecar, stats_of_survivors
from vetset.dataset.tables import table_rows
from vetset.model.errors import AlignmentError, DatasetError

pa.set_cpu_count(1)
pa.set_io_thread_count(1)
MAX_ROWS = 100_000


def target(data: bytes) -> None:
    """Rows by key, statistics, and the keys of embeddings."""
    path = written("beside/x.parquet", data)
    try:
        if table_rows(path, "x.parquet") > MAX_ROWS:
            return
    except DatasetError:
        return
    _as_sidecar(path)
    _as_metadata(path)


def _as_sidecar(path):
    try:
        sidecar = Sidecar(path, "x.parquet", DEFAULT_MAPPING)
        extra = list(range(len(sidecar)))
        stated = sidecar._table[sidecar._roles["key"]].is_valid().to_pylist()
        for row in extra[:20]:
            sidecar.fields(row)
            assert (row in sidecar.rows_of(sidecar.keys[row])) == stated[row], "a row that no sample finds, or any"
        assert sorted(sidecar.full_fields(extra[:20])) == extra[:20]
        assert len(sidecar.identities()) == len(sidecar)
        stays = np.arange(len(sidecar)) < 3
        stats_of_survivors(b'{"count": 3, "status_dict": {"success": 1}}', sidecar, stays, 1, "x_stats.json")
    except DatasetError:
        return


def _as_metadata(path):
    rows = table_rows(path, "x.parquet")
    vectors = StoredRows(path, "embedding part 0", rows, 2, "float16", 0, 0)
    part = ArrayPart("embedding part 0", path.parent, (one_file(path.parent, path.name),), vectors, Choice())
    try:
        assert sum(map(len, part.key_batches())) == part.rows
    except (AlignmentError, DatasetError):
        return
