"""What the indexes of this room mean, in a few plain lines each: the oracles.

Nothing here is fast. Every index is tested to return exactly these arrays, in this order.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_LANES = 16


def equal_pairs(queries: NDArray[np.uint8], entries: NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """All (query, entry) with equal digests, sorted.

    Args:
        queries: uint8 (q, width).
        entries: uint8 (n, width).

    Returns:
        Query and entry positions, int64 (h,) each.
    """
    hits = [np.flatnonzero((entries == query).all(axis=1)) for query in queries]
    return _pairs(hits)


def hamming_pairs(
    queries: NDArray[np.uint8], codes: NDArray[np.uint8], radius: int
) -> tuple[Ints, Ints, NDArray[np.uint16]]:
    """All (query, entry) that differ in at most `radius` bits, sorted, with their distances.

    Args:
        queries: uint8 (q, 32).
        codes: uint8 (n, 32).
        radius: largest distance, in bits.

    Returns:
        Query and entry positions, int64 (h,) each, and distances, uint16 (h,).
    """
    distances = [np.bitwise_count(codes ^ query).sum(axis=1, dtype=np.uint16) for query in queries]
    hits = [np.flatnonzero(row <= radius) for row in distances]
    near = [row[hit] for row, hit in zip(distances, hits, strict=True)]
    return *_pairs(hits), np.concatenate([np.empty(0, np.uint16), *near])


def distance_pairs(queries: NDArray[np.uint8], vectors: NDArray[np.uint8], most: int) -> tuple[Ints, Ints, Ints]:
    """All (query, entry) whose squared Euclidean distance is at most this, sorted, with their squared distances.

    Args:
        queries: uint8 (q, width).
        vectors: uint8 (n, width).
        most: greatest sum of squared differences.

    Returns:
        Query and entry positions and squared distances, int64 (h,) each.
    """
    distances = [((vectors.astype(np.int64) - query) ** 2).sum(axis=1) for query in queries]
    hits = [np.flatnonzero(row <= most) for row in distances]
    near = [row[hit] for row, hit in zip(distances, hits, strict=True)]
    return *_pairs(hits), np.concatenate([np.empty(0, np.int64), *near])


def similarities(
    seeds: NDArray[Any], rows: NDArray[Any], metric: Literal["ip", "cosine"] = "ip"
) -> NDArray[np.float64]:
    """Float64 similarity of every seed to every row, each sum taken in sixteen lanes that are then added in halves.

    Column i goes to lane i mod 16. The order of summation is part of the definition: it makes a tie a tie on every
    machine. Under "cosine" a vector of zeros has no direction, and similarity 0 to everything.

    Args:
        seeds: float (s, d).
        rows: float (r, d).
        metric: "ip" for the inner product, "cosine" for the inner product over both lengths.

    Returns:
        float64 (s, r).
    """
    left, right = seeds.astype(np.float64), rows.astype(np.float64)
    products: NDArray[np.float64] = _summed(left[:, None], right[None])
    if metric == "ip":
        return products
    lengths = np.outer(np.sqrt(_summed(left, left)), np.sqrt(_summed(right, right)))
    cosines: NDArray[np.float64] = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return cosines


def nearest(
    seeds: NDArray[Any], blocks: Sequence[NDArray[Any]], k: int, metric: Literal["ip", "cosine"] = "ip"
) -> tuple[NDArray[np.float64], Ints, Ints]:
    """The k most similar finite rows of each seed, best first, ties by (block, row).

    Args:
        seeds: float (s, d).
        blocks: float (r, d) each.
        k: neighbours wanted; fewer are returned where fewer finite rows exist.
        metric: as in `similarities`.

    Returns:
        Similarity float64, block int64 and row int64, each (s, min(k, finite rows)).
    """
    rows = np.concatenate([np.asarray(block) for block in blocks])
    block = np.repeat(np.arange(len(blocks)), [len(each) for each in blocks])
    row = np.concatenate([np.arange(len(each)) for each in blocks])
    finite = np.flatnonzero(np.isfinite(rows).all(axis=1))
    scores = similarities(seeds, rows[finite], metric)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, best, axis=1), block[finite][best], row[finite][best]


def _pairs(hits: list[NDArray[np.intp]]) -> tuple[Ints, Ints]:
    query = np.repeat(np.arange(len(hits), dtype=np.int64), [len(hit) for hit in hits])
    return query, np.concatenate([np.empty(0, np.int64), *hits])


def _summed(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner products along the last axis, which broadcast."""
    shape = np.broadcast_shapes(left.shape[:-1], right.shape[:-1])
    lanes = np.zeros((*shape, _LANES))
    for start in range(0, left.shape[-1], _LANES):
        products = left[..., start : start + _LANES] * right[..., start : start + _LANES]
        lanes[..., : products.shape[-1]] += products
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    sums: NDArray[np.float64] = lanes[..., 0]
    return sums
