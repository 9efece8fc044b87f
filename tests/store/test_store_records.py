"""Numbers of records and back, over many shards."""

import numpy as np

from vetset.model.dataset import RecordId, ShardDigest
from vetset.store.records import RecordTable, StoredShard


class _Keyed(RecordTable):
    """A table whose parts are made up, and tell how often they were asked."""

    def __init__(self, shards):
        super().__init__(None, shards)
        self.asked = []

    def part(self, index):
        self.asked.append(index)
        return self

    def keys_at(self, rows):
        return {row: f"{self.asked[-1]}-{row}" for row in rows}


def test_records_of_numbers_in_any_order_open_each_shard_once():
    sizes = [3, 0, 5, 1, 0, 4]
    table = _Keyed([StoredShard(str(n), ShardDigest(f"d{n}"), "part", size) for n, size in enumerate(sizes)])
    numbers = np.array([12, 0, 3, 8, 7, 0, 9, 2])
    records = table.records(numbers)
    where = [(5, 3), (0, 0), (2, 0), (3, 0), (2, 4), (0, 0), (5, 0), (0, 2)]
    assert records == [RecordId(ShardDigest(f"d{shard}"), row, f"{shard}-{row}") for shard, row in where]
    assert table.asked == [0, 2, 3, 5]
    assert np.array_equal(table.numbers(records), numbers)
    assert table.records(np.zeros(0, np.int64)) == []
