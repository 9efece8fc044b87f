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
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vetset.case.nearness import CrowdedSeed, Crowding
from vetset.model.dataset import RecordId
from vetset.model.errors import CountError
from vetset.model.policy import Policy
from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex
from vetset.stage.hits import SAME_POINT, Hits, joined
from vetset.stage.space import Space
from vetset.store.pictures import Pictures, Relation, all_pictures, pictures_at
from vetset.store.records import RecordTable

_PIECE = 32
"""Crowded seeds whose copies are looked up at once: bounds the pairs of a batch that is full of copies."""
_COPIES = 1 << 17
"""Copies of crowded seeds whose vectors are in memory at once."""
_ROUNDING = 1e-7
"""What a cosine of vectors scaled to length 1 in single precision may be off by: so near to the threshold, the search
alone says who passes."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The seeds of a search.

    Attributes:
        numbers: int64 (s,) ascending: their records.
        vectors: float32 (s, d), of length 1.
        threshold: least cosine.
    """

    numbers: NDArray[np.int64] = field(repr=False)
    vectors: NDArray[np.float32] = field(repr=False)
    threshold: float

    def at(self, rows: slice) -> "Searched":
        """Those in these rows."""
        return Searched(self.numbers[rows], self.vectors[rows], self.threshold)


@dataclass(frozen=True, slots=True)
class SortedOut:
    """What became of the hits of some seeds.

    Attributes:
        returned: what is a candidate.
        crowded: seeds of which not all was returned.
        collapsed: int64 (n,): records that were left out as collapsed, each once.
        lent: int64 (n,): copies beyond what the search keeps, each of which came with one of the seeds.
    """

    returned: Hits = field(repr=False)
    crowded: tuple[CrowdedSeed, ...]
    collapsed: NDArray[np.int64] = field(repr=False)
    lent: NDArray[np.int64] = field(repr=False)


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


def without_themselves(hits: Hits, seeds: Searched) -> Hits:
    """The hits without each seed's own vector."""
    others = hits.where(hits.number != seeds.numbers[hits.seed])
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


def _with_all_copies(  # noqa: PLR0917
    hits: Hits, seeds: Searched, space: Space, table: RecordTable, policy: Policy, lent: NDArray[np.int64]
) -> tuple[Hits, NDArray[np.int64]]:
    """The hits, and every copy by bytes or PDQ within the threshold of seeds that have more than the search keeps.

    A copy comes with one of these seeds, not with all: seeds that are themselves copies of one picture would make a
    square of pairs out of its copies.

    Returns:
        The hits, and the copies that came with these seeds, int64 (n,).
    """
    full = np.flatnonzero(hits.within > np.bincount(hits.seed, minlength=len(seeds.numbers)))
    # which copies these are must not be seen by whoever keeps the vectors: there, they count as beyond
    if not len(full) or space.watched:
        return hits, np.zeros(0, np.int64)
    number = _copies_of(pictures_at(table, seeds.numbers[full]), table, policy.match.pdq_radius)
    number = np.setdiff1d(number, lent, assume_unique=True)
    parts = [hits]
    for start in range(0, len(number), _COPIES):
        chunk = number[start : start + _COPIES]
        parts.append(_owned(chunk, full, seeds, space, table, distance=policy.match.pdq_radius))
    seed, number, similarity = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("seed", "number", "similarity")
    )
    own = np.concatenate([part.number for part in parts[1:]] or [np.zeros(0, np.int64)])
    # what the search kept comes first, and stays
    _, first = np.unique(_keys(seed, number), return_index=True)
    return Hits(seed[first], number[first], similarity[first], hits.within).in_order(), own


def _owned(
    numbers: NDArray[np.int64],
    full: NDArray[np.int64],
    seeds: Searched,
    space: Space,
    table: RecordTable,
    *,
    distance: int,
) -> Hits:
    """These records, each with the first of the crowded seeds that it is a copy of and lies within the threshold of."""
    held = space.vectors(numbers)
    left, vectors = held.numbers, held.vectors
    pictures = pictures_at(table, np.concatenate([left, seeds.numbers[full]]))
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for position in full.tolist():
        if not len(left):
            break
        mine = seeds.numbers[position]
        similarity = np.einsum("nd,d->n", vectors, seeds.vectors[position], dtype=np.float64)
        taken = pictures.relations(np.full(len(left), mine), left, distance) == Relation.COPY
        taken &= (similarity >= seeds.threshold + _ROUNDING) & (left != mine)
        found.append((np.full(int(taken.sum()), position), left[taken], similarity[taken]))
        left, vectors = left[~taken], vectors[~taken]
    nothing = np.zeros(0, np.int64)
    return Hits(
        np.concatenate([nothing, *(seed for seed, _, _ in found)]),
        np.concatenate([nothing, *(number for _, number, _ in found)]),
        np.concatenate([np.zeros(0), *(similarity for _, _, similarity in found)]),
        nothing,
    )


