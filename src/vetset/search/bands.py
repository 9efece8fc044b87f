"""The Hamming join for large batches: bands of the code, sorted, met bucket by bucket.

The 256 bits are cut into 16 bands of 16. Codes that differ in at most 31 bits differ in at most one bit in some band
(16 bands of two would be 32), and codes that differ in at most 15 agree in some band (Norouzi, Punjani and Fleet,
"Fast search in Hamming space with multi-index hashing", 2012). Both sides are sorted by the band's value, so that the
candidates of all queries of a bucket are the entries of at most 17 buckets: contiguous runs, copied into a small
tile and met by one vectorised loop. A pair is reported in the first band that brings it together, so no set of pairs is
kept.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vetset.search.bits import any_near, distance, popcount

BANDS = 16
VALUES = 1 << 16
TILE = 1024

# One side of the join: codes uint64 (n, 4), and for one band bucket bounds uint32 (65537,) and positions uint32 (n,).
Side = tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint32]]
# Where pairs go: uint32 (2, room), outer and inner positions; uint16 (room,), distances.
Out = tuple[NDArray[np.uint32], NDArray[np.uint16]]


def band_flips(radius: int) -> int:
    """Bits by which two codes within `radius` may differ in their best band: 0 or 1."""
    return radius // BANDS


def reach(starts: NDArray[np.uint32], flips: int) -> NDArray[np.int64]:
    """How many entries a query of each band value meets.

    Args:
        starts: uint32 (16, 65537), bucket bounds of the entries by band.
        flips: bits that a band may differ in, 0 or 1.

    Returns:
        int64 (16, 65536).
    """
    sizes: NDArray[np.int64] = starts[:, 1:].astype(np.int64) - starts[:, :-1]
    met = sizes.copy()
    for bit in range(16 * flips):
        met += sizes.reshape(BANDS, -1, 2, 1 << bit)[:, :, ::-1].reshape(BANDS, VALUES)
    return met


@njit(cache=True, nogil=True)
def sort_bands(
    first: int, last: int, values: NDArray[np.uint16], starts: NDArray[np.uint32], order: NDArray[np.uint32]
) -> None:
    """Counting sort of the codes by the value of each band from `first` to before `last`.

    Args:
        first: the first band.
        last: one more than the last.
        values: uint16 (n, 16), the codes.
        starts: uint32 (16, 65537) of zeros; becomes the bounds of the buckets.
        order: uint32 (16, n); becomes the positions in order of bucket.
    """
    for row in range(values.shape[0]):
        for band in range(first, last):
            starts[band, np.int64(values[row, band]) + 1] += np.uint32(1)
    for band in range(first, last):
        for bucket in range(starts.shape[1] - 1):
            starts[band, bucket + 1] += starts[band, bucket]
        cursor = starts[band].copy()
        for row in range(values.shape[0]):
            value = np.int64(values[row, band])
            order[band, cursor[value]] = row
            cursor[value] += np.uint32(1)


@njit(cache=True, nogil=True)
def _bucket(queries: NDArray[np.uint64], query: int, band: int, probe: int) -> Any:
    """The bucket of a query in a band, or from probe 1 on the one that differs from it in a bit."""
    value = np.int64((queries[query, band >> 2] >> np.uint64(16 * (band & 3))) & np.uint64(0xFFFF))
    return value if probe == 0 else value ^ (1 << (probe - 1))


@njit(cache=True, nogil=True)
def count_met(queries: NDArray[np.uint64], starts: NDArray[np.uint32], flips: int) -> Any:
    """How many entries `probe_bands` would look at."""
    met: Any = 0
    for query in range(queries.shape[0]):
        for band in range(BANDS):
            for probe in range(1 + 16 * flips):
                bucket = _bucket(queries, query, band, probe)
                met += np.int64(starts[band, bucket + 1]) - np.int64(starts[band, bucket])
    return met


@njit(cache=True, nogil=True)
def probe_bands(
    rule: tuple[np.uint64, np.uint64],
    codes: NDArray[np.uint64],
    sorted_bands: tuple[NDArray[np.uint32], NDArray[np.uint32]],
    queries: NDArray[np.uint64],
    out: Out,
) -> Any:
    """All pairs, query by query: for batches that are too small to be worth sorting.

    Args:
        rule: bits that a band in common may differ in, 0 or 1; and the largest distance.
        codes: uint64 (n, 4), the entries.
        sorted_bands: what `sort_bands` made of them.
        queries: uint64 (q, 4).
        out: where the pairs go, queries first.
    """
    flips, radius = rule
    starts, order = sorted_bands
    pairs, distances = out
    found = 0
    for query in range(queries.shape[0]):
        for band in range(BANDS):
            for probe in range(1 + 16 * np.int64(flips)):
                bucket = _bucket(queries, query, band, probe)
                for slot in range(starts[band, bucket], starts[band, bucket + 1]):
                    entry = order[band, slot]
                    apart = distance(codes, entry, queries, query)
                    if apart > radius or _in_earlier_band(codes, entry, queries, query, band, flips):
                        continue
                    if found < distances.size:
                        pairs[0, found] = query
                        pairs[1, found] = entry
                        distances[found] = apart
                    found += 1
    return found


@njit(cache=True, nogil=True)
def _gather(codes: NDArray[np.uint64], order: NDArray[np.uint32], word: int) -> Any:
    """A word of each code in sorted order: in a loop of its own the cache misses overlap."""
    sorted_word = np.empty(order.size, np.uint64)
    for i in range(order.size):
        sorted_word[i] = codes[order[i], word]
    return sorted_word


@njit(cache=True, nogil=True)
def _in_earlier_band(  # noqa: PLR0917  a kernel takes its arrays one by one
    inner: NDArray[np.uint64], i: int, outer: NDArray[np.uint64], j: int, band: int, flips: np.uint64
) -> Any:
    """Whether an earlier band already brought the pair together."""
    for earlier in range(band):
        shift = np.uint64(16 * (earlier & 3))
        bits = (inner[i, earlier >> 2] ^ outer[j, earlier >> 2]) >> shift
        if popcount(bits & np.uint64(0xFFFF)) <= flips:
            return True
    return False


@njit(cache=True, nogil=True)
def _report(  # noqa: PLR0917  a kernel takes its arrays one by one
    rule: tuple[int, np.uint64, np.uint64],
    inner: NDArray[np.uint64],
    here: NDArray[np.uint32],
    outer: NDArray[np.uint64],
    j: int,
    found: int,
    out: Out,
) -> Any:
    """Write the pairs of one outer code with the inner codes `here`; returns the new count of pairs."""
    band, flips, radius = rule
    pairs, distances = out
    one, two = ((band >> 2) + 1) & 3, ((band >> 2) + 2) & 3
    for i in here:
        if popcount(inner[i, one] ^ outer[j, one]) + popcount(inner[i, two] ^ outer[j, two]) > radius:
            continue
        apart = distance(inner, i, outer, j)
        if apart <= radius and not _in_earlier_band(inner, i, outer, j, band, flips):
            if found < distances.size:
                pairs[0, found] = j
                pairs[1, found] = i
                distances[found] = apart
            found += 1
    return found


@njit(cache=True, nogil=True)
def join_band(rule: tuple[int, np.uint64, np.uint64], inner: Side, outer: Side, out: Out) -> Any:
    """All pairs whose first common band is this one: writes them while there is room, and returns how many there are.

    The inner side is copied 17 times into tiles and should be the smaller one.

    Args:
        rule: the band, 0 to 15; bits that a band in common may differ in, 0 or 1; and the largest distance.
        inner: one side.
        outer: the other side.
        out: where the pairs go.
    """
    band, flips, radius = rule
    # Two words outside the band: inside it the pair is nearly equal, which says nothing more.
    one, two = ((band >> 2) + 1) & 3, ((band >> 2) + 2) & 3
    inner_codes, inner_starts, inner_order = inner
    outer_codes, outer_starts, outer_order = outer
    inner_first, inner_second = _gather(inner_codes, inner_order, one), _gather(inner_codes, inner_order, two)
    outer_first, outer_second = _gather(outer_codes, outer_order, one), _gather(outer_codes, outer_order, two)
    first, second, tile = np.empty(TILE, np.uint64), np.empty(TILE, np.uint64), np.empty(TILE, np.uint32)
    last = 16 * np.int64(flips)
    found = 0
    for value in range(VALUES):
        if outer_starts[value] == outer_starts[value + 1]:
            continue
        size = 0
        for probe in range(last + 1):
            bucket = value if probe == 0 else value ^ (1 << (probe - 1))
            at: Any = np.int64(inner_starts[bucket])
            end: Any = np.int64(inner_starts[bucket + 1])
            finished = False
            while not finished:
                length = min(end - at, TILE - size)
                for i in range(length):
                    first[size + i] = inner_first[at + i]
                    second[size + i] = inner_second[at + i]
                    tile[size + i] = inner_order[at + i]
                size += length
                at += length
                finished = at == end
                if size < TILE and not (finished and probe == last):
                    continue
                # The tile is full, or holds the last of the neighbouring buckets: meet it with the outer bucket.
                for slot in range(outer_starts[value], outer_starts[value + 1]):
                    if any_near(first, second, size, outer_first[slot], outer_second[slot], radius):
                        found = _report(rule, inner_codes, tile[:size], outer_codes, outer_order[slot], found, out)
                size = 0
    return found
