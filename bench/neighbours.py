"""Topic: the 100 most similar rows for some seeds, from memory and from the disk; and clusters of duplicates."""

import logging
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import autofaiss
import faiss
import numpy as np
from bench.figures import Row, Table, Topic, cpu_seconds, in_turns, main, rate, wall_seconds
from numpy.typing import NDArray

from vetset.dataset.embeddings.npy import npy_rows
from vetset.search.nearest import Neighbours, nearest

_DIMENSION = 512
_K = 100
_FEW = (1, 16, 64, 256)
_MANY = (1_024, 4_096)
_CENTRES = 2_000
_LARGER = (64, 256, 1_024)
_CHUNK = 8_192
_CLUSTERS = (1, 10, 200, 1_000)
_NEAR = 0.9
_LAION = 5_850_000_000, 768
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


def _ours(seeds: Floats, path: Path, threads: int = 1) -> Neighbours:
    return nearest(seeds, [npy_rows(path, "part 0")], _K, threads=threads)


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


def _flat(rows: Halves) -> Any:
    flat = faiss.IndexFlatIP(rows.shape[1])
    for start in range(0, len(rows), _CHUNK):
        flat.add(rows[start : start + _CHUNK].astype(np.float32))
    return flat


def _pass(topic: Topic, rows: Halves, path: Path, rng: np.random.Generator) -> None:
    flat = _flat(rows)
    seeds = rows[rng.choice(len(rows), min(len(rows), _MANY[-1]), replace=False)].astype(np.float32)
    shipped = faiss.cvar.distance_compute_blas_threshold
    for count in (*_FEW, *_MANY):
        asked = seeds[:count]
        ways: dict[str, Callable[[], object]] = {
            "vetset.nearest": partial(_ours, asked, path),
            _FLAT: partial(_search, flat, asked, shipped),
        }
        if count in _FEW:
            ways |= {_TUNED: partial(_search, flat, asked, 1), _NAIVE: partial(_naive, asked, path)}
        once = count == _MANY[-1]
        seconds = in_turns(ways, 1 if once else 3, warm=not once)
        topic.tables.append(
            Table(
                f"The {_K} most similar of {len(rows):,} rows, {len(asked):,} seed{'s' * (count > 1)}",
                f"Inside: vetset and NumPy read the float16 .npy file from the page cache in each pass ({_DIMENSION}"
                " columns, inner product), vetset with 1 thread that reads and 1 that computes; faiss has a float32"
                " copy of all rows in memory (twice the size), built before; as shipped it takes few seeds one by one,"
                " so it is also shown with its BLAS path forced. All seeds in one call.",
                "million rows/s/core",
                "more",
                [Row(way, rate(taken, len(rows), 1e6), _PEERS.get(way, ""), once) for way, taken in seconds.items()],
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


def _larger(topic: Topic, rng: np.random.Generator, *, size: int) -> None:
    """The same over more rows: what a seed costs whatever the rows are (its best k of the first ones) weighs less."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _embeddings(size, rng)
        path = Path(folder, "part.npy")
        np.save(path, rows, allow_pickle=False)
        flat = _flat(rows)
        seeds = rows[rng.choice(size, _LARGER[-1], replace=False)].astype(np.float32)
        del rows
        for count in _LARGER:
            asked = seeds[:count]
            ways: dict[str, Callable[[], object]] = {
                "vetset.nearest": partial(_ours, asked, path),
                _TUNED: partial(_search, flat, asked, 1),
            }
            once = count == _LARGER[-1]
            seconds = in_turns(ways, 1 if once else 3, warm=False)
            topic.tables.append(
                Table(
                    f"The {_K} most similar of {size:,} rows, {count:,} seeds",
                    "As above, over more rows; faiss with its BLAS path forced.",
                    "million rows/s/core",
                    "more",
                    [Row(way, rate(taken, size, 1e6), _PEERS.get(way, ""), once) for way, taken in seconds.items()],
                )
            )


def _cold(path: Path) -> None:
    """Take a file out of the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _plain(path: Path) -> None:
    """What the disk gives to one thread that only reads."""
    room = bytearray(4 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(room):
            pass


def _from_disk(topic: Topic, rows: Halves, path: Path) -> dict[int, float]:
    """Wall time of a pass over a file that is in no cache; returns its GB/s for each number of seeds."""
    threads = len(os.sched_getaffinity(0))

    def first(way: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            _cold(path)
            way()

        return run

    names = {count: f"vetset.nearest, {count} seed{'s' * (count > 1)}" for count in _FEW}
    ways = {
        name: first(partial(_ours, rows[:count].astype(np.float32), path, threads)) for count, name in names.items()
    }
    limit = "the machine's limit: plain reads of 4 MiB, nothing computed"
    seconds = in_turns({**ways, limit: first(partial(_plain, path))}, 3, clock=wall_seconds)
    size = path.stat().st_size
    topic.tables.append(
        Table(
            f"One pass over {len(rows):,} rows from the disk",
            f"Wall time, {threads} threads that compute and one that reads; the file is taken out of the page cache"
            " before each pass.",
            "GB/s",
            "more",
            [Row(way, rate(taken, size, 1e9)) for way, taken in seconds.items()],
        )
    )
    return {count: statistics.median(rate(seconds[name], size, 1e9)) for count, name in names.items()}


def _projected(topic: Topic, passes: dict[int, float], rng: np.random.Generator, *, size: int) -> None:
    """What LAION-5B's picture embeddings would take at the rates of this machine."""
    total, dimension = _LAION
    rows = rng.standard_normal((size, dimension), dtype=np.float32).astype(np.float16)
    width = total * dimension * 2
    what = f"{total / 1e9:.2f} billion × {dimension} float16 ({width / 1e12:.1f} TB)"
    for count in (*_FEW, _MANY[0]):
        seeds = rows[:count].astype(np.float32)
        nearest(seeds, [rows[:_CHUNK]], _K)
        each = statistics.median(cpu_seconds(lambda seeds=seeds: nearest(seeds, [rows], _K)) for _ in range(3)) / size
        hours = total * each / 3_600
        seen = f"{hours:,.1f} core-hours"
        if count in passes:
            wall = width / passes[count] / 1e9 / 3_600
            seen += f"; {wall:,.1f} hours at the {passes[count]:.2f} GB/s of the pass from this machine's disk"
        rate_seen = f"{count:,} seed{'s' * (count > 1)}, at {1 / each / 1e6:.2f} million rows/s/core"
        topic.checks.append((f"projected: {what}, {rate_seen}", seen))


def _duplicates(topic: Topic, rng: np.random.Generator, *, size: int) -> None:
    """How much of clusters of identical rows each way finds when it is asked with one of them."""
    rows = _embeddings(size, rng)
    places = np.split(rng.choice(size, sum(_CLUSTERS), replace=False), np.cumsum(_CLUSTERS)[:-1])
    for cluster in places:
        rows[cluster] = rows[cluster[0]]
    wide = rows.astype(np.float32)
    seeds = wide[[cluster[0] for cluster in places]]

    def told(found: Sequence[NDArray[Any]]) -> str:
        return ", ".join(
            f"{len(set(cluster.tolist()) & set(each.tolist()))} of {len(cluster):,}"
            for cluster, each in zip(places, found, strict=True)
        )

    def within(index: Any) -> list[NDArray[np.int64]]:
        return [index.range_search(seed[None], _NEAR)[2] for seed in seeds]

    what = f"clusters of identical rows among {size:,}, found by"
    wanted = ", ".join(f"{len(cluster)} of {len(cluster):,}" for cluster in places)
    for name, k, least in (
        ("vetset.nearest, k = 2,000", 2_000, -np.inf),
        (f"vetset.nearest within {_NEAR}", None, _NEAR),
    ):
        mine = nearest(seeds, [rows], k, least=least, metric="cosine")
        seen = told([mine.row[mine.seed == seed] for seed in range(len(seeds))])
        topic.holds(f"{what} {name}", seen, true=seen == wanted)
    graph = faiss.index_factory(_DIMENSION, "HNSW32,Flat", faiss.METRIC_INNER_PRODUCT)
    lists = faiss.index_factory(_DIMENSION, "IVF512,Flat", faiss.METRIC_INNER_PRODUCT)
    lists.train(wide)
    for index in (graph, lists):
        index.add(wide)
    built, about = autofaiss.build_index(wide, save_on_disk=False, metric_type="ip", nb_cores=1, verbose=logging.ERROR)
    default = f"autofaiss' default index ({about['index_key']}, {about['index_param']})"
    for name, index in ((default, built), ("faiss HNSW32", graph), ("faiss IVF512, 1 list", lists)):
        topic.checks += [
            (f"{what} {name}, k = 2,000", told(list(index.search(seeds, 2_000)[1]))),
            (f"{what} {name}, all within {_NEAR}", told(within(index))),
        ]


def measure(*, quick: bool) -> Topic:
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(3)
    size = 20_000 if quick else 400_000
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
        passes = _from_disk(topic, rows, path)
    _larger(topic, rng, size=4 * size)
    _projected(topic, passes, rng, size=size // 2)
    _duplicates(topic, rng, size=20_000)
    return topic


if __name__ == "__main__":
    main(measure)
