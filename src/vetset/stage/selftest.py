"""The self-test of a search: what is known to be there must be found, before anybody says that nothing is.

Three things are searched for: the known pictures among ten thousand other values, by every way that there is; entries
of the very lists, in the very indexes that the records were held against; and planted vectors among random ones. The
entries are drawn anew each time from the system's random numbers, and nobody is told which.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vetset.model.errors import CountError
from vetset.model.hashlist import Entries
from vetset.model.signal import BYTE_KINDS, Kind, Variant
from vetset.search.hamming import MOST_RADIUS, HammingIndex
from vetset.search.linear import nearest as linear_nearest
from vetset.signal.canaries import canaries
from vetset.stage.hits import hits_near
from vetset.stage.match import Joined, ListMatcher, Matcher
from vetset.stage.space import Space, aligned_space
from vetset.store.columns import Values

SAMPLE = 256
"""Entries of an index that are searched for."""
OTHERS = 10_000
"""Random values among which the known pictures are searched."""
_PAIRS = 1 << 21
"""Pairs that the sample may bring, about: of a list whose entries lie close together, a smaller one is searched for."""

_PLANTED = 16
_ROWS = 2048
_COMPONENTS = 1 << 20
_NEAR = 0.95

_ANEW = "Install vetset and what it needs anew on this machine, and look at its memory"


@dataclass(frozen=True, slots=True)
class Found:
    """What a self-test came to.

    Attributes:
        tried: indexes, or vectors, that found what they hold.
        failed: the others, in words without a value.
    """

    tried: int
    failed: tuple[str, ...] = ()


def index_test(matcher: ListMatcher) -> Found:
    """Whether every index finds a sample of its own entries, and the known pictures among others.

    Args:
        matcher: as the records were held against it.
    """
    failed = [
        f"list {name}, {index.entries.kind}: its index does not find its own entries. "
        f"{_ANEW}; then audit into another folder, or recheck."
        for name, index in matcher.matchers
        if not finds_its_own(index)
    ]
    return Found(len(matcher.matchers) - len(failed), (*kernel_faults(), *failed))


def finds_its_own(index: Matcher) -> bool:
    """Whether a random sample of an index's entries is found, as it is and with some bits changed, and nothing else.

    The pairs among the sample must be those of a linear scan; every other pair must be one.
    """
    entries = index.entries
    if not len(entries):
        return True
    random = np.random.default_rng(secrets.randbits(128))
    rows = np.sort(random.choice(len(entries), min(SAMPLE, len(entries)), replace=False))
    exact = np.ascontiguousarray(entries.values[rows])
    if index.radius == 0:
        return _found(index, exact, rows)
    alike = moved if entries.kind is Kind.PHOTODNA else changed
    return _found(index, np.concatenate([exact, alike(exact, index.radius, random)]), np.tile(rows, 2))


def moved(vectors: NDArray[np.uint8], most: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """The same vectors, uint8 (n, d), each with 1 to `most` components changed by one."""
    found = vectors.copy()
    for row, count in enumerate(random.integers(1, min(most, vectors.shape[1]), len(vectors), endpoint=True).tolist()):
        columns = random.choice(vectors.shape[1], count, replace=False)
        found[row, columns] ^= 1
    return found


def changed(codes: NDArray[np.uint8], radius: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """The same codes, uint8 (n, 32), each with 1 to `radius` bits changed."""
    bits = np.unpackbits(codes, axis=1)
    for row, count in enumerate(random.integers(1, radius, len(codes), endpoint=True).tolist()):
        bits[row, random.choice(bits.shape[1], count, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def _found(index: Matcher, queries: NDArray[np.uint8], rows: NDArray[np.int64]) -> bool:
    """Whether the index finds of these queries what a linear scan over the rows they were drawn from finds.

    Args:
        index: the index.
        queries: uint8 (q, width).
        rows: int64 (q,): which entry each comes from.
    """
    values, sample = index.entries.values, np.unique(rows)
    distance = _apart(queries[:, None], values[sample][None], index.entries.kind)
    expected = distance <= index.radius
    # of a list whose entries lie close together, every query brings many pairs
    share = np.count_nonzero(expected) / expected.size
    most = max(2, int(_PAIRS / (share * len(values))))
    kept = slice(None, None, -(-len(queries) // most))
    part, wanted = np.ascontiguousarray(queries[kept]), expected[kept]
    return all(_right(joined, part, wanted, index, sample) for joined in _each_way(index, part))


def _each_way(index: Matcher, queries: NDArray[np.uint8]) -> Iterator[Joined]:
    yield from index.join((Values(queries, np.ones(len(queries), np.bool_)),), (Variant.STORED,))
    probed = index.probe(queries)
    if probed is not None:
        yield probed


def _right(
    joined: Joined,
    queries: NDArray[np.uint8],
    expected: NDArray[np.bool_],
    index: Matcher,
    sample: NDArray[np.int64],
) -> bool:
    """Whether pairs are true, come once, and are those of the linear scan among the sample, bool (q, sample)."""
    values = index.entries.values
    if len(joined.entry) and not 0 <= joined.entry.min() <= joined.entry.max() < len(values):
        return False
    apart = _apart(queries[joined.row], values[joined.entry], index.entries.kind)
    if not np.array_equal(apart, joined.distance) or np.any(apart > index.radius):
        return False
    place = np.minimum(np.searchsorted(sample, joined.entry), len(sample) - 1)
    mine = sample[place] == joined.entry
    seen = np.zeros(expected.shape, np.int64)
    np.add.at(seen, (joined.row[mine], place[mine]), 1)
    return np.array_equal(seen, expected.astype(np.int64))


def _apart(one: NDArray[np.uint8], other: NDArray[np.uint8], kind: Kind) -> NDArray[np.int64]:
    """Bits that differ, along the last axis; of PhotoDNA, the squared distance."""
    if kind is Kind.PHOTODNA:
        squares: NDArray[np.int64] = ((one.astype(np.int32) - other) ** 2).sum(axis=-1, dtype=np.int64)
        return squares
    counted: NDArray[np.int64] = np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.int64)
    return counted


@cache
def kernel_faults() -> tuple[str, ...]:
    """Which kinds of search do not find the known pictures among ten thousand other values; once in a process."""
    faults = []
    for kind in (*BYTE_KINDS, Kind.PDQ):
        index, codes, places = _hidden(kind)
        found = _found(index, codes, places)
        if kind is Kind.PDQ:
            found = found and _every_way(index, codes, places)
        if not found:
            faults.append(f"the search by {kind} does not find the known pictures. {_ANEW}, and audit anew.")
    return tuple(faults)


def _hidden(kind: Kind) -> tuple[Matcher, NDArray[np.uint8], NDArray[np.int64]]:
    """An index of the known pictures' values among others, the values, and where they are."""
    if kind is Kind.PDQ:
        known = [canary.pdq[Variant.STORED] for canary in canaries() if Variant.STORED in canary.pdq]
    else:
        known = [canary.digests[kind] for canary in canaries()]
    codes = np.frombuffer(b"".join(known), np.uint8).reshape(-1, kind.width)
    random = np.random.default_rng(len(codes))
    values = random.integers(0, 256, (OTHERS + len(codes), kind.width), dtype=np.uint8)
    places = np.sort(random.choice(len(values), len(codes), replace=False))
    values[places] = codes
    columns = np.zeros(len(values), np.uint8)
    ids = np.arange(len(values)).astype(np.bytes_)
    entries = Entries(kind, values, ids, columns, columns + np.uint8(1))
    return Matcher(entries, MOST_RADIUS), codes, places


