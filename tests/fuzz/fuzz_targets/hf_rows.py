"""A file of rows with pictures, as parquet or as an Arrow stream: every way of reading it agrees, or it is refused."""

import hashlib

import numpy as np
import pyarrow as pa

from fuzz_targets.scratch import emptied
from vetset.dataset.columns import DEFAULT_MAPPING
from vetset.dataset.formats import detect, format_of
from vetset.dataset.hf_tables import open_rows
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError
from vetset.model.record import Record

_ROWS = format_of(Format.HUGGINGFACE)
pa.set_cpu_count(1)
pa.set_io_thread_count(1)
MAX_ROWS = 20_000
"""A file may honestly claim more rows than a fuzzer should wait for."""


def target(data: bytes) -> None:
    """Read, pick, compare, and drop every second record."""
    suffix = "parquet" if data[:4] == b"PAR1" else "arrow"
    root = emptied("rows")
    (root / f"x.{suffix}").write_bytes(data)
    (shard,) = _ROWS.discover(root)
    try:
        detect(root)
        with open_rows(root / shard.uri, shard.uri) as file:
            if file.count() > MAX_ROWS:
                return
        reading = _ROWS.read(root, shard, DEFAULT_MAPPING)
        items = []
        for item in reading:
            assert item.row == len(items)
            items.append((item.key, item.fields.url, hashlib.sha256(item.image).digest() if _is_read(item) else None))
            if len(items) > MAX_ROWS:
                return
        assert reading.records == len(items)
        assert reading.digest == hashlib.sha256(b"huggingface\0" + data).hexdigest()
    except DatasetError:
        return
    _the_rest(root, shard, items)


def _is_read(item):
    return isinstance(item, Record)


def _the_rest(root, shard, items):
    try:
        identities = list(_ROWS.identities(root, shard))
        picked = _ROWS.read_rows(root, shard, range(min(len(items), 50) + 1), DEFAULT_MAPPING)
        siblings = _ROWS.siblings(root, shard)
        keep = np.arange(len(items)) % 2 == 0
        out = emptied("rows-out")
        _ROWS.write(root, shard, keep, out)
    except DatasetError:
        return  # a column that is not needed may be damaged, or of a type that cannot be compared or left null
    assert len(identities) == len(items) == len(siblings)
    assert (np.diff(siblings) >= 0).all()
    assert sorted(picked) == list(range(min(len(items), 51)))
    assert all((item.key, item.fields.url) == items[row][:2] for row, item in picked.items())
    (copy,) = _ROWS.discover(out)
    stays = [identity for identity, kept in zip(identities, keep.tolist(), strict=True) if kept]
    assert list(_ROWS.identities(out, copy)) == stays, "survivors are not what they were"
