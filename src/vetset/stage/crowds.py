"""Too many records near one seed: its copies, all of them; its neighbours, k of them; what only collapsed, counted.

Networks give blank and flat pictures, or whatever they cannot tell apart, one and the same vector. Thousands of equal
vectors are also what a picture looks like that was copied thousands of times. Bytes and PDQ tell the two apart:

    equal vector, and bytes or PDQ agree                a copy: returned, beside the k
    equal vector, other pictures or flat, many unlike   collapsed: left out and counted, undecided
    all else                                            a neighbour: the k nearest are returned

Many unlike means that there are at least so many pictures at the point that are copies neither of the seed nor of each
other: a picture mirrored a thousand times is one of these, not a thousand. Where PDQ says nothing at all, as in
a table of metadata, nothing is called collapsed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vetset.case.nearness import CrowdedSeed, Crowding
from vetset.model.dataset import RecordId
from vetset.model.errors import CountError
from vetset.model.policy import Policy
from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex
from vetset.stage.hits import SAME_POINT, Hits
from vetset.stage.space import Space
from vetset.store.pictures import Pictures, Relation, all_pictures, pictures_at
from vetset.store.records import RecordTable

_PIECE = 32
"""Crowded seeds whose copies are looked up at once: bounds the pairs of a batch that is full of copies."""
_ROUNDING = 1e-7
"""What a cosine of vectors scaled to length 1 in single precision may be off by: so near to the threshold, the search
alone says who passes."""


@dataclass(frozen=True, slots=True)
class _Counts:
    """What became of the records within the threshold of one seed; see `CrowdedSeed`."""

    within: int
    copies: int
    others: int
    collapsed: int
    beyond: int

    def named(self, seed: RecordId) -> CrowdedSeed:
        return CrowdedSeed(seed, self.within, self.copies, self.others, self.collapsed, self.beyond)


def without_themselves(hits: Hits, seeds: NDArray[np.int64]) -> Hits:
    """The hits without each seed's own vector; `seeds` are the numbers of their records."""
    others = hits.where(hits.number != seeds[hits.seed])
    return Hits(others.seed, others.number, others.similarity, hits.within - 1)


def _runs(hits: Hits) -> Iterator[tuple[int, slice]]:
    """Every seed, and where its hits lie."""
    ends = np.searchsorted(hits.seed, np.arange(len(hits.within) + 1))
    for seed in range(len(hits.within)):
        yield seed, slice(int(ends[seed]), int(ends[seed + 1]))


def _are_many(pictures: Pictures, numbers: NDArray[np.int64], distance: int, enough: int) -> bool:
    """Whether there are so many pictures among these records that are no copies of each other."""
    rows = pictures.rows(numbers)
    flat = rows[~pictures.codes.present[rows]]
    digests = pictures.digests
    known = flat[digests.present[flat]]
    count = len(flat) - len(known) + len(np.unique(digests.values[known], axis=0))
    left = pictures.codes.values[rows[pictures.codes.present[rows]]]
    while len(left) and count < enough:
        left = left[np.bitwise_count(left ^ left[0]).sum(axis=1, dtype=np.int64) > distance]
        count += 1
    return count >= enough


def _with_all_copies(
    hits: Hits, seeds: NDArray[np.int64], space: Space, table: RecordTable, *, policy: Policy, threshold: float
) -> Hits:
    """The hits, and of seeds that have more than the search keeps every copy by bytes or PDQ within the threshold."""
    seen = np.bincount(hits.seed, minlength=len(seeds))
    full = np.flatnonzero(hits.within > seen)
    if not len(full):
        return hits
    asked = pictures_at(table, seeds[full])
    seed, number = _copies_of(asked, table, policy.match.pdq_radius)
    position = np.searchsorted(seeds, asked.numbers[seed])
    fresh = ~np.isin(_keys(position, number), _keys(hits.seed, hits.number)) & (number != seeds[position])
    position, number = position[fresh], number[fresh]
    places = space.places(np.unique(np.concatenate([number, seeds[full]])))
    usable = np.isin(number, np.array(list(places), np.int64))
    position, number = position[usable], number[usable]
    mine = {int(each): _unit(space, [places[int(seeds[each])]])[0] for each in np.unique(position)}
    theirs = _unit(space, [places[each] for each in number.tolist()])
    similarity = np.array([mine[each] @ theirs[row] for row, each in enumerate(position.tolist())], np.float64)
    near = similarity >= threshold + _ROUNDING
    return _ordered(
        np.concatenate([hits.seed, position[near]]),
        np.concatenate([hits.number, number[near]]),
        np.concatenate([hits.similarity, similarity[near]]),
        hits.within,
    )