def _every_way(index: Matcher, codes: NDArray[np.uint8], places: NDArray[np.int64]) -> bool:
    """Whether each way to join codes finds these, with some bits changed, and all ways find the same."""
    queries = changed(codes, MOST_RADIUS, np.random.default_rng(0))
    search = HammingIndex(index.entries.values)
    expected = _apart(queries[:, None], codes[None], Kind.PDQ) <= MOST_RADIUS
    for way in ("brute", "bands", "probe"):
        query, entry, distance = search.join(queries, MOST_RADIUS, way=way)
        joined = Joined(query, entry, distance.astype(np.int64), Variant.STORED)
        if not _right(joined, queries, expected, index, places):
            return False
    return True


def vector_test(space: Space) -> Found:
    """Whether the search for neighbours finds planted vectors among random ones, of the dimension and types of a space.

    Args:
        space: what is searched; nothing of it is read.
    """
    found, failed = 0, []
    for dtype in sorted({block.dtype for block in space.blocks}, key=str):
        if _finds_planted(space.dimension, dtype):
            found += _PLANTED
        else:
            failed.append(
                f"the search for neighbours does not find planted vectors ({dtype}). {_ANEW}, and audit anew."
            )
    return Found(found, tuple(failed))


def require_vectors(space: Space) -> None:
    """Refuse to search where planted vectors are not found.

    Raises:
        CountError: they are not.
    """
    failed = vector_test(space).failed
    if failed:
        raise CountError("the self-test of the search failed: nothing is searched", seen=failed[0])


def _finds_planted(dimension: int, dtype: "np.dtype[Any]") -> bool:
    """Whether vectors near to some seeds are found, and what is found is what the definition says."""
    random = np.random.default_rng([dimension, dtype.itemsize])
    rows = min(_ROWS, max(4 * _PLANTED, _COMPONENTS // dimension))
    drawn = random.standard_normal((rows, dimension))
    seeds = random.standard_normal((_PLANTED, dimension))
    seeds /= np.linalg.norm(seeds, axis=1, keepdims=True)
    places = random.choice(rows, _PLANTED, replace=False)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn[places] = seeds * (1 + 0.05 * random.standard_normal(seeds.shape))
    vectors = _of_type(drawn, dtype)
    half = rows // 2
    blocks = [vectors[:half], vectors[half:]]
    searched = aligned_space(blocks, [range(half), range(half, rows)], rows)
    asked = seeds.astype(np.float32)
    hits = hits_near(searched, asked, rows, _NEAR)
    similarity, block, row = linear_nearest(asked, blocks, rows, "cosine")
    near = similarity >= _NEAR
    expected = (np.nonzero(near)[0], (block * half + row)[near], similarity[near])
    planted = set(zip(range(_PLANTED), places.tolist(), strict=True))
    return planted <= set(zip(hits.seed.tolist(), hits.number.tolist(), strict=True)) and all(
        np.array_equal(one, other)
        for one, other in zip((hits.seed, hits.number, hits.similarity), expected, strict=True)
    )


def _of_type(vectors: NDArray[np.float64], dtype: "np.dtype[Any]") -> NDArray[Any]:
    """The same directions in another type; of whole numbers, the greatest component is 127."""
    if dtype.kind == "f":
        return vectors.astype(dtype)
    scaled = vectors * (127 / np.abs(vectors).max(axis=1, keepdims=True))
    whole: NDArray[Any] = np.rint(scaled).astype(dtype)
    return whole
