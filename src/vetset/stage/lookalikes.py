"""What lies near each other in a dataset and is the same picture, and what lies near and is not.

Known near-duplicates are found by PDQ alone, and look-alikes by vectors alone with PDQ to tell copies apart, so that
each says something of the other. Both start from a sample of records that the dataset's digest fixes, never from what
was found. The cost is bounded by the sample: PDQ hashes pass once, vectors pass once, whatever the dataset.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vetset.model.policy import MatchPolicy
from vetset.search.hamming import HammingIndex
from vetset.stage.hits import hits_near
from vetset.stage.space import Space, Vectors
from vetset.store.pictures import Pictures, Relation, all_pictures, pictures_at
from vetset.store.records import RecordTable

_DEPTH = 64
"""Nearest records among which a look-alike is looked for."""
_PARTNERS = 4
"""Near-duplicates of a record that are held, should the first have no vector."""
_PIECE = 256
"""Records of the sample that are compared at once, so that a sample of copies alone is no square of pairs."""


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Disjoint pairs of pictures that PDQ confirms and whose bytes differ, one for each group of copies.

    Attributes:
        similarity: float64 (n,), ascending: their cosines.
        without_vector: groups of which no such pair has two vectors of its own.
        exact: pairs of equal bytes that were met.
    """

    similarity: NDArray[np.float64]
    without_vector: int
    exact: int


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """The most similar other picture of each record of a sample.

    Attributes:
        similarity: float64 (n,), ascending.
        hidden: records of which none was found.
    """

    similarity: NDArray[np.float64]
    hidden: int


def _one_of_each(sample: Pictures, order: NDArray[np.int64], distance: int) -> Pictures:
    """Records of a sample no two of which are near, the first in this order of each group."""
    kept: list[int] = []
    for start in range(0, len(order), _PIECE):
        piece = order[start : start + _PIECE]
        if kept:
            near, _, _ = HammingIndex(sample.codes.values[kept]).join(sample.codes.values[piece], distance)
            piece = np.delete(piece, near)
        own, other, _ = HammingIndex(sample.codes.values[piece]).join(sample.codes.values[piece], distance)
        fresh: set[int] = set()
        earlier: dict[int, set[int]] = {}
        for one, two in zip(own.tolist(), other.tolist(), strict=True):
            if two < one:
                earlier.setdefault(one, set()).add(two)
        for place in range(len(piece)):
            if not earlier.get(place, set()) & fresh:
                fresh.add(place)
        kept += piece[sorted(fresh)].tolist()
    return sample.at(np.array(sorted(kept), np.int64))


def _mixed(numbers: NDArray[np.int64], seed: str) -> NDArray[np.uint64]:
    """A number for each record in no order that a dataset could have been arranged for (splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(int(seed[:16], 16))
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _partners(table: RecordTable, probes: Pictures, match: MatchPolicy, seed: str) -> tuple[NDArray[np.int64], int]:
    """A few near-duplicates of each probe, int64 (n, 2) of probe's row and record, best first; exact copies met."""
    index = HammingIndex(probes.codes.values)
    held = np.zeros((0, 2), np.int64)
    exact = 0
    for batch in all_pictures(table):
        asked = np.flatnonzero(batch.codes.present & (batch.quality >= match.confirm_quality))
        query, probe, _ = index.join(np.ascontiguousarray(batch.codes.values[asked]), match.confirm_distance)
        row = asked[query]
        digests = probes.digests
        equal = batch.digests.present[row] & digests.present[probe]
        equal &= (batch.digests.values[row] == digests.values[probe]).all(axis=1)
        other = batch.numbers[row] != probes.numbers[probe]
        exact += int(np.count_nonzero(equal & other))
        fresh = np.stack([probe, batch.numbers[row]], axis=1)[other & ~equal]
        held = np.concatenate([held, fresh])
        held = held[np.lexsort((_mixed(held[:, 1], seed), held[:, 0]))]
        rank = np.arange(len(held)) - np.searchsorted(held[:, 0], held[:, 0])
        held = held[rank < _PARTNERS]
    return held, exact


def near_duplicates(
    table: RecordTable, space: Space, sample: NDArray[np.int64], match: MatchPolicy, seed: str
) -> NearDuplicates:
    """Known near-duplicates of a sample of records among all records.

    Args:
        table: the records.
        space: the vectors.
        sample: int64 (n,) numbers of records that have a vector, in random order.
        match: at which distance and quality PDQ confirms.
        seed: hex digest that fixes which of several near-duplicates is taken.
    """
    pictures = pictures_at(table, sample)
    order = pictures.rows(sample)
    usable = pictures.codes.present & (pictures.quality >= match.confirm_quality)
    probes = _one_of_each(pictures, order[usable[order]], match.confirm_distance)
    if not len(probes.numbers):
        return NearDuplicates(np.zeros(0), 0, 0)
    held, exact = _partners(table, probes, match, seed)
    found = space.vectors(np.unique(np.concatenate([probes.numbers, held[:, 1]])))
    row_of = {number: row for row, number in enumerate(found.numbers.tolist())}
    taken: set[int] = set()
    pairs: list[tuple[int, int]] = []
    done = -1
    for probe, number in held.tolist():
        mine = int(probes.numbers[probe])
        if probe == done or mine in taken or number in taken or number not in row_of:
            continue
        taken |= {mine, number}
        pairs.append((mine, number))
        done = probe
    rows = np.array([[row_of[number] for number in pair] for pair in pairs], np.int64).reshape(-1, 2)
    first, second = (found.vectors[rows[:, side]].astype(np.float64) for side in (0, 1))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    similarity = np.sort((first * second).sum(axis=1) / lengths)
    return NearDuplicates(similarity, len(np.unique(held[:, 0])) - len(pairs), exact)


def look_alikes(table: RecordTable, space: Space, sample: Vectors, distance: int) -> LookAlikes:
    """The most similar record, of each record of a sample, that PDQ calls another picture.

    A record that PDQ cannot compare is passed over: it may be a copy.

    Args:
        table: the records.
        space: the vectors.
        sample: the vectors of some records.
        distance: greatest Hamming distance of copies.
    """
    numbers = sample.numbers
    if not len(numbers):
        return LookAlikes(np.zeros(0), 0)
    hits = hits_near(space, sample.vectors, _DEPTH)
    pictures = pictures_at(table, np.concatenate([numbers, hits.number]))
    other = pictures.relations(numbers[hits.seed], hits.number, distance) == Relation.OTHER
    seeds, first = np.unique(hits.seed[other], return_index=True)
    return LookAlikes(np.sort(hits.similarity[other][first]), len(numbers) - len(seeds))
