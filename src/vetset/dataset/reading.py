"""What a reader hands out: items in one pass, and after the last of them the shard's digest and number of records."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.model.errors import UsageError
from vetset.model.signal import Kind

T = TypeVar("T")

READING_VERSION = 4
"""Goes up when a release may make other records of the same shard, state other things of them, or know it by another
digest.

What a store keeps of a shard holds for one version: its rows are told by their numbers.
"""


class Outcome(NamedTuple):
    """What is known when a shard was read to its end: hex SHA-256 of what it is known by, and its records."""

    digest: str
    records: int


class Reading(Generic[T]):
    """One pass over one shard. Iterate it once; `digest` and `records` exist when it is exhausted."""

    def __init__(self, source: Generator[T, None, Outcome]) -> None:
        self._source = source
        self._started = False
        self._outcome: Outcome | None = None

    def __iter__(self) -> Iterator[T]:
        """The shard's items in order.

        Raises:
            UsageError: it was iterated before.
            DatasetError: the shard cannot be read as its format says.
        """
        if self._started:
            raise UsageError("a shard is read once by a reading", todo="Ask the format for a new reading.")
        self._started = True
        return self._pass()

    def _pass(self) -> Iterator[T]:
        self._outcome = yield from self._source

    def _finished(self) -> Outcome:
        if self._outcome is None:
            raise UsageError("the shard was not read to its end", todo="Iterate the reading until it is exhausted.")
        return self._outcome

    @property
    def digest(self) -> str:
        """Hex SHA-256 over everything that the shard consists of.

        Raises:
            UsageError: the reading is not exhausted.
        """
        return self._finished().digest

    @property
    def records(self) -> int:
        """Number of records of the shard.

        Raises:
            UsageError: the reading is not exhausted.
        """
        return self._finished().records


@dataclass(frozen=True, slots=True)
class DigestColumn:
    """Digests that a dataset states of many records.

    Attributes:
        values: uint8 (n, w), raw bytes; zeros where there is no digest.
        why: uint8 (n,), 0 where there is a digest, else `Reason.code`.
    """

    values: NDArray[np.uint8]
    why: NDArray[np.uint8]

    def __repr__(self) -> str:
        return f"DigestColumn(<{len(self.why)} withheld>)"


@dataclass(frozen=True, slots=True, repr=False)
class ColumnBatch:
    """Consecutive records of a dataset that holds no pictures.

    Attributes:
        first_row: row of the first record in the shard.
        count: how many there are.
        own_keys: `pyarrow.StringArray` (n,), without nulls; None if the dataset has no such column.
        urls: `pyarrow.StringArray` (n,) with nulls, or None if the dataset has no such column.
        declared: digests (n,) of each kind that the dataset has a column for.
    """

    first_row: int
    count: int
    own_keys: Any | None
    urls: Any | None
    declared: Mapping[Kind, DigestColumn]

    @property
    def keys(self) -> Any:
        """`pyarrow.StringArray` (n,): the dataset's own, or the numbers of the rows."""
        if self.own_keys is not None:
            return self.own_keys
        return pa.array(np.arange(self.first_row, self.first_row + self.count)).cast(pa.string())

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"ColumnBatch(first_row={self.first_row}, <{len(self)} withheld>)"
