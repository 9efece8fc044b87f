"""Topic: vectors of 144 bytes within a Euclidean distance of a list, against faiss, scikit-learn and plain NumPy."""

from collections.abc import Callable
from functools import partial
from typing import Any

import faiss
import numpy as np
from bench.figures import Row, Table, Topic, fitting, in_turns, main, rate
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from vetset.search.distance import COLUMNS, DistanceIndex

_RADIUS = 100
_PLANTED = 1_000
_BLOCK = 4_096
Bytes = NDArray[np.uint8]
Pairs = set[tuple[int, int]]


def _uneven(rng: np.random.Generator, size: int) -> Bytes:
    """Vectors that crowd: components skewed, and whole vectors of very different lengths."""
    long = rng.gamma(2, 1, (size, 1)).astype(np.float32)
    return np.clip(rng.gamma(0.7, 25, (size, COLUMNS)).astype(np.float32) * long, 0, 255).astype(np.uint8)


def _uniform(rng: np.random.Generator, size: int) -> Bytes:
    return rng.integers(256, size=(size, COLUMNS), dtype=np.uint8)


def _planted(listed: Bytes, queries: Bytes, rng: np.random.Generator) -> Bytes:
    """Queries of which the first lie 0 to 10 from an entry in each component, so that most are within the distance."""
    count = min(_PLANTED, len(queries) // 10)
    near = listed[rng.integers(len(listed), size=count)] + rng.integers(-10, 11, (count, COLUMNS))
    queries[:count] = np.clip(near, 0, 255)
    return queries


def _naive(listed: Bytes, queries: Bytes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """float32 products: whole numbers, exact as long as two squared lengths stay below 2**24 together, as these do."""
    wide, asked = listed.astype(np.float32), queries.astype(np.float32)
    squares = np.einsum("ij,ij->i", wide, wide)
    found: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    for start in range(0, len(asked), 256):
        part = asked[start : start + 256]
        least = np.einsum("ij,ij->i", part, part) - _RADIUS**2
        for first in range(0, len(wide), _BLOCK):
            block = slice(first, first + _BLOCK)
            query, entry = np.nonzero(2 * (part @ wide[block].T) >= least[:, None] + squares[block])
            found.append((query + start, entry + first))
    return np.concatenate([query for query, _ in found]), np.concatenate([entry for _, entry in found])


def _faiss(index: Any, queries: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """What lies at the radius itself is left out by faiss; distances are squared and whole."""
    limits, _, found = index.range_search(queries, _RADIUS**2 + 0.5)
    return np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64))), found


def _sklearn(index: Any, queries: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    found = index.radius_neighbors(queries, _RADIUS + 1e-3, return_distance=False)
    return np.repeat(np.arange(len(queries)), [len(each) for each in found]), np.concatenate(found)


def _table(topic: Topic, name: str, listed: Bytes, queries: Bytes) -> None:
    wide, asked = listed.astype(np.float32), queries.astype(np.float32)
    flat = faiss.IndexFlatL2(COLUMNS)
    flat.add(wide)
    brute = NearestNeighbors(algorithm="brute", n_jobs=1).fit(wide)
    ours = DistanceIndex(listed)
    asks: dict[str, tuple[str, Callable[[int], Any]]] = {
        "faiss Flat": ("IndexFlatL2.range_search on float32", lambda n: _faiss(flat, asked[:n])),
        "scikit-learn": (
            "NearestNeighbors.radius_neighbors, brute force on float32",
            lambda n: _sklearn(brute, asked[:n]),
        ),
        "naive NumPy": ("float32 products, blocks of 4,096", lambda n: _naive(listed, queries[:n])),
    }
    label = f"vetset.DistanceIndex.join, batch of {len(queries):,}"
    ways: dict[str, Callable[[], object]] = {label: partial(ours.join, queries, _RADIUS**2)}
    counts, peers = {label: len(queries)}, {label: ""}
    query, entry, _ = ours.join(queries, _RADIUS**2)
    for peer, (how, ask) in asks.items():
        count = fitting(ask, len(queries), 1.5, probe=64)
        label = f"{peer}, {how}, of {count:,} queries"
        ways[label], counts[label], peers[label] = partial(ask, count), count, peer
        theirs = set(zip(*(column.tolist() for column in ask(count)), strict=True))
        mine = set(zip(query[query < count].tolist(), entry[query < count].tolist(), strict=True))
        same = f"{len(mine & theirs):,} of {len(mine | theirs):,}"
        topic.holds(f"pairs that both find, {name}, vetset and {peer}", same, true=mine == theirs)
    seconds = in_turns(ways, 3, warm=False)
    topic.tables.append(
        Table(
            f"Distance ≤ {_RADIUS} among {len(listed):,} vectors of {COLUMNS} bytes, {name}",
            "Inside: every pair; vetset's with exact distances. Outside: building the index, converting to each one's"
            " own form. 1 thread, everything in memory.",
            "million pairs compared/s",
            "more",
            [Row(way, rate(taken, counts[way] * len(listed), 1e6), peers[way]) for way, taken in seconds.items()],
        )
    )


def measure(*, quick: bool) -> Topic:
    faiss.omp_set_num_threads(1)
    size, asked = (50_000, 2_000) if quick else (1_000_000, 20_000)
    topic = Topic(
        "Vectors within a Euclidean distance",
        "Made-up vectors of 144 bytes, of which some queries lie near an entry: uniform ones, which are spread as"
        " far as can be, and skewed ones of very different lengths, which crowd. How real PhotoDNA values are"
        " spread is not known here.",
    )
    rng = np.random.default_rng(1)
    for name, make in (("uniform", _uniform), ("skewed", _uneven)):
        listed = make(rng, size)
        _table(topic, name, listed, _planted(listed, make(rng, asked), rng))
    return topic


if __name__ == "__main__":
    main(measure)
