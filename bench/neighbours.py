"""Topic: the 100 most similar rows for some seeds, against faiss and naive NumPy; and clusters of duplicates."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from bench.figures import ROUNDS, Row, Table, Topic, in_turns, main, rate
from numpy.typing import NDArray

from vetset.search.nearest import Neighbours, nearest

_DIMENSION = 512
_K = 100
_SEEDS = (1, 16, 64, 256)
_CENTRES = 2_000
_CHUNK = 8_192
_FLAT = "faiss IndexFlatIP.search, as shipped"
_TUNED = "faiss IndexFlatIP.search, told to use the BLAS always"
_NAIVE = "NumPy: map, astype, BLAS, argpartition"
_PEERS = {_FLAT: "faiss Flat", _TUNED: "faiss Flat by BLAS", _NAIVE: "naive NumPy"}
Floats = NDArray[np.float32]
Halves = NDArray[np.float16]


def _embeddings(rows: int, rng: np.random.Generator) -> Halves:
    """Unit vectors around 2,000 centres, as float16."""
    centres = rng.standard_normal((_CENTRES, _DIMENSION), dtype=np.float32)
    out = np.empty((rows, _DIMENSION), np.float16)
    for start in range(0, rows, _CHUNK):
        part = out[start : start + _CHUNK]
        values = centres[rng.integers(_CENTRES, size=len(part))]
        values = values + rng.standard_normal(values.shape, dtype=np.float32)
        part[:] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return out


def _ours(seeds: Floats, path: Path) -> Neighbours:
    return nearest(seeds, [np.load(path, mmap_mode="r", allow_pickle=False)], _K)


def _naive(seeds: Floats, path: Path) -> NDArray[np.int64]:
    """What one writes first: map the file, widen, multiply, keep all scores, partition at the end."""
    rows = np.load(path, mmap_mode="r", allow_pickle=False)
    scores = np.empty((len(seeds), len(rows)), np.float32)
    for start in range(0, len(rows), _CHUNK):
        scores[:, start : start + _CHUNK] = seeds @ rows[start : start + _CHUNK].astype(np.float32).T
    top = np.argpartition(scores, -_K, axis=1)[:, -_K:]
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1)
    return np.take_along_axis(top, order, 1)


def _truth(seeds: NDArray[Any], rows: Halves) -> NDArray[np.int64]:
    """Ranked in float64, ties by row."""
    asked = seeds.astype(np.float64)
    scores = np.concatenate(
        [asked @ rows[start : start + _CHUNK].astype(np.float64).T for start in range(0, len(rows), _CHUNK)], axis=1
    )
    return np.argsort(-scores, axis=1, kind="stable")[:, :_K]


def _share(found: NDArray[Any], truth: NDArray[np.int64]) -> str:
    kept = sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(found, truth, strict=True))
    return f"{kept:,} of {truth.size:,}"


def _search(flat: Any, seeds: Floats, threshold: int) -> NDArray[np.int64]:
    """One search; from which amount of work on faiss multiplies all seeds at once is a setting of the process."""
    faiss.cvar.distance_compute_blas_threshold = threshold
    rows: NDArray[np.int64] = flat.search(seeds, _K)[1]
    return rows


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _pass(topic: Topic, rows: Halves, path: Path, rng: np.random.Generator) -> None:
    flat = faiss.IndexFlatIP(_DIMENSION)
    for start in range(0, len(rows), _CHUNK):
        flat.add(rows[start : start + _CHUNK].astype(np.float32))
    seeds = rows[rng.choice(len(rows), max(_SEEDS), replace=False)].astype(np.float32)
    shipped = faiss.cvar.distance_compute_blas_threshold
    for count in _SEEDS:
        asked = seeds[:count]
        ways: dict[str, Callable[[], object]] = {
            "vetset.nearest": partial(_ours, asked, path),
            _FLAT: partial(_search, flat, asked, shipped),
            _TUNED: partial(_search, flat, asked, 1),
            _NAIVE: partial(_naive, asked, path),
        }
        seconds = in_turns(ways, ROUNDS if count < 256 else 3)
        topic.tables.append(
            Table(
                f"The {_K} most similar of {len(rows):,} rows, {count} seed{'s' * (count > 1)}",
                f"Inside: vetset and NumPy read the float16 .npy file from the page cache in each pass ({_DIMENSION}"
                " columns, inner product); faiss has a float32 copy of all rows in memory (twice the size), built"
                " before; as shipped it takes few seeds one by one, so it is also shown with its BLAS path forced. All"
                " seeds in one call. 1 thread.",
                "million rows/s/core",
                "more",
                [Row(way, rate(taken, len(rows), 1e6), _PEERS.get(way, "")) for way, taken in seconds.items()],
            )
        )
    few = seeds[:16]
    truth = _truth(few, rows)
    ours = _ours(few, path).row.reshape(len(few), _K)
    same = bool((ours == truth).all())
    topic.holds("16 seeds: vetset's rows, in their order, are those of float64 brute force", _yes(same), true=same)
    topic.checks += [
        ("16 seeds: true neighbours found by vetset", _share(ours, truth)),
        ("16 seeds: true neighbours found by faiss IndexFlatIP", _share(_search(flat, few, shipped), truth)),
        ("16 seeds: true neighbours found by faiss IndexFlatIP, by BLAS", _share(_search(flat, few, 1), truth)),
        ("16 seeds: true neighbours found by NumPy", _share(_naive(few, path), truth)),
    ]


def _duplicates(topic: Topic, rng: np.random.Generator, *, size: int, copies: int) -> None:
    """How much of a cluster of identical rows each way finds when it is asked with one of them."""
    rows = _embeddings(size, rng)
    places = rng.choice(size, copies, replace=False)
    rows[places] = rows[places[0]]
    wide = rows.astype(np.float32)
    seed = wide[places[:1]]
    members = set(places.tolist())

    def told(found: NDArray[Any]) -> str:
        return f"{len(members & set(found.ravel().tolist()))} of {copies}"

    what = f"{copies} identical rows among {size:,}, found by"
    mine = nearest(seed, [rows], 300).row
    topic.holds(f"{what} vetset.nearest, k = 300", told(mine), true=members <= set(mine.ravel().tolist()))
    for name, description in (("HNSW32", "faiss HNSW32"), ("HNSW15", "faiss HNSW15")):
        graph = faiss.index_factory(_DIMENSION, f"{name},Flat", faiss.METRIC_INNER_PRODUCT)
        graph.add(wide)
        # faiss looks at k candidates at least, so that efSearch below 300 changes nothing here
        topic.checks.append((f"{what} {description}, k = 300", told(graph.search(seed, 300)[1])))
        for effort in (16, 64, 2_499):
            graph.hnsw.efSearch = effort
            near = graph.range_search(seed, 0.9)[2]
            topic.checks.append((f"{what} {description}, efSearch {effort:,}, all within 0.9", told(near)))


def measure(*, quick: bool) -> Topic:
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(3)
    size = 20_000 if quick else 300_000
    topic = Topic(
        "Nearest embeddings",
        f"{size:,} synthetic unit vectors of {_DIMENSION} columns, float16, around {_CENTRES:,} centres;"
        " seeds are rows.",
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = _embeddings(size, rng)
        path = Path(folder, "part.npy")
        np.save(path, rows, allow_pickle=False)
        _pass(topic, rows, path, rng)
    _duplicates(topic, rng, size=3_000 if quick else 20_000, copies=200)
    return topic


if __name__ == "__main__":
    main(measure)
