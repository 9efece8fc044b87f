"""All records of a revision as one numbering, so that arrays can speak of them: shard after shard, row after row."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.errors import CountError
from vetset.model.signal import Kind, Reason
from vetset.store.part import Part
from vetset.store.store import Store


@dataclass(frozen=True, slots=True)
class StoredShard:
    """One shard of the revision.

    Attributes:
        uri: place in the dataset.
        name: what its records call it.
        part: key of its part.
        records: what the reader counted.
    """

    uri: str
    name: ShardDigest
    part: str
    records: int


class RecordTable:
    """Numbers for records and records for numbers.

    Args:
        store: where the parts lie.
        shards: the revision's shards, sorted by uri.
    """

    def __init__(self, store: Store, shards: Sequence[StoredShard]) -> None:
        self._store = store
        self.shards = list(shards)
        self._offsets = np.concatenate(([0], np.cumsum([shard.records for shard in shards], dtype=np.int64)))
        self._index = {shard.name: number for number, shard in enumerate(shards)}

    @property
    def count(self) -> int:
        """Number of records."""
        return int(self._offsets[-1])

    def part(self, index: int) -> Part:
        """The part of the shard with this index."""
        shard = self.shards[index]
        return Part(self._store.part_path(shard.part), shard.uri)

    def parts(self) -> Iterator[tuple[StoredShard, Part]]:
        """Every shard with its part, in order."""
        for index, shard in enumerate(self.shards):
            yield shard, self.part(index)

    def key_batches(self) -> Iterator[pa.StringArray]:
        """Every record's key, by number, batch by batch."""
        for _, part in self.parts():
            for _, keys in part.key_batches():
                yield keys

    def numbers(self, records: Iterable[RecordId]) -> NDArray[np.int64]:
        """Numbers of records.

        Raises:
            CountError: a record is of no shard of this revision.
        """
        numbers = []
        for record in records:
            index = self._index.get(record.shard)
            if index is None or not 0 <= record.row < self.shards[index].records:
                raise CountError("a record belongs to no shard of this revision", todo="Audit the dataset anew.")
            numbers.append(int(self._offsets[index]) + record.row)
        return np.array(numbers, np.int64)

    def records(self, numbers: NDArray[np.int64]) -> list[RecordId]:
        """Records of numbers, in the same order."""
        shard_of = np.searchsorted(self._offsets, numbers, side="right") - 1
        rows = numbers - self._offsets[shard_of]
        together = np.argsort(shard_of, kind="stable")
        touched, starts = np.unique(shard_of[together], return_index=True)
        keys = {
            index: self.part(index).keys_at(rows[here].tolist())
            for index, here in zip(touched.tolist(), np.split(together, starts)[1:], strict=True)
        }
        return [
            RecordId(self.shards[index].name, row, keys[index][row])
            for index, row in zip(shard_of.tolist(), rows.tolist(), strict=True)
        ]

    def undecided(self, kind: Kind, reasons: Iterable[Reason]) -> list[RecordId]:
        """Records that have no signal of a kind for one of these reasons.

        Raises:
            CountError: a part is damaged or missing.
        """
        codes = np.array([reason.code for reason in reasons], np.uint8)
        found = [np.zeros(0, np.int64)]
        for index, (_, part) in enumerate(self.parts()):
            found.append(self._offsets[index] + np.flatnonzero(np.isin(part.why(kind), codes)))
        return self.records(np.concatenate(found))

    def contents(self) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.bool_]]]:
        """Identity of the stored bytes, batch by batch: first number, SHA-256 uint8 (n, 32), whether there is one."""
        for index, _ in enumerate(self.shards):
            for first, stored in self.part(index).stored(Kind.SHA256):
                yield int(self._offsets[index]) + first, stored.values, stored.present
