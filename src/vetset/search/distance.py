"""Vectors of 144 bytes within a Euclidean distance: every pair, exact, with no index to build.

Distances are taken squared, as sums of squared differences, which are whole numbers: nothing is rounded anywhere. Each
pair is first held to a bound that costs a fraction of its distance, and only what the bound cannot rule out is computed
as it is defined. No bound is ever greater than the squared distance, so no pair is lost:

    columns    leaving columns out leaves squares out of the sum;
    clamping   |max(a, 1) - max(b, 1)| <= |a - b|: so 128 can be taken off, and products are of numbers of -127 to 127;
    lengths    ||a| - |b|| <= |a - b|: both sides are sorted by length, and blocks that are too far are skipped.

With p and q what is left of a pair, |p - q|² = |p|² + |q|² - 2 p·q, where p·q is exact in 32-bit integers
(`vetset.search.products`): no term reaches 2 · 144 · 127² < 2**23. A few columns are tried first, those that vary most,
and all of them where a few let too much through. How many are tried decides about time, never about the answer.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.model.errors import DataError, DatasetError, ListError, UsageError
from vetset.search.products import GROUP, TILE, Group, packed, quickest

COLUMNS = 144
FARTHEST = COLUMNS * 255**2
"""Greatest squared distance that there is."""
_MOST_ENTRIES = 2**32 - 2
_FEW = 32
"""Columns that are tried first: measured, half the time of all where entries are spread."""
_THROUGH = 100
"""Where more than one pair in so many gets past the few columns, all of them are the quicker way."""
_EIGHT_BITS = 127
_BLOCK = 168 * TILE
"""Entries that are compared at a time: their scores with a group of queries stay in a near cache."""
_SAMPLE = 1 << 14

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Pairs = tuple[Ints, Ints, Ints]
_NONE: Pairs = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class _Clamped:
    """Vectors as they are multiplied.

    Attributes:
        whole: int8 (n, c), clamped, 128 taken off.
        sums: int32 (n,), of each row.
        squares: int32 (n,), squared length of each row.
    """

    whole: NDArray[np.int8]
    sums: NDArray[np.int32]
    squares: NDArray[np.int32]

    @classmethod
    def of(cls, vectors: Bytes, columns: Ints) -> Self:
        """Some columns of vectors, uint8 (n, 144), and rows of zeros up to a multiple of `TILE`."""
        whole = np.zeros((-(-len(vectors) // TILE) * TILE, len(columns)), np.int8)
        whole[: len(vectors)] = (np.maximum(vectors[:, columns], 1) ^ 128).view(np.int8)
        wide = whole.astype(np.int32)
        return cls(whole, wide.sum(axis=1, dtype=np.int32), np.einsum("ij,ij->i", wide, wide, dtype=np.int32))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Up to 64 queries.

    Attributes:
        order: int64 (s,), their positions in the batch.
        vectors: uint8 (s, 144).
        screens: for a few columns and for all: the queries packed, and int32 (s,) squared lengths.
        shortest: the least of their lengths.
        longest: the greatest.
    """

    order: Ints
    vectors: Bytes
    screens: tuple[tuple[Group, NDArray[np.int32]], ...]
    shortest: float
    longest: float


