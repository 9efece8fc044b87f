"""match: store × lists → matches and tallies. Needs no dataset and no picture.

Every part of the store is joined with every list, kind by kind. Joins like large batches, and a shard may be smaller or
larger than one: small parts go together, large ones piece by piece, so that memory has a bound whatever a shard holds.

The counts of a tally are made independently of each other (rule 3): matched from the join, not matched from the signals
that did not join, undecided from the reasons in the store, records from the reader.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vetset.model.coverage import Coverage, Tally
from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.errors import PolicyError
from vetset.model.finding import Match
from vetset.model.hashlist import DOUBTFUL, Entries, EntryFlag, HashList, ListInfo
from vetset.model.policy import Policy, squared
from vetset.model.signal import DIGEST_KINDS, REASON_OF_CODE, Kind, Reason, Variant
from vetset.search.distance import DistanceIndex
from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex
from vetset.store.columns import VARIANTS, Values
from vetset.store.part import Part, Window

SLAB_RECORDS = 1 << 18
"""Records whose PDQ is joined at once, about: more make that join faster, fewer keep memory small."""
DIGEST_RECORDS = 1 << 16
"""Records whose digests are joined at once, about: those joins want what is in a near cache."""
GROUP_SHARDS = 256
"""Shards whose parts are looked at together, at most."""
MOST_PAIRS = 1 << 23
"""Pairs of a record and a PDQ entry that are held at once, about: half a gigabyte while they are sorted."""
NAMED_ENTRIES = 256
"""Entries of one list and kind that a record's matches name at most, for each form of the record: those that nothing
is held against first, then the nearest. A list may hold any number of values around one picture, and one is enough."""
_Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]
_Finder = Callable[[NDArray[np.uint8]], _Pairs]
_DECIDING = frozenset(Variant) - {Variant.PARTIAL}
"""Variants whose signal makes a record decided: what decodes of a truncated file may match, and settles nothing."""


def radius_of(kind: Kind, info: ListInfo, policy: Policy) -> int:
    """Greatest distance that is a match with this list, as `Match.distance` has it.

    For PDQ what the policy allows, or less if the list's owner wants less.
    """
    if kind is Kind.PHOTODNA:
        return squared(policy.match.photodna_radius or 0)  # without one nothing is compared, see `require_radius`
    return policy.match.pdq_radius if info.pdq_radius is None else min(policy.match.pdq_radius, info.pdq_radius)


@dataclass(frozen=True, slots=True)
class Joined:
    """All pairs of records and entries that agree, for one kind and variant.

    Attributes:
        row: int64 (h,) record.
        entry: int64 (h,) row of the entries.
        distance: int64 (h,) as `Match.distance` has it.
        variant: which form of the record agreed.
    """

    row: NDArray[np.int64]
    entry: NDArray[np.int64]
    distance: NDArray[np.int64]
    variant: Variant


class Matcher:
    """One kind of one list, indexed once and joined with many parts.

    Args:
        entries: what to look for.
        radius: greatest distance, as `Match.distance` has it, for PDQ and PhotoDNA.
    """

    def __init__(self, entries: Entries, radius: int) -> None:
        self.entries = entries
        self.radius = 0 if entries.kind in DIGEST_KINDS else radius
        self._index = _indexed(entries)
        self._find = _finder(self._index, radius)

    def probe(self, queries: NDArray[np.uint8]) -> Joined | None:
        """Pairs by the sorted bands, which a small batch might not use; None where there are none.

        Args:
            queries: uint8 (q, 32).
        """
        if not isinstance(self._index, HammingIndex) or not self._index.is_sorted:
            return None
        query, entry, distance = self._index.join(queries, self.radius, way="probe")
        return Joined(query, entry, distance.astype(np.int64), Variant.STORED)

    def join(self, signals: Sequence[Values], variants: Sequence[Variant] | None = None) -> Iterator[Joined]:
        """All agreeing pairs, one result or more per variant that any record has; each record is in one of them.

        Args:
            signals: the records' signals of this kind, one for each variant.
            variants: which ones; those of `VARIANTS[kind]` if None.
        """
        for variant, values in zip(VARIANTS[self.entries.kind] if variants is None else variants, signals, strict=True):
            rows = np.flatnonzero(values.present)
            if not len(rows):
                continue
            queries = values.values if len(rows) == len(values.present) else values.values[rows]
            for query, entry, distance in self._found(queries):
                yield Joined(rows[query], entry, distance.astype(np.int64), variant)

    def _found(self, queries: NDArray[np.uint8]) -> Iterator[_Pairs]:
        """All pairs, those of some queries at a time: of a list whose entries crowd, a batch has pairs without end."""
        if isinstance(self._index, DigestIndex):
            yield self._find(queries)
            return
        if isinstance(self._index, DistanceIndex):
            # as many as there can be pairs at most: nobody counts them first
            step = max(1, MOST_PAIRS // max(1, len(self._index)))
            for first in range(0, len(queries), step):
                query, entry, distance = self._find(queries[first : first + step])
                yield query + first, entry, distance
            return
        parts = [(0, len(queries))]
        while parts:
            start, end = parts.pop()
            found = self._index.join_up_to(queries[start:end], self.radius, MOST_PAIRS)
            if found is not None:
                yield found[0] + start, found[1], found[2]
            elif end - start > 1:
                middle = (start + end) // 2
                parts += [(middle, end), (start, middle)]
            else:
                query, entry, distance = self._find(queries[start:end])
                yield query + start, entry, distance


_Index = DigestIndex | HammingIndex | DistanceIndex


def _indexed(entries: Entries) -> _Index:
    if entries.kind is Kind.PDQ:
        return HammingIndex(entries.values)
    return DistanceIndex(entries.values) if entries.kind is Kind.PHOTODNA else DigestIndex(entries.values)


def _finder(index: _Index, radius: int) -> _Finder:
    """What joins queries with an index: positions of both, and distances."""
    if isinstance(index, HammingIndex):
        return lambda queries: index.join(queries, radius)
    if isinstance(index, DistanceIndex):
        threads = len(os.sched_getaffinity(0))
        return lambda queries: index.join(queries, radius, threads=threads)

    def equal(queries: NDArray[np.uint8]) -> _Pairs:
        query, entry = index.join(queries)
        return query, entry, np.zeros(len(query), np.int64)

    return equal


def require_radius(lists: Sequence[HashList], policy: Policy) -> None:
    """Refuse to hold PhotoDNA values of lists against those of a dataset without a distance at which they match.

    Where the values of the dataset are not looked at, nothing is compared, and its records are undecided.

    Raises:
        PolicyError: a list has PhotoDNA values, the policy scans for them, and names no radius.
    """
    held = [hash_list.info.name for hash_list in lists if len(hash_list.entries.get(Kind.PHOTODNA, ()))]
    if held and Kind.PHOTODNA in policy.scan.kinds and policy.match.photodna_radius is None:
        raise PolicyError(
            "nothing says how near PhotoDNA values must be to match",
            expected="match.photodna_radius",
            seen=f"PhotoDNA values in {', '.join(sorted(held))}, photodna among scan.kinds, and no radius",
            todo="Name the radius that their licence states (docs/policy.md), or take photodna out of scan.kinds.",
        )


@dataclass(frozen=True, slots=True)
class ShardMatches:
    """What one shard and all lists have in common.

    Attributes:
        matches: sorted.
        rows: for each match, the row of its entry among the list's entries of that kind.
        tallies: for each list and kind.
        coverage: for each kind.
    """

    matches: tuple[Match, ...]
    rows: tuple[int, ...]
    tallies: tuple[Tally, ...]
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A shard to be matched.

    Attributes:
        part: its signals.
        name: what its records call it.
        records: what the reader counted, from the manifest.
    """

    part: Part
    name: ShardDigest
    records: int


