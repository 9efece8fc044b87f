"""A tar as a webdataset: one pass, the index, and a cleaned copy agree on the records."""

import numpy as np

from fuzz_targets.headers import mended
from fuzz_targets.scratch import emptied
from vetset.dataset.columns import DEFAULT_MAPPING
from vetset.dataset.formats import format_of
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError

_TAR = format_of(Format.WEBDATASET)


def target(data: bytes) -> None:
    """Read, pick, compare, and drop every second record."""
    root = emptied("samples")
    (root / "x.tar").write_bytes(mended(data))
    (shard,) = _TAR.discover(root)
    reading = _TAR.read(root, shard, DEFAULT_MAPPING)
    try:
        items = list(reading)
        identities = list(_TAR.identities(root, shard))
        picked = _TAR.read_rows(root, shard, range(len(items) + 1), DEFAULT_MAPPING)
    except DatasetError:
        return
    assert reading.records == len(items) == len(identities) == len(_TAR.siblings(root, shard))
    assert [item.row for item in items] == list(range(len(items)))
    assert [(row, type(picked[row]), picked[row].key) for row in sorted(picked)] == [
        (item.row, type(item), item.key) for item in items
    ]
    _drop_every_second(root, shard, identities)


def _drop_every_second(root, shard, identities):
    keep = np.arange(len(identities)) % 2 == 0
    out = emptied("samples-out")
    try:
        _TAR.write(root, shard, keep, out)
    except DatasetError:
        return  # members of one sample that do not lie together
    (copy,) = _TAR.discover(out)
    stays = [identity for identity, kept in zip(identities, keep.tolist(), strict=True) if kept]
    found = list(_TAR.identities(out, copy))
    # A sample that lost some of its pictures keeps one record for each that stayed.
    assert found == stays, "survivors are not what they were"
