"""Topic: 256-bit codes within 31 bits of a list, against ThreatExchange's default PDQ index and faiss' linear scan."""

import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import faiss
import numpy as np
from bench.figures import Row, Table, Topic, cpu_seconds, fitting, in_turns, main, per_item, rate
from numpy.typing import NDArray
from threatexchange.signal_type.pdq.pdq_index import PDQIndex

from vetset.demo.photographs import load_photographs
from vetset.search.hamming import HammingIndex
from vetset.signal.pdq import pdq

_RADIUS = 31
_PLANTED = 1_000
_BANDS = 16
_LEAST_QUALITY = 50
Codes = NDArray[np.uint8]


def _planted(codes: Codes, rng: np.random.Generator) -> tuple[Codes, NDArray[np.int64]]:
    """Queries within 31 bits of an entry each: random bits, and for every fourth the 31 that are hardest to find."""
    entries = rng.integers(len(codes), size=_PLANTED)
    bits = np.unpackbits(codes[entries], axis=1)
    for row in range(_PLANTED):
        if row % 4:
            flips = rng.permutation(256)[: rng.integers(_RADIUS + 1)]
        else:  # two in every band of 16 bits but the last, which has one
            flips = np.concatenate([16 * band + rng.permutation(16)[:2] for band in range(_BANDS)])[:_RADIUS]
        bits[row, flips] ^= 1
    return np.packbits(bits, axis=1), entries


def _recall(pairs: set[tuple[int, int]], entries: NDArray[np.int64]) -> str:
    return f"{sum((query, int(entry)) in pairs for query, entry in enumerate(entries))} of {len(entries)}"


def _asked(index: Any, queries: Codes) -> tuple[NDArray[Any], NDArray[Any]]:
    """Query and entry of all pairs that a faiss index finds; its radius is exclusive."""
    limits, _, found = index.range_search(queries, _RADIUS + 1)
    return np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64))), found


def _one_by_one(index: PDQIndex, texts: list[str]) -> set[tuple[int, int]]:
    return {(query, match.metadata) for query, text in enumerate(texts) for match in index.query(text)}


def _table(
    codes: Codes, batches: list[int], queries: Codes, texts: list[str], indexes: tuple[HammingIndex, PDQIndex, Any]
) -> Table:
    ours, peer, flat = indexes
    inner = peer.index.faiss_index
    asks: dict[str, tuple[str, Callable[[int], object]]] = {
        "threatexchange": ("PDQIndex.query, one hash a call", lambda n: _one_by_one(peer, texts[:n])),
        "the faiss index inside it": ("one batch", lambda n: _asked(inner, queries[:n])),
        "faiss Flat": ("IndexBinaryFlat.range_search, one batch", lambda n: _asked(flat, queries[:n])),
    }
    peers: dict[str, str] = {}
    counts = {f"vetset.HammingIndex.join, batch of {batch:,}": batch for batch in batches}
    ways: dict[str, Callable[[], object]] = {
        name: partial(ours.join, queries[:batch]) for name, batch in counts.items()
    }
    for batch in batches:
        fresh = f"the same, index built inside, batch of {batch:,}"
        counts[fresh] = batch
        ways[fresh] = lambda batch=batch: HammingIndex(codes).join(queries[:batch])
    for name, (how, ask) in asks.items():
        count = fitting(ask, batches[-1], 1.5)
        label = f"{name}, {how}, of {count:,} queries"
        peers[label] = name
        counts[label] = count
        ways[label] = partial(ask, count)
    seconds = in_turns(ways, 3)
    return Table(
        f"Hamming distance ≤ 31 against {len(codes):,} codes",
        "Inside: every pair, with distances. Outside: building the index, unless stated; reading lists; compiling."
        " 1 thread, everything in memory.",
        "queries/s",
        "more",
        [Row(way, rate(taken, counts[way]), peers.get(way, "")) for way, taken in seconds.items()],
    )


def _build(entries: list[tuple[str, int]], built: list[PDQIndex]) -> None:
    built.append(PDQIndex(entries))


