"""Codes of 256 bits within a Hamming distance: every pair, for any list and any batch.

Three ways to the same answer: comparing everything with everything, which wins for short lists; the join over sorted
bands (`vetset.search.bands`), which wins for large batches; and probing the bands query by query, which wins for small
batches once the list is sorted. The choice counts the work of each on the data at hand, so that codes that crowd in a
few buckets do not make the clever way the slow one. A list that is only asked small batches is sorted when comparing
has cost as much as sorting would have.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.model.errors import DataError, DatasetError, ListError, UsageError
from vetset.search import bands
from vetset.search.bits import any_near, distance, popcount
from vetset.search.words import as_words

MOST_RADIUS = 31
_CODE_BYTES = 32
_MOST_ENTRIES = 2**32 - 2
# Queries of one round of the band join: bounds its working memory to about 110 bytes a query of the round.
_ROUND = 1 << 20
# Queries of one round of brute force, so that what does not fit its buffer is not all done twice.
_BRUTE_ROUND = 1 << 14
_FIRST_ROOM = 1 << 16
_ANY_NUMBER = 2**63
# Threads that sort a list longer than a round.
_MOST_SORTERS = 4

# Costs in units of one comparison of brute force, measured on lists and batches of 1,000 to 1,000,000 uniform codes on
# one core with AVX-512: the join's comparisons come in shorter runs; each code of either side is gathered once a band;
# each bucket of a band is visited. Sorting the list is left out, for an index is made to be asked more than once.
# A wrong cost makes a batch slower, never different.
_COST_CANDIDATE = 2.5
_COST_CODE = 60.0
_COST_BUCKET = 20.0
# Small batches: every entry is read once for all queries of a tile; a probe visits buckets, and entries in no order.
_COST_ENTRY = 12.0
_COST_PROBE = 30.0
_COST_MET = 60.0
_COST_SORT = 1_500.0
_MOST_PROBED = 1 << 14

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint16]]
_NONE: Pairs = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint16))


class _TooManyError(Exception):
    """There are more pairs than were wanted."""


class HammingIndex:
    """Finds every pair of 256-bit codes within a distance of at most 31.

    Holds the codes, and from the first large batch on, or after many small ones, 64 bytes a code and 12 MB more for the
    sorted bands.

    Args:
        codes: uint8 (n, 32); duplicates are kept.

    Raises:
        ListError: the array is of another type or shape, or holds 2**32 codes.
    """

    __slots__ = ("_codes", "_order", "_spent", "_starts")

    def __init__(self, codes: NDArray[np.uint8]) -> None:
        self._codes = _as_words(codes, ListError, "the list")
        if len(self._codes) > _MOST_ENTRIES:
            raise ListError("the list is too long for one index", expected=f"at most {_MOST_ENTRIES:,} entries")
        self._starts: NDArray[np.uint32] | None = None
        self._order: NDArray[np.uint32] | None = None
        self._spent = 0.0

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def is_sorted(self) -> bool:
        """Whether a batch was large enough for the sorted bands, or there were many: then they are there."""
        return self._order is not None

    def join(
        self,
        queries: NDArray[np.uint8],
        radius: int = MOST_RADIUS,
        *,
        way: Literal["auto", "brute", "bands", "probe"] = "auto",
    ) -> Pairs:
        """All pairs of a query and an entry within `radius` bits.

        Memory is some 60 bytes a pair, and the working memory of a round: the size of the batch is the bound.

        Args:
            queries: uint8 (q, 32).
            radius: largest distance, 0 to 31.
            way: "auto" counts which way is quicker; the others are for tests and measurements. The result is the same.

        Returns:
            Positions of the query and of the entry, int64 (h,) each, and distances, uint16 (h,), sorted by
            (query, entry).

        Raises:
            DatasetError: the queries are of another type or shape.
            UsageError: the radius is outside 0 to 31.
        """
        return self._join(queries, radius, way, _ANY_NUMBER)

    def join_up_to(self, queries: NDArray[np.uint8], radius: int, most: int) -> Pairs | None:
        """The same pairs, or None as soon as there turn out to be more than `most`: then ask about fewer queries.

        Codes of a list may crowd around one picture, so that a batch has pairs without end.
        """
        try:
            return self._join(queries, radius, "auto", most)
        except _TooManyError:
            return None

    def _join(self, queries: NDArray[np.uint8], radius: int, way: str, most: int) -> Pairs:
        if not 0 <= radius <= MOST_RADIUS:
            raise UsageError("a Hamming radius that the search does not cover", expected="0 to 31", seen=str(radius))
        words = _as_words(queries, DatasetError, "the queries")
        rounds = [_NONE]
        for start in range(0, len(words), _ROUND):
            query, entry, apart = self._join_round(words[start : start + _ROUND], radius, way, most)
            most -= len(query)
            rounds.append((query + start, entry, apart))
        return _joined(rounds)

    def _join_round(self, queries: NDArray[np.uint64], radius: int, way: str, most: int) -> Pairs:
        brute = len(self._codes) * (len(queries) + _COST_ENTRY)
        passes = bands.BANDS * (_COST_CODE * (len(queries) + len(self._codes)) + _COST_BUCKET * bands.VALUES)
        if way == "probe" or (way == "auto" and self._probing_wins(queries, radius, brute, passes)):
            return self._probe(queries, radius, most)
        if way == "brute" or (way == "auto" and brute <= passes):
            self._spent += brute
            return self._brute(queries, radius, most)
        flips = bands.band_flips(radius)
        starts, order = self._sorted()
        query_starts, query_order = _sort(queries)
        if way == "auto":
            met = (np.diff(query_starts.astype(np.int64), axis=1) * bands.reach(starts, flips)).sum()
            if brute <= passes + _COST_CANDIDATE * float(met):
                return self._brute(queries, radius, most)
        entries = (self._codes, starts, order)
        asked = (queries, query_starts, query_order)
        swap = len(queries) < len(self._codes)
        inner, outer = (asked, entries) if swap else (entries, asked)
        found = []
        for band in range(bands.BANDS):
            rule = (band, np.uint64(flips), np.uint64(radius))
            sides = [(codes, bounds[band], positions[band]) for codes, bounds, positions in (inner, outer)]
            part = _grown(most, bands.join_band, rule, *sides)
            most -= len(part[1])
            found.append(part)
        return _in_order(found, swap=swap)

    def _probing_wins(self, queries: NDArray[np.uint64], radius: int, brute: float, passes: float) -> bool:
        """Whether the list is sorted, or ought to be by now, and probing is the quickest way for this batch."""
        flips = bands.band_flips(radius)
        visits = _COST_PROBE * bands.BANDS * (1 + 16 * flips) * len(queries)
        if len(queries) > _MOST_PROBED or visits >= min(brute, passes):
            return False
        if self._starts is None and self._spent + brute < _COST_SORT * len(self._codes):
            return False
        starts, _ = self._sorted()
        return visits + _COST_MET * float(bands.count_met(queries, starts, flips)) < min(brute, passes)

    def _probe(self, queries: NDArray[np.uint64], radius: int, most: int) -> Pairs:
        rule = (np.uint64(bands.band_flips(radius)), np.uint64(radius))
        return _in_order([_grown(most, bands.probe_bands, rule, self._codes, self._sorted(), queries)])

    def _brute(self, queries: NDArray[np.uint64], radius: int, most: int) -> Pairs:
        rounds = [_NONE]
        for start in range(0, len(queries), _BRUTE_ROUND):
            part = queries[start : start + _BRUTE_ROUND]
            found = _grown(most, _compare_all, np.uint64(radius), self._codes, part)
            most -= len(found[1])
            query, entry, apart = _in_order([found])
            rounds.append((query + start, entry, apart))
        return _joined(rounds)

    def _sorted(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        if self._starts is None or self._order is None:
            self._starts, self._order = _sort(self._codes)
        return self._starts, self._order


def _as_words(codes: NDArray[np.uint8], error: type[DataError], where: str) -> NDArray[np.uint64]:
    """The codes as uint64 (n, 4)."""
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != _CODE_BYTES:
        raise error(
            "codes of another type or shape",
            expected=f"uint8 (n, {_CODE_BYTES})",
            seen=f"{codes.dtype} with {codes.ndim} axes",
            where=where,
        )
    return as_words(codes, np.uint64)


def _sort(words: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    starts = np.zeros((bands.BANDS, bands.VALUES + 1), np.uint32)
    order = np.empty((bands.BANDS, len(words)), np.uint32)
    values = words.view(np.uint16)
    if len(words) <= _ROUND:
        bands.sort_bands(0, bands.BANDS, values, starts, order)
        return starts, order
    # Most of it is waiting for memory, so that cores add up.
    threads = min(_MOST_SORTERS, len(os.sched_getaffinity(0)))
    cuts = [bands.BANDS * thread // threads for thread in range(threads + 1)]
    with ThreadPoolExecutor(threads, "vetset-bands") as pool:
        for part in [pool.submit(bands.sort_bands, *cut, values, starts, order) for cut in pairwise(cuts)]:
            part.result()
    return starts, order


def _grown(most: int, kernel: Callable[..., Any], *arguments: object) -> bands.Out:
    """What a kernel finds, if it is not too much; when it overflows the buffers, it runs again with more room."""
    room = _FIRST_ROOM
    while True:
        pairs, apart = np.empty((2, room), np.uint32), np.empty(room, np.uint16)
        found = kernel(*arguments, (pairs, apart))
        if found > most:
            raise _TooManyError
        if found <= room:
            return pairs[:, :found].copy(), apart[:found].copy()
        room = found


def _in_order(parts: list[bands.Out], *, swap: bool = False) -> Pairs:
    pairs = np.concatenate([pairs for pairs, _ in parts], axis=1)
    apart = np.concatenate([apart for _, apart in parts])
    query, entry = pairs[::-1] if swap else pairs
    order = np.lexsort((entry, query))
    return query[order].astype(np.int64), entry[order].astype(np.int64), apart[order]


def _joined(rounds: list[Pairs]) -> Pairs:
    query, entry, apart = (np.concatenate(columns) for columns in zip(*rounds, strict=True))
    return query, entry, apart


@njit(cache=True, nogil=True)
def _compare_all(radius: np.uint64, codes: NDArray[np.uint64], queries: NDArray[np.uint64], out: bands.Out) -> Any:
    """All pairs within the radius, half a code first; writes them while there is room, and counts them all."""
    pairs, distances = out
    first, second = np.empty(bands.TILE, np.uint64), np.empty(bands.TILE, np.uint64)
    found = 0
    for start in range(0, codes.shape[0], bands.TILE):
        size = min(bands.TILE, codes.shape[0] - start)
        for i in range(size):
            first[i] = codes[start + i, 0]
            second[i] = codes[start + i, 1]
        for query in range(queries.shape[0]):
            a, b = queries[query, 0], queries[query, 1]
            if not any_near(first, second, size, a, b, radius):
                continue
            for i in range(size):
                if popcount(first[i] ^ a) + popcount(second[i] ^ b) > radius:
                    continue
                apart = distance(codes, start + i, queries, query)
                if apart <= radius:
                    if found < distances.size:
                        pairs[0, found] = query
                        pairs[1, found] = start + i
                        distances[found] = apart
                    found += 1
    return found
