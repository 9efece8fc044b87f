"""Equal digests between batches of queries and a list: a Bloom filter, then hash buckets.

Nearly every query of an audit is on no list. A blocked Bloom filter of 12 bits an entry (one 64-bit word a key, Putze,
Sanders and Singler 2007) turns it away with one memory access; what passes is compared in full with the few entries of
its hash bucket. Equal entries lie side by side in their bucket, so duplicates cost what they return and no more.

Hashes are multilinear over 32-bit words with secret random multipliers (Lemire and Kaser, "Strongly universal string
hashing is fast", 2014): whoever writes a list or a dataset cannot aim at one bucket, however skewed the digests.
"""

import secrets
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.model.errors import DataError, DatasetError, ListError
from vetset.search.words import as_words

_BITS_PER_ENTRY = 12
_LEAST_WIDTH = 8
_AT_ONCE = 512
_PARTS = 512
# Positions are held as uint32.
_MOST_ENTRIES = 2**32 - 2


class DigestIndex:
    """Finds every pair of equal digests.

    Holds a copy of the digests in bucket order, 4 bytes an entry for its position, 4 for the buckets and 1.5 for the
    filter.

    Args:
        digests: uint8 (n, width), width 8 bytes or more; duplicates are kept.

    Raises:
        ListError: the array is of another type or shape, or holds 2**32 entries.
    """

    __slots__ = ("_bloom", "_keys", "_order", "_starts", "_words", "width")

    def __init__(self, digests: NDArray[np.uint8]) -> None:
        words = _as_words(digests, ListError, "the list")
        n, span = words.shape
        if n > _MOST_ENTRIES:
            raise ListError("the list is too long for one index", expected=f"at most {_MOST_ENTRIES:,} entries")
        self.width: int = digests.shape[1]
        self._keys = np.frombuffer(bytearray(secrets.token_bytes(8 * (span + 1))), np.uint64)
        self._bloom = np.zeros(max(1, -(-n * _BITS_PER_ENTRY // 64)), np.uint64)
        self._starts = np.zeros(max(1, n) + 1, np.uint32)
        self._order = np.empty(n, np.uint32)
        self._words = np.empty_like(words)
        _build(words, self._keys, self._bloom, self._starts, self._order, self._words)

    def __len__(self) -> int:
        return len(self._order)

    def join(self, queries: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All pairs of equal digests; duplicates on either side give every pair.

        Memory is 16 bytes a pair and what the queries take: the size of the batch is the bound.

        Args:
            queries: uint8 (q, width), of the width of the index.

        Returns:
            Positions of the query and of the entry, int64 (h,) each, sorted by (query, entry).

        Raises:
            DatasetError: the array is of another type or width.
        """
        words = _as_words(queries, DatasetError, "the queries")
        if queries.shape[1] != self.width:
            raise DatasetError(
                "digests of another width than the list's", expected=f"{self.width} bytes", seen=f"{queries.shape[1]}"
            )
        # Untouched pages of an empty array cost nothing: room for a hit a query, and again where duplicates need more.
        room = len(words)
        while True:
            query, entry = np.empty(room, np.int64), np.empty(room, np.int64)
            found = _probe(words, self._keys, self._bloom, self._starts, self._order, self._words, query, entry)
            if found <= room:
                return query[:found].copy(), entry[:found].copy()
            room = found


def _as_words(digests: NDArray[np.uint8], error: type[DataError], where: str) -> NDArray[np.uint32]:
    """The digests as uint32 (n, ceil(width / 4))."""
    if digests.dtype != np.uint8 or digests.ndim != 2 or digests.shape[1] < _LEAST_WIDTH:
        raise error(
            "digests of another type or shape",
            expected=f"uint8 (n, width) with width of {_LEAST_WIDTH} bytes or more",
            seen=f"{digests.dtype} with {digests.ndim} axes",
            where=where,
        )
    n, width = digests.shape
    if width % 4:
        padded = np.zeros((n, -(-width // 4) * 4), np.uint8)
        padded[:, :width] = digests
        digests = padded
    return as_words(digests, np.uint32)


@njit(cache=True, nogil=True, inline="always")
def _hash(words: NDArray[np.uint32], row: int, keys: NDArray[np.uint64]) -> Any:
    """Multilinear: the upper 32 bits of a + sum(b[i] * word[i]) modulo 2**64 are strongly universal."""
    total = keys[0]
    for i in range(words.shape[1]):
        total += keys[i + 1] * np.uint64(words[row, i])
    return total


@njit(cache=True, nogil=True)
def _hash_all(words: NDArray[np.uint32], first: int, keys: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> None:
    """Hashes of consecutive rows; a loop over a number of words that the compiler knows becomes vectors."""
    if words.shape[1] == 4:
        for i in range(hashes.size):
            total = keys[0] + keys[1] * np.uint64(words[first + i, 0]) + keys[2] * np.uint64(words[first + i, 1])
            total += keys[3] * np.uint64(words[first + i, 2]) + keys[4] * np.uint64(words[first + i, 3])
            hashes[i] = total
    else:
        for i in range(hashes.size):
            hashes[i] = _hash(words, first + i, keys)


@njit(cache=True, nogil=True, inline="always")
def _place(digest_hash: np.uint64, size: int) -> Any:
    """A hash's upper 32 bits, scaled to 0 .. size - 1 without a division."""
    return np.int64(((digest_hash >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))


@njit(cache=True, nogil=True, inline="always")
def _mask(digest_hash: np.uint64) -> Any:
    """Four bits of a 64-bit word, by six bits each of the hash after one more round of mixing.

    Only the filter's rate of false alarms hangs on them; what passes is compared in full.
    """
    one, six = np.uint64(1), np.uint64(63)
    mixed = (digest_hash ^ (digest_hash >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    mask = one << (mixed >> np.uint64(58))
    mask |= one << ((mixed >> np.uint64(52)) & six)
    mask |= one << ((mixed >> np.uint64(46)) & six)
    return mask | (one << ((mixed >> np.uint64(40)) & six))


@njit(cache=True, nogil=True)
def _build(  # noqa: PLR0917  a kernel takes its arrays one by one
    words: NDArray[np.uint32],
    keys: NDArray[np.uint64],
    bloom: NDArray[np.uint64],
    starts: NDArray[np.uint32],
    order: NDArray[np.uint32],
    sorted_words: NDArray[np.uint32],
) -> None:
    """Fill the filter; counting sort of the entries by bucket, stable, so that a bucket is in order of position.

    Entries first go into parts of consecutive buckets, each of which then fits a near cache: one far jump an entry
    instead of five.
    """
    buckets = starts.size - 1
    shift = 0
    while buckets >> shift >= _PARTS:
        shift += 1
    begin = np.zeros((buckets >> shift) + 2, np.int64)
    for row in range(words.shape[0]):
        begin[(_place(_hash(words, row, keys), buckets) >> shift) + 1] += 1
    for part in range(begin.size - 1):
        begin[part + 1] += begin[part]
    cursor = begin[:-1].copy()
    for row in range(words.shape[0]):
        part = _place(_hash(words, row, keys), buckets) >> shift
        slot = cursor[part]
        cursor[part] += 1
        order[slot] = row
        for i in range(words.shape[1]):
            sorted_words[slot, i] = words[row, i]
    for part in range(begin.size - 1):
        first, low = begin[part], part << shift
        held, rows = sorted_words[first : begin[part + 1]].copy(), order[first : begin[part + 1]].copy()
        _sort_part(held, rows, keys, bloom, starts, order, sorted_words, low, min(low + (1 << shift), buckets))


@njit(cache=True, nogil=True)
def _sort_part(  # noqa: PLR0917  a kernel takes its arrays one by one
    held: NDArray[np.uint32],
    rows: NDArray[np.uint32],
    keys: NDArray[np.uint64],
    bloom: NDArray[np.uint64],
    starts: NDArray[np.uint32],
    order: NDArray[np.uint32],
    sorted_words: NDArray[np.uint32],
    low: int,
    high: int,
) -> None:
    """The entries of the buckets from `low` to `high`: into the filter, and each to its bucket."""
    buckets = starts.size - 1
    for i in range(rows.size):
        digest_hash = _hash(held, i, keys)
        bloom[_place(digest_hash, bloom.size)] |= _mask(digest_hash)
        starts[_place(digest_hash, buckets) + 1] += np.uint32(1)
    for bucket in range(low, high):
        starts[bucket + 1] += starts[bucket]
    cursor = starts[low:high].copy()
    for i in range(rows.size):
        bucket = _place(_hash(held, i, keys), buckets) - low
        slot = cursor[bucket]
        cursor[bucket] += np.uint32(1)
        order[slot] = rows[i]
        for word in range(held.shape[1]):
            sorted_words[slot, word] = held[i, word]


@njit(cache=True, nogil=True)
def _probe(  # noqa: PLR0917  a kernel takes its arrays one by one
    words: NDArray[np.uint32],
    keys: NDArray[np.uint64],
    bloom: NDArray[np.uint64],
    starts: NDArray[np.uint32],
    order: NDArray[np.uint32],
    sorted_words: NDArray[np.uint32],
    query: NDArray[np.int64],
    entry: NDArray[np.int64],
) -> Any:
    """Write the pairs while there is room, and count them all.

    A few hundred rows at a time: first all hashes, then all looks into the filter, so that many are under way at once.
    """
    found = 0
    buckets = starts.size - 1
    hashes = np.empty(_AT_ONCE, np.uint64)
    passed = np.empty(_AT_ONCE, np.int64)
    for first in range(0, words.shape[0], _AT_ONCE):
        count = min(_AT_ONCE, words.shape[0] - first)
        _hash_all(words, first, keys, hashes[:count])
        kept: Any = 0
        for i in range(count):
            mask = _mask(hashes[i])
            passed[kept] = i
            kept += np.int64(bloom[_place(hashes[i], bloom.size)] & mask == mask)
        for i in range(kept):
            row = first + passed[i]
            bucket = _place(hashes[passed[i]], buckets)
            for slot in range(starts[bucket], starts[bucket + 1]):
                same = True
                for word in range(words.shape[1]):
                    if sorted_words[slot, word] != words[row, word]:
                        same = False
                        break
                if same:
                    if found < query.size:
                        query[found] = row
                        entry[found] = order[slot]
                    found += 1
    return found