@dataclass(frozen=True, slots=True)
class _Slab:
    """Records of consecutive shards that are joined at once, for one kind.

    Attributes:
        shards: positions of the shards in their group.
        starts: int64 (s + 1,): where each shard's records begin in the slab, and where the last ones end.
        rows: int64 (s,): row of each shard's first record in the slab.
        variants: forms of the records.
        signals: one for each variant.
        why: uint8 (n,) reason codes.
    """

    shards: Sequence[int]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    variants: tuple[Variant, ...]
    signals: Sequence[Values]
    why: NDArray[np.uint8]


def _slabs(group: Sequence[Given], kind: Kind) -> Iterator[_Slab]:
    """The records of a group of shards, some at a time; never two sorts of parts in one."""
    most = SLAB_RECORDS if kind is Kind.PDQ else min(SLAB_RECORDS, DIGEST_RECORDS)
    waiting: list[tuple[int, Window]] = []
    count = 0
    variants: tuple[Variant, ...] = ()
    for shard, given in enumerate(group):
        if kind not in given.part.kinds:
            continue
        if waiting and given.part.variants(kind) != variants:
            yield _slab(waiting, kind, variants)
            waiting, count = [], 0
        variants = given.part.variants(kind)
        for window in given.part.windows(kind):
            waiting.append((shard, window))
            count += len(window.why)
            if count >= most:
                yield _slab(waiting, kind, variants)
                waiting, count = [], 0
    if waiting:
        yield _slab(waiting, kind, variants)


