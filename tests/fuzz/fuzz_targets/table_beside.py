"""A parquet file as the table beside a tar, and as the metadata of embeddings."""

import pyarrow as pa

from fuzz_targets.scratch import emptied, written
from vetset.dataset.columns import DEFAULT_MAPPING
from vetset.dataset.embeddings import EmbeddingPart, read_keys
from vetset.dataset.sidecar import Sidecar, stats_of_survivors, surviving_rows
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
        extra = sidecar.extra_rows([])
        assert extra == list(range(len(sidecar)))
        for row in extra[:20]:
            sidecar.fields(row)
            assert row in sidecar.rows_of(sidecar.keys[row])
        assert sorted(sidecar.full_fields(extra[:20])) == extra[:20]
        assert len(sidecar.identities()) == len(sidecar)
        stays = surviving_rows(sidecar, sidecar.keys[:3], [])
        stats_of_survivors(b'{"count": 3, "status_dict": {"success": 1}}', sidecar, stays, 1, "x_stats.json")
    except DatasetError:
        return


def _as_metadata(path):
    folder = emptied("embeddings")
    part = EmbeddingPart(0, folder / "none.npy", path, None, table_rows(path, "x.parquet"), 2)
    try:
        assert len(read_keys(part)) == part.rows
    except (AlignmentError, DatasetError):
        return