def _keys(seed: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for a seed's position (below 2**22) and a record."""
    return (seed << 41) | number


def _unit(space: Space, places: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    vectors = space.vectors(places).astype(np.float64)
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _ordered(
    seed: NDArray[np.int64], number: NDArray[np.int64], similarity: NDArray[np.float64], within: NDArray[np.int64]
) -> Hits:
    order = np.lexsort((number, -similarity, seed))
    return Hits(seed[order], number[order], similarity[order], within)


def _copies_of(asked: Pictures, table: RecordTable, distance: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every record that is a copy of one of these by bytes or PDQ: the row in `asked` of one of them, and its number.

    One, not all: seeds that are themselves copies of one picture would make a square of pairs out of its copies.
    """
    pieces = []
    for start in range(0, len(asked.numbers), _PIECE):
        piece = np.arange(start, min(start + _PIECE, len(asked.numbers)))
        coded, digested = piece[asked.codes.present[piece]], piece[asked.digests.present[piece]]
        codes, digests = HammingIndex(asked.codes.values[coded]), DigestIndex(asked.digests.values[digested])
        pieces.append((coded, codes, digested, digests))
    seeds, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for batch in all_pictures(table):
        owner = np.full(len(batch.numbers), -1, np.int64)
        for coded, codes, digested, digests in pieces:
            rows = np.flatnonzero((owner < 0) & batch.codes.present)
            query, entry, _ = codes.join(np.ascontiguousarray(batch.codes.values[rows]), distance)
            owner[rows[query]] = coded[entry]
            rows = np.flatnonzero((owner < 0) & batch.digests.present)
            query, entry = digests.join(np.ascontiguousarray(batch.digests.values[rows]))
            owner[rows[query]] = digested[entry]
        seeds.append(owner[owner >= 0])
        numbers.append(batch.numbers[owner >= 0])
    return np.concatenate(seeds), np.concatenate(numbers)


def _kept(
    hits: Hits, relation: NDArray[np.uint8], pictures: Pictures, policy: Policy
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[_Counts]]:
    """Which hits are returned, which are left out as collapsed, and what became of each seed's."""
    rules = policy.expand
    kept, lost = np.zeros((2, len(hits.number)), np.bool_)
    counts = []
    for seed, run in _runs(hits):
        copied = relation[run] == Relation.COPY
        point = hits.similarity[run] >= SAME_POINT
        fallen = point & np.isin(relation[run], (Relation.OTHER, Relation.FLAT))
        if fallen.sum() < rules.collapsed_from or not _are_many(
            pictures, hits.number[run][fallen], policy.match.pdq_radius, rules.collapsed_from
        ):
            fallen[:] = False
        others = ~copied & ~fallen
        others &= np.cumsum(others) <= rules.k
        kept[run] = copied | others
        lost[run] = fallen
        copies, more, collapsed = int(copied.sum()), int(others.sum()), int(fallen.sum())
        within = int(hits.within[seed])
        counts.append(_Counts(within, copies, more, collapsed, within - copies - more - collapsed))
    return kept, lost, counts


def sorted_out(
    hits: Hits, seeds: NDArray[np.int64], space: Space, table: RecordTable, *, policy: Policy, threshold: float
) -> tuple[Hits, Crowding]:
    """What of the hits are candidates, and where they crowd.

    Args:
        hits: records at or above the threshold, the seeds themselves not among them.
        seeds: int64 (s,) ascending: the seeds' records.
        space: the vectors.
        table: the records.
        policy: k, what is a crowd, what PDQ calls a copy.
        threshold: least cosine.

    Raises:
        CountError: a part of the store is damaged or missing, or a crowd's counts do not add up.
    """
    hits = _with_all_copies(hits, seeds, space, table, policy=policy, threshold=threshold)
    seen = np.bincount(hits.seed, minlength=len(seeds))
    # only where it makes a difference: a point in question, or more than k
    asked = (hits.similarity >= SAME_POINT) | (seen > policy.expand.k)[hits.seed]
    pictures = pictures_at(table, np.concatenate([seeds[hits.seed[asked]], hits.number[asked]]))
    relation = np.full(len(hits.number), Relation.UNKNOWN, np.uint8)
    relation[asked] = pictures.relations(seeds[hits.seed[asked]], hits.number[asked], policy.match.pdq_radius)
    kept, fallen, counts = _kept(hits, relation, pictures, policy)
    if any(count.beyond < 0 for count in counts):
        raise CountError("the neighbours of a seed do not add up", expected="no more than lie within the threshold")
    crowded = [place for place, count in enumerate(counts) if count.collapsed or count.beyond]
    names = table.records(seeds[crowded])
    told = tuple(counts[place].named(name) for place, name in zip(crowded, names, strict=True))
    returned = hits.where(kept)
    hubs, most = _hubs(returned, seeds, space, threshold, policy.expand.hub_seeds)
    collapsed = len(np.setdiff1d(hits.number[fallen], returned.number))
    return returned, Crowding(told, collapsed, hubs, most)


def _hubs(hits: Hits, seeds: NDArray[np.int64], space: Space, threshold: float, least: int) -> tuple[int, int]:
    """How many records lie near so many seeds that are not near each other, and the most such seeds of one."""
    _, record, times = np.unique(hits.number, return_inverse=True, return_counts=True)
    asked = times[record] >= least
    if not asked.any():
        return 0, 0
    involved = np.unique(hits.seed[asked])
    group = _groups(space, seeds[involved], threshold)
    pair = np.unique(np.stack([record[asked], group[np.searchsorted(involved, hits.seed[asked])]]), axis=1)
    unlike = np.bincount(pair[0])
    hubs = unlike >= least
    return int(hubs.sum()), int(unlike[hubs].max(initial=0))


def _groups(space: Space, seeds: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """The group of each seed, int64 (s,): those within the threshold of the first that is in no group yet."""
    places = space.places(seeds)
    vectors = _unit(space, [places[number] for number in seeds.tolist()])
    group = np.full(len(seeds), -1, np.int64)
    for first in range(len(seeds)):
        if group[first] < 0:
            near = vectors @ vectors[first] >= threshold
            near[first] = True
            group[near & (group < 0)] = first
    return group
