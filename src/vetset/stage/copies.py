"""The same picture at other places of the dataset, by the bytes that are stored."""

from collections.abc import Collection

import numpy as np

from vetset.model.dataset import RecordId
from vetset.search.exact import DigestIndex
from vetset.store.records import RecordTable


def copies(records: Collection[RecordId], table: RecordTable) -> dict[RecordId, RecordId]:
    """Every other record that stores the same bytes as one of these, with the one it copies."""
    wanted = np.unique(table.numbers(records))
    values, owners = [], []
    for first, digests, present in table.contents():
        here = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + len(digests))]
        here = here[present[here - first]]
        values += list(digests[here - first])
        owners += here.tolist()
    if not values:
        return {}
    index = DigestIndex(np.stack(values))
    found: dict[int, int] = {}
    for first, digests, present in table.contents():
        there = np.flatnonzero(present)
        query, entry = index.join(np.ascontiguousarray(digests[there]))
        for number, owner in zip((first + there[query]).tolist(), entry.tolist(), strict=True):
            found.setdefault(number, owners[owner])
    for number in wanted.tolist():
        found.pop(number, None)
    names = table.records(np.array(sorted(found), np.int64))
    originals = table.records(np.array([found[number] for number in sorted(found)], np.int64))
    return dict(zip(names, originals, strict=True))
