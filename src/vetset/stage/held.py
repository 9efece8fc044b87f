"""Some of the records of a shard, chosen with equal chances while they pass, in no more memory than is allowed."""

import random
from dataclasses import dataclass, field
from heapq import heappop, heappush, heappushpop

from vetset.model.record import Record, Unreadable

HELD_BYTES = 64 << 20
HELD_RECORDS = 8192
"""Records of one shard that are held for their signals at most: bytes of their pictures, and number."""


@dataclass(slots=True)
class Held:
    """Some of many records, each with the same chance, in no more memory than is allowed.

    Each record gets a random number, and those with the least are held: the beginning of the random order of all.
    """

    random: random.Random
    _heap: list[tuple[float, int, Record | Unreadable]] = field(default_factory=list)
    _bytes: int = 0

    def offer(self, record: Record | Unreadable) -> None:
        """The next record that passes."""
        self._bytes += picture_bytes(record)
        entry = (-self.random.random(), record.row, record)
        if len(self._heap) >= HELD_RECORDS:
            self._bytes -= picture_bytes(heappushpop(self._heap, entry)[2])
        else:
            heappush(self._heap, entry)
        while self._bytes > HELD_BYTES and len(self._heap) > 1:
            self._bytes -= picture_bytes(heappop(self._heap)[2])

    def in_order(self) -> list[Record | Unreadable]:
        """Those that are held, in random order."""
        return [record for _, _, record in sorted(self._heap, key=lambda entry: -entry[0])]


def picture_bytes(record: Record | Unreadable) -> int:
    """Bytes of the stored picture; 0 where there is none."""
    return len(record.image) if isinstance(record, Record) else 0
