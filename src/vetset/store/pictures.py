"""Whether two records hold the same picture, by what the store has of them: stored bytes and PDQ, never a vector.

So it is a second opinion on vectors that lie near each other, or at the very same point.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.model.signal import Kind, Reason, Variant
from vetset.store.columns import Values, column_of, quality_of, why_of
from vetset.store.part import Part
from vetset.store.records import RecordTable

_DIGEST, _CODE = column_of(Kind.SHA256, Variant.STORED), column_of(Kind.PDQ, Variant.STORED)
_QUALITY, _WHY = quality_of(Variant.STORED), why_of(Kind.PDQ)
_PAIRS = 1 << 16
"""Pairs that are compared at once."""


class Relation(IntEnum):
    """What is known of two records' pictures."""

    UNKNOWN = 0
    """At least one has no usable PDQ hash, for another reason than that it is flat."""
    COPY = 1
    """Equal stored bytes, or PDQ hashes within the distance."""
    OTHER = 2
    """Both have a usable PDQ hash, and these are further apart than the distance."""
    FLAT = 3
    """At least one is too flat for PDQ to decide anything."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the store has of some records' pictures, as they lie in the dataset.

    Attributes:
        numbers: int64 (n,) ascending: the records.
        digests: SHA-256 of the stored bytes.
        codes: PDQ hashes; those whose quality is too low are not there.
        quality: uint8 (n,), 0–100; 0 where there is no hash.
        flat: bool (n,): no hash, because its quality is too low.
    """

    numbers: NDArray[np.int64]
    digests: Values
    codes: Values
    quality: NDArray[np.uint8] = field(repr=False)
    flat: NDArray[np.bool_] = field(repr=False)

    def at(self, rows: NDArray[np.int64]) -> "Pictures":
        """Those in these rows."""
        digests, codes = (Values(part.values[rows], part.present[rows]) for part in (self.digests, self.codes))
        return Pictures(self.numbers[rows], digests, codes, self.quality[rows], self.flat[rows])

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """In which rows these records are; all must be there."""
        return np.searchsorted(self.numbers, numbers)

    def relations(self, first: NDArray[np.int64], second: NDArray[np.int64], distance: int) -> NDArray[np.uint8]:
        """The relation of pairs of records, all of which must be here.

        Args:
            first: int64 (p,), numbers of records.
            second: int64 (p,), likewise.
            distance: greatest Hamming distance of copies.

        Returns:
            uint8 (p,), values of `Relation`.
        """
        found = np.zeros(len(first), np.uint8)
        for start in range(0, len(first), _PAIRS):
            cut = slice(start, start + _PAIRS)
            found[cut] = self._relations(self.rows(first[cut]), self.rows(second[cut]), distance)
        return found

    def _relations(self, first: NDArray[np.int64], second: NDArray[np.int64], distance: int) -> NDArray[np.uint8]:
        digested, coded = (part.present[first] & part.present[second] for part in (self.digests, self.codes))
        equal = digested & (self.digests.values[first] == self.digests.values[second]).all(axis=1)
        apart = np.bitwise_count(self.codes.values[first] ^ self.codes.values[second]).sum(axis=1, dtype=np.int64)
        found = np.where(self.flat[first] | self.flat[second], Relation.FLAT, Relation.UNKNOWN)
        found = np.where(coded, np.where(apart <= distance, Relation.COPY, Relation.OTHER), found)
        return np.where(equal, Relation.COPY, found).astype(np.uint8)


def _of_batch(first: int, batch: pa.RecordBatch) -> Pictures:
    """A batch of a part; columns that it lacks hold nothing."""
    count, names = len(batch), batch.schema.names

    def values(name: str, kind: Kind) -> Values:
        return Values.from_arrow(batch.column(name), kind.width) if name in names else Values.none(count, kind.width)

    def bytes_of(name: str) -> NDArray[np.uint8]:
        return np.asarray(batch.column(name).fill_null(0), np.uint8) if name in names else np.zeros(count, np.uint8)

    codes = values(_CODE, Kind.PDQ)
    flat = (bytes_of(_WHY) == Reason.LOW_QUALITY.code) & ~codes.present
    numbers = np.arange(first, first + count)
    return Pictures(numbers, values(_DIGEST, Kind.SHA256), codes, bytes_of(_QUALITY), flat)


def _of_part(start: int, part: Part) -> Iterator[Pictures]:
    for first, batch in part.columns([_DIGEST, _CODE, _QUALITY, _WHY]):
        yield _of_batch(start + first, batch)


def all_pictures(table: RecordTable) -> Iterator[Pictures]:
    """Every record in order, batch by batch.

    Raises:
        CountError: a part is damaged or missing.
    """
    start = 0
    for shard, part in table.parts():
        yield from _of_part(start, part)
        start += shard.records


def pictures_at(table: RecordTable, numbers: NDArray[np.int64]) -> Pictures:
    """Those of some records; only parts that hold one of them are read.

    Args:
        table: the records.
        numbers: int64 (n,), in any order; doubles come once.

    Raises:
        CountError: a part is damaged or missing.
    """
    wanted = np.unique(numbers)
    empty = np.zeros(0, np.int64)
    nothing = Values.none(0, Kind.PDQ.width)
    found = [Pictures(empty, nothing, nothing, empty.astype(np.uint8), empty.astype(np.bool_))]
    start = 0
    for index, shard in enumerate(table.shards):
        low, high = np.searchsorted(wanted, [start, start + shard.records])
        for held in _of_part(start, table.part(index)) if low < high else ():
            here = wanted[np.searchsorted(wanted, held.numbers[0]) : np.searchsorted(wanted, held.numbers[-1] + 1)]
            if len(here):
                found.append(held.at(here - held.numbers[0]))
        start += shard.records
    return Pictures(
        np.concatenate([part.numbers for part in found]),
        Values.joined([part.digests for part in found], Kind.SHA256.width),
        Values.joined([part.codes for part in found], Kind.PDQ.width),
        np.concatenate([part.quality for part in found]),
        np.concatenate([part.flat for part in found]),
    )