def _keys(seed: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for a seed's position (below 2**22) and a record."""
    return (seed << 41) | number


def _copies_of(asked: Pictures, table: RecordTable, distance: int) -> NDArray[np.int64]:
    """Every record that is a copy of one of these by bytes or PDQ, int64 (n,) ascending."""
    pieces = []
    for start in range(0, len(asked.numbers), _PIECE):
        piece = asked.at(np.arange(start, min(start + _PIECE, len(asked.numbers))))
        codes, digests = (part.values[part.present] for part in (piece.codes, piece.digests))
        pieces.append((HammingIndex(codes), DigestIndex(digests)))
    numbers = [np.zeros(0, np.int64)]
    for batch in all_pictures(table):
        copied = np.zeros(len(batch.numbers), np.bool_)
        for by_code, by_digest in pieces:
            rows = np.flatnonzero(~copied & batch.codes.present)
            copied[rows[by_code.join(np.ascontiguousarray(batch.codes.values[rows]), distance)[0]]] = True
            rows = np.flatnonzero(~copied & batch.digests.present)
            copied[rows[by_digest.join(np.ascontiguousarray(batch.digests.values[rows]))[0]]] = True
        numbers.append(batch.numbers[copied])
    return np.concatenate(numbers)


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


def sorted_out(  # noqa: PLR0917
    hits: Hits, seeds: Searched, space: Space, table: RecordTable, policy: Policy, before: Sequence[SortedOut] = ()
) -> SortedOut:
    """What of the hits are candidates, and where they crowd.

    Args:
        hits: records at or above the threshold, the seeds themselves not among them.
        seeds: what was searched for.
        space: the vectors.
        table: the records.
        policy: k, what is a crowd, what PDQ calls a copy.
        before: what became of the hits of the seeds before these.

    Raises:
        CountError: a part of the store is damaged or missing, or a crowd's counts do not add up.
    """
    lent = np.concatenate([np.zeros(0, np.int64), *(part.lent for part in before)])
    hits, own = _with_all_copies(hits.in_order(), seeds, space, table, policy, lent)
    # only of seeds where it makes a difference: so many at one point, or more than k
    alike = np.bincount(hits.seed[hits.similarity >= SAME_POINT], minlength=len(seeds.numbers))
    crowded = (alike >= policy.expand.collapsed_from) | (hits.within > policy.expand.k)
    asked = crowded[hits.seed]
    mine, theirs = seeds.numbers[hits.seed[asked]], hits.number[asked]
    pictures = pictures_at(table, np.concatenate([mine, theirs]))
    relation = np.full(len(hits.number), Relation.UNKNOWN, np.uint8)
    relation[asked] = pictures.relations(mine, theirs, policy.match.pdq_radius)
    kept, fallen, counts = _kept(hits, relation, pictures, policy)
    if any(count.beyond < 0 for count in counts):
        raise CountError("the neighbours of a seed do not add up", expected="no more than lie within the threshold")
    lost = [place for place, count in enumerate(counts) if count.collapsed or count.beyond]
    names = table.records(seeds.numbers[lost])
    told = tuple(counts[place].named(name) for place, name in zip(lost, names, strict=True))
    return SortedOut(hits.where(kept), told, np.unique(hits.number[fallen]), own)


def together(parts: Sequence[SortedOut], seeds: Searched, policy: Policy) -> tuple[Hits, Crowding]:
    """What of the hits of all seeds are candidates, and where they crowd.

    Args:
        parts: what became of the hits, in the order of the seeds.
        seeds: all of them.
        policy: what is a hub.
    """
    returned = joined([part.returned for part in parts])
    hubs, most = _hubs(returned, seeds, policy.expand.hub_seeds)
    collapsed = np.unique(np.concatenate([part.collapsed for part in parts]))
    told = tuple(seed for part in parts for seed in part.crowded)
    return returned, Crowding(told, len(np.setdiff1d(collapsed, returned.number)), hubs, most)


def _hubs(hits: Hits, seeds: Searched, least: int) -> tuple[int, int]:
    """How many records lie near so many seeds that are not near each other, and the most such seeds of one."""
    _, record, times = np.unique(hits.number, return_inverse=True, return_counts=True)
    asked = times[record] >= least
    if not asked.any():
        return 0, 0
    involved = np.unique(hits.seed[asked])
    group = _groups(seeds.vectors[involved], seeds.threshold)
    pair = np.unique(np.stack([record[asked], group[np.searchsorted(involved, hits.seed[asked])]]), axis=1)
    unlike = np.bincount(pair[0])
    hubs = unlike >= least
    return int(hubs.sum()), int(unlike[hubs].max(initial=0))


def _groups(vectors: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """The group of each seed, int64 (s,): those within the threshold of the first that is in no group yet."""
    group = np.full(len(vectors), -1, np.int64)
    for first in range(len(vectors)):
        if group[first] < 0:
            near = vectors @ vectors[first] >= threshold
            near[first] = True
            group[near & (group < 0)] = first
    return group