def _slab(waiting: Sequence[tuple[int, Window]], kind: Kind, variants: tuple[Variant, ...]) -> _Slab:
    sizes: dict[int, int] = {}
    rows: dict[int, int] = {}
    for shard, window in waiting:
        sizes[shard] = sizes.get(shard, 0) + len(window.why)
        rows.setdefault(shard, window.first)
    signals = [
        Values.joined([window.signals[number] for _, window in waiting], kind.width) for number in range(len(variants))
    ]
    why = np.concatenate([window.why for _, window in waiting])
    starts = np.concatenate(([0], np.cumsum(list(sizes.values())))).astype(np.int64)
    return _Slab(list(sizes), starts, np.array(list(rows.values()), np.int64), variants, signals, why)


@dataclass(slots=True)
class _Counts:
    """One list and kind over one shard, so far."""

    matched: int = 0
    not_matched: int = 0
    matched_partial: int = 0
    undecided: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, matched: NDArray[np.bool_], present: NDArray[np.bool_], why: NDArray[np.uint8]) -> None:
        """Count some of the shard's records."""
        self.matched += int(np.count_nonzero(matched))
        self.not_matched += int(np.count_nonzero(present & ~matched))
        self.matched_partial += int(np.count_nonzero(matched & ~present))
        if why.any():
            self.undecided += np.bincount(why[(why != 0) & ~matched], minlength=256)

    def tally(self, name: str, kind: Kind, records: int) -> Tally:
        """The tally, when all records were counted."""
        undecided = {
            REASON_OF_CODE[code]: int(self.undecided[code]) for code in np.flatnonzero(self.undecided).tolist()
        }
        return Tally(
            name, kind, records, self.matched, self.not_matched, dict(sorted(undecided.items())), self.matched_partial
        )


