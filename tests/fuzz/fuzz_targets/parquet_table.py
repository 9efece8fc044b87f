"""A parquet file as a metadata table: every way of reading it agrees, or it is refused."""

import numpy as np
import pyarrow as pa

from fuzz_targets.scratch import emptied
from vetset.dataset.columns import DEFAULT_MAPPING
from vetset.dataset.formats import format_of
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError

_TABLE = format_of(Format.PARQUET)
pa.set_cpu_count(1)
pa.set_io_thread_count(1)
MAX_ROWS = 100_000
"""A footer may honestly state more rows than a fuzzer should wait for."""


def target(data: bytes) -> None:
    """Read, pick, compare, and drop every second row."""
    root = emptied("table")
    (root / "x.parquet").write_bytes(data)
    (shard,) = _TABLE.discover(root)
    reading = _TABLE.read(root, shard, DEFAULT_MAPPING)
    rows = 0
    try:
        for batch in reading:
            assert batch.first_row == rows
            rows += len(batch)
            if rows > MAX_ROWS:
                return
        assert reading.records == rows
    except DatasetError:
        return
    _the_rest(root, shard, rows)


def _the_rest(root, shard, rows):
    try:
        identities = list(_TABLE.identities(root, shard))
        picked = _TABLE.read_rows(root, shard, range(min(rows, 50) + 1), DEFAULT_MAPPING)
        keep = np.arange(rows) % 2 == 0
        out = emptied("table-out")
        _TABLE.write(root, shard, keep, out)
    except DatasetError:
        return  # a column that is not mapped may be damaged, or of a type that cannot be compared
    assert len(identities) == rows == len(_TABLE.siblings(root, shard))
    assert sorted(picked) == list(range(min(rows, 51)))
    (copy,) = _TABLE.discover(out)
    stays = [identity for identity, kept in zip(identities, keep.tolist(), strict=True) if kept]
    assert list(_TABLE.identities(out, copy)) == stays, "survivors are not what they were"