def measure(*, quick: bool) -> Topic:
    faiss.omp_set_num_threads(1)
    large, huge = (50_000, 100_000) if quick else (1_000_000, 10_000_000)
    batches = [large, large // 10]
    topic = Topic(
        "Codes within a Hamming distance",
        "Uniform random codes of 256 bits; queries are random too, so that hits are rare, as in an audit. Real PDQ"
        " codes crowd more, which slows every index that uses buckets: one table compares vetset's join of both, and of"
        " uniform ones that have as many pairs to report.",
    )
    rng = np.random.default_rng(1)
    queries = rng.integers(256, size=(large, 32), dtype=np.uint8)
    texts = [code.tobytes().hex() for code in queries[: batches[-1]]]
    for size in (10_000, large):
        codes = rng.integers(256, size=(size, 32), dtype=np.uint8)
        entries = [(code.tobytes().hex(), position) for position, code in enumerate(codes)]
        built: list[PDQIndex] = []
        building = cpu_seconds(partial(_build, entries, built))
        ours, flat = HammingIndex(codes), faiss.IndexBinaryFlat(256)
        flat.add(codes)
        some = batches if size == large else batches[-1:]
        topic.tables.append(_table(codes, some, queries, texts, (ours, built[0], flat)))
        _check(topic, codes, (ours, built[0], flat), rng)
        if size == large:
            topic.tables.append(_building(codes, building))
            topic.checks.append(
                (f"memory of an index of {size:,} codes, beside them", f"{_beside(codes) / 1e6:.0f} MB")
            )
    topic.tables.append(_huge(huge, queries[: batches[-1]], rng))
    topic.tables.append(_skew(rng, 3.0 if quick else 60.0))
    topic.tables.append(_small_batches(codes, ours, queries))
    return topic


def _real(rng: np.random.Generator, seconds: float) -> Codes:
    """PDQ codes of tiles of the packages' photographs and their edits: mirrored, cropped, darkened, halved."""
    photographs = [photograph.rgb for photograph in load_photographs()]
    found: list[bytes] = []
    end = time.process_time() + seconds
    while time.process_time() < end:
        rgb = photographs[rng.integers(len(photographs))]
        side = int(rng.integers(64, min(*rgb.shape[:2], 160) + 1))
        top, left = (int(rng.integers(length - side + 1)) for length in rgb.shape[:2])
        tile = rgb[top : top + side, left : left + side]
        darker = (tile * 0.8 + 20).astype(np.uint8)
        for edit in (tile, tile[:, ::-1], tile[side // 20 :, side // 25 :], darker, tile[::2, ::2]):
            code, quality = pdq(edit)
            if quality >= _LEAST_QUALITY:
                found.append(code)
    codes = np.frombuffer(b"".join(found), np.uint8).reshape(-1, 32)
    return codes[rng.permutation(len(codes))]


def _beside(codes: Codes) -> int:
    """Bytes that an index holds beside the codes, which it does not copy, once it has answered by its bands."""
    tracemalloc.start()
    index = HammingIndex(codes)
    index.join(codes[:1], way="bands")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held if len(index) else 0


def _huge(size: int, queries: Codes, rng: np.random.Generator) -> Table:
    codes = rng.integers(256, size=(size, 32), dtype=np.uint8)
    index, flat = HammingIndex(codes), faiss.IndexBinaryFlat(256)
    flat.add(codes)
    index.join(queries)
    count = fitting(lambda n: _asked(flat, queries[:n]), len(queries), 1.5, probe=10)
    ours, peer = f"vetset.HammingIndex.join, batch of {len(queries):,}", f"faiss Flat, one batch, of {count:,} queries"
    ways: dict[str, Callable[[], object]] = {
        ours: partial(index.join, queries),
        peer: lambda: _asked(flat, queries[:count]),
    }
    seconds = in_turns(ways, 3, warm=False)
    rows = [Row(ours, rate(seconds[ours], len(queries))), Row(peer, rate(seconds[peer], count), "faiss Flat")]
    inside = "Inside: every pair, with distances. Outside: building the index. 1 thread, everything in memory."
    return Table(f"Hamming distance ≤ 31 against {size:,} codes", inside, "queries/s", "more", rows)


def _with_pairs_of(real: Codes, half: int, rng: np.random.Generator) -> tuple[Codes, int]:
    """Uniform codes of which as many pairs lie within the radius, at the same distances, as of the real ones."""
    query, entry, apart = HammingIndex(real[:half]).join(real[half : 2 * half])
    uniform = rng.integers(256, size=(2 * half, 32), dtype=np.uint8)
    rank = np.argsort(rng.random((len(query), 256)), axis=1).argsort(axis=1)
    near = np.packbits(np.unpackbits(uniform[entry], axis=1) ^ (rank < apart[:, None]), axis=1)
    uniform[half + np.arange(len(query)) % half] = near
    return uniform, len(query)


def _skew(rng: np.random.Generator, seconds: float) -> Table:
    real = _real(rng, seconds)
    half = len(real) // 2
    paired, pairs = _with_pairs_of(real, half, rng)
    uniform = rng.integers(256, size=(2 * half, 32), dtype=np.uint8)
    alike = f"uniform codes, with as many pairs at the same distances ({pairs:,})"
    ways: dict[str, Callable[[], object]] = {
        name: partial(HammingIndex(codes[:half]).join, codes[half : 2 * half])
        for name, codes in (("real codes", real), (alike, paired), ("uniform codes", uniform))
    }
    return Table(
        f"Hamming distance ≤ 31, {half:,} codes against {half:,}, real and uniform",
        f"Inside: every pair, with distances, by vetset.HammingIndex.join. Real: PDQ codes (quality ≥ {_LEAST_QUALITY})"
        " of tiles of the photographs that come with scikit-image and scikit-learn, 64 to 160 px, and of their edits:"
        " they hold near copies, so there are pairs to report. Outside: building the index. 1 thread.",
        "queries/s",
        "more",
        [Row(way, rate(taken, half)) for way, taken in in_turns(ways, 5).items()],
    )


def _small_batches(codes: Codes, index: HammingIndex, queries: Codes) -> Table:
    calls = 50
    ways: dict[str, Callable[[], object]] = {}
    for batch in (1, 10, 100):
        parts = [queries[batch * i : batch * (i + 1)] for i in range(calls)]
        ways[f"batch of {batch:,}, index sorted"] = lambda parts=parts: deque(map(index.join, parts), maxlen=0)
    brute = partial(index.join, way="brute")
    ways["batch of 1, compared with every code"] = lambda: deque(
        map(brute, (queries[i : i + 1] for i in range(calls))), 0
    )
    return Table(
        f"Small batches against {len(codes):,} codes",
        "Inside: every pair, with distances, by vetset.HammingIndex.join, one call a batch. An index that nobody has"
        " sorted yet compares with every code until that has cost as much as sorting. 1 thread.",
        "µs a call",
        "less",
        [Row(way, per_item(taken, calls)) for way, taken in in_turns(ways, 5).items()],
    )


def _check(topic: Topic, codes: Codes, indexes: tuple[HammingIndex, PDQIndex, Any], rng: np.random.Generator) -> None:
    """Recall of each on the same planted queries; vetset's pairs, all its ways, must be all that faiss Flat finds."""
    ours, peer, flat = indexes
    asked, planted = _planted(codes, rng)
    pairs = {
        "threatexchange": _one_by_one(peer, [code.tobytes().hex() for code in asked]),
        "faiss Flat": set(zip(*(column.tolist() for column in _asked(flat, asked)), strict=True)),
    }
    ways: tuple[Literal["brute", "bands", "probe"], ...] = ("brute", "bands", "probe")
    for way in ways:
        query, entry, _ = ours.join(asked, way=way)
        found = set(zip(query.tolist(), entry.tolist(), strict=True))
        claim = f"planted codes found among {len(codes):,} by vetset's {way}, and otherwise what faiss Flat finds"
        topic.holds(claim, _recall(found, planted), true=found == pairs["faiss Flat"])
    for who, found in pairs.items():
        topic.checks.append((f"planted codes found among {len(codes):,} by {who}", _recall(found, planted)))


def _building(codes: Codes, peer: float) -> Table:
    def flat() -> None:
        faiss.IndexBinaryFlat(256).add(codes)

    ways = {
        "vetset.HammingIndex, bands sorted": lambda: HammingIndex(codes).join(codes[:1], way="bands"),
        "faiss IndexBinaryFlat.add": flat,
    }
    rows = [Row(way, taken) for way, taken in in_turns(ways, 3).items()]
    return Table(
        f"Building an index of {len(codes):,} codes",
        "Inside: from codes in memory (threatexchange: from hexadecimal text, which is what it takes) to an index that"
        " answers; vetset's row contains one query. 1 thread.",
        "s",
        "less",
        [*rows, Row("threatexchange PDQIndex", [peer], once=True)],
    )


if __name__ == "__main__":
    main(measure)