class ListMatcher:
    """All lists, indexed once.

    Args:
        lists: the lists.
        policy: the radii.

    Raises:
        PolicyError: see `require_radius`.
    """

    def __init__(self, lists: Sequence[HashList], policy: Policy) -> None:
        require_radius(lists, policy)
        self._matchers = [
            (hash_list.info.name, Matcher(entries, radius_of(entries.kind, hash_list.info, policy)))
            for hash_list in lists
            for _, entries in sorted(hash_list.entries.items())
        ]

    @property
    def matchers(self) -> Sequence[tuple[str, Matcher]]:
        """Every index, with the name of its list."""
        return self._matchers

    def shard(self, part: Part, shard: ShardDigest, records: int) -> ShardMatches:
        """Join one part with every list.

        Args:
            part: its signals.
            shard: what its records call it.
            records: what the reader counted, from the manifest.

        Raises:
            CountError: the part is damaged.
        """
        return self.group([Given(part, shard, records)])[0]

    def group(self, group: Sequence[Given]) -> list[ShardMatches]:
        """Join some parts with every list; one answer for each, in order.

        Raises:
            CountError: one of the parts is damaged, whether or not anything in it is found.
        """
        for given in group:
            given.part.check_rest()
        matches: list[list[tuple[Match, int]]] = [[] for _ in group]
        counts: dict[tuple[int, int], _Counts] = {}
        for kind in sorted({matcher.entries.kind for _, matcher in self._matchers}):
            for slab in _slabs(group, kind):
                self._join(slab, kind, group, matches, counts)
        found = [sorted(pairs) for pairs in matches]
        return [
            ShardMatches(
                tuple(match for match, _ in found[shard]),
                tuple(row for _, row in found[shard]),
                tuple(self._tallies(shard, given, counts)),
                tuple(given.part.coverage(kind) for kind in given.part.kinds),
            )
            for shard, given in enumerate(group)
        ]

    def _join(
        self,
        slab: _Slab,
        kind: Kind,
        group: Sequence[Given],
        matches: list[list[tuple[Match, int]]],
        counts: dict[tuple[int, int], _Counts],
    ) -> None:
        """Join one slab with every list that has entries of its kind; matches and counts go to their shards."""
        forms = zip(slab.signals, slab.variants, strict=True)
        decides = [values.present for values, form in forms if form in _DECIDING]
        present = np.logical_or.reduce(decides) if decides else np.zeros(len(slab.why), np.bool_)
        for number, (name, matcher) in enumerate(self._matchers):
            if matcher.entries.kind is not kind:
                continue
            matched = np.zeros(len(present), np.bool_)
            for joined in matcher.join(slab.signals, slab.variants):
                matched[joined.row] = True
                for shard, found in _by_shard(slab, joined, group, name, matcher.entries):
                    matches[shard] += found
            for place, shard in enumerate(slab.shards):
                here = slice(slab.starts[place], slab.starts[place + 1])
                counted = counts.setdefault((number, shard), _Counts())
                counted.add(matched[here], present[here], slab.why[here])

    def _tallies(self, shard: int, given: Given, counts: Mapping[tuple[int, int], _Counts]) -> Iterator[Tally]:
        for number, (name, matcher) in enumerate(self._matchers):
            kind = matcher.entries.kind
            if kind not in given.part.kinds:
                yield Tally(name, kind, given.records, 0, 0, {Reason.NOT_SCANNED: given.records})
            else:
                yield counts.get((number, shard), _Counts()).tally(name, kind, given.records)


def _named(joined: Joined, entries: Entries) -> Joined:
    """The pairs that are told, see `NAMED_ENTRIES`; most often all."""
    if not len(joined.row) or np.bincount(joined.row).max() <= NAMED_ENTRIES:
        return joined
    weak = (entries.flags[joined.entry] & np.uint8(DOUBTFUL | EntryFlag.UNVETTED)) != 0
    order = np.lexsort((joined.entry, joined.distance, weak, joined.row))
    row = joined.row[order]
    kept = np.sort(order[np.arange(len(row)) - np.searchsorted(row, row) < NAMED_ENTRIES])
    return Joined(joined.row[kept], joined.entry[kept], joined.distance[kept], joined.variant)


def _by_shard(
    slab: _Slab, joined: Joined, group: Sequence[Given], name: str, entries: Entries
) -> Iterator[tuple[int, list[tuple[Match, int]]]]:
    """The matches of one join with the rows of their entries, shard by shard."""
    joined = _named(joined, entries)
    places = np.searchsorted(slab.starts, joined.row, side="right") - 1
    for place in np.unique(places).tolist():
        shard = slab.shards[place]
        here = places == place
        rows = joined.row[here] - slab.starts[place] + slab.rows[place]
        mine = Joined(rows, joined.entry[here], joined.distance[here], joined.variant)
        yield shard, list(_matches(name, entries, mine, group[shard]))


def _matches(name: str, entries: Entries, joined: Joined, given: Given) -> Iterator[tuple[Match, int]]:
    rows = joined.row.tolist()
    keys = given.part.keys_at(rows)
    quality = given.part.quality_at(joined.variant, rows) if entries.kind is Kind.PDQ else {}
    for row, entry, distance in zip(rows, joined.entry.tolist(), joined.distance.tolist(), strict=True):
        match = Match(
            record=RecordId(given.name, row, keys[row]),
            list_name=name,
            entry=bytes(entries.ids[entry]).decode("ascii"),
            kind=entries.kind,
            variant=joined.variant,
            distance=distance,
            quality=quality.get(row, 100),
            seedable=not int(entries.flags[entry]) & DOUBTFUL,
            vetted=not int(entries.flags[entry]) & EntryFlag.UNVETTED,
            members=int(entries.members[entry]),
        )
        yield match, entry