class DistanceIndex:
    """Finds every pair of vectors of 144 bytes within a Euclidean distance.

    Holds the vectors as they are given and 16 bytes for each beside them.

    Args:
        vectors: uint8 (n, 144); duplicates are kept.

    Raises:
        ListError: the array is of another type or shape, or holds 2**32 vectors.
    """

    __slots__ = ("_columns", "_lengths", "_order", "_vectors")

    def __init__(self, vectors: Bytes) -> None:
        self._vectors = _checked(vectors, ListError, "the list")
        if len(vectors) > _MOST_ENTRIES:
            raise ListError("the list is too long for one index", expected=f"at most {_MOST_ENTRIES:,} entries")
        sample = self._vectors[:: -(-len(vectors) // _SAMPLE) or 1].astype(np.float64)
        spread = sample.var(axis=0) if len(sample) else np.zeros(COLUMNS)
        order = np.argsort(-spread, kind="stable").astype(np.int64)
        self._columns = order[:_FEW], order
        lengths = _lengths(self._vectors)
        self._order = np.argsort(lengths, kind="stable")
        self._lengths = lengths[self._order]

    def __len__(self) -> int:
        return len(self._vectors)

    def join(self, queries: Bytes, most: int, *, threads: int = 1) -> Pairs:
        """All pairs of a query and an entry whose squared distance is at most this.

        Memory is some 60 bytes a pair, 400 a query and 2 MB a thread: the size of the batch is the bound.

        Args:
            queries: uint8 (q, 144).
            most: greatest squared distance (the sum of squared differences), 0 or more.
            threads: that compute.

        Returns:
            Positions of the query and of the entry, and squared distances, int64 (h,) each, sorted by (query, entry).

        Raises:
            DatasetError: the queries are of another type or shape.
            UsageError: the distance is negative, or threads are less than 1.
        """
        if most < 0:
            raise UsageError("a squared distance that there is none of", expected="0 or more", seen=str(most))
        if threads < 1:
            raise UsageError("a join without a thread", expected="1 or more", seen=str(threads))
        most = min(most, FARTHEST)
        groups = list(self._groups(_checked(queries, DatasetError, "the queries")))
        starts = range(0, len(self) if groups else 0, _BLOCK)
        compare = partial(self._compare, groups, most)
        if threads == 1:
            found = list(map(compare, starts))
        else:
            with ThreadPoolExecutor(threads, "vetset-distance") as pool:
                found = list(pool.map(compare, starts))
        query, entry, apart = _joined([_NONE, *found])
        order = np.lexsort((entry, query))
        return query[order], entry[order], apart[order]

    def _groups(self, queries: Bytes) -> Iterator[_Asked]:
        lengths = _lengths(queries)
        order, way = np.argsort(lengths, kind="stable"), quickest(_EIGHT_BITS)
        for start in range(0, len(queries), GROUP):
            mine = order[start : start + GROUP]
            vectors = queries[mine]
            screens = []
            for columns in self._columns:
                clamped = _Clamped.of(vectors, columns)
                screens.append((packed(clamped.whole[: len(mine)], way), clamped.squares[: len(mine)]))
            yield _Asked(mine.astype(np.int64), vectors, tuple(screens), lengths[mine[0]], lengths[mine[-1]])

    def _compare(self, groups: list[_Asked], most: int, start: int) -> Pairs:
        """One block of entries with every group of queries."""
        order = self._order[start : start + _BLOCK]
        shortest, longest = self._lengths[start], self._lengths[start + len(order) - 1]
        # float64 takes the root of a whole number to a few parts in 10**16; a thousandth is ample.
        reach = np.sqrt(most) + 1e-3
        near = [one for one in groups if one.shortest - longest <= reach and shortest - one.longest <= reach]
        if not near:
            return _NONE
        vectors = self._vectors[order]
        room, pairs = np.empty(_BLOCK * GROUP, np.int32), np.empty((3, len(order) * GROUP), np.int32)
        found = [_NONE]
        way = passed = compared = 0
        entries = _Clamped.of(vectors, self._columns[way])
        for one in near:
            if way == 0 and passed * _THROUGH > compared:
                way = 1
                entries = _Clamped.of(vectors, self._columns[way])
            group, squares = one.screens[way]
            scores = group.multiply(entries.whole, entries.sums, room)
            count, through = _kept(scores, (entries.squares, squares), (vectors, one.vectors), most, pairs)
            passed, compared = passed + through, compared + len(order) * len(squares)
            entry, query, apart = pairs[:, :count]
            found.append((one.order[query], order[entry], apart.astype(np.int64)))
        return _joined(found)


def _checked(vectors: Bytes, error: type[DataError], where: str) -> Bytes:
    if vectors.dtype != np.uint8 or vectors.ndim != 2 or vectors.shape[1] != COLUMNS:
        raise error(
            "vectors of another type or shape",
            expected=f"uint8 (n, {COLUMNS})",
            seen=f"{vectors.dtype} with {vectors.ndim} axes",
            where=where,
        )
    return vectors


def _joined(found: list[Pairs]) -> Pairs:
    query, entry, apart = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return query, entry, apart


def _lengths(vectors: Bytes) -> NDArray[np.float64]:
    """Length of each vector, float64 (n,): the root of a whole number."""
    lengths = np.empty(len(vectors))
    for start in range(0, len(vectors), _SAMPLE):
        wide = vectors[start : start + _SAMPLE].astype(np.int32)
        lengths[start : start + _SAMPLE] = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    return lengths


@njit(cache=True, nogil=True)
def _kept(
    scores: NDArray[np.int32],
    squares: tuple[NDArray[np.int32], NDArray[np.int32]],
    vectors: tuple[Bytes, Bytes],
    most: int,
    pairs: NDArray[np.int32],
) -> Any:
    """Write every pair within the distance: row of the entry, place of the query, squared distance.

    Returns:
        How many there are, and how many got past the bound.
    """
    entries, queries = vectors
    limit = np.int32(most)
    found = passed = 0
    for row in range(entries.shape[0]):
        least = squares[0][row] - limit
        near = False
        for place in range(queries.shape[0]):
            near |= 2 * scores[row, place] >= least + squares[1][place]
        if not near:
            continue
        for place in range(queries.shape[0]):
            if 2 * scores[row, place] < least + squares[1][place]:
                continue
            passed += 1
            apart = np.int32(0)
            for column in range(entries.shape[1]):
                difference = np.int32(entries[row, column]) - np.int32(queries[place, column])
                apart += difference * difference
            if apart <= limit:
                pairs[0, found] = row
                pairs[1, found] = place
                pairs[2, found] = apart
                found += 1
    return found, passed
