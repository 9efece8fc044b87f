"""match: store × lists → matches and tallies. Needs no dataset and no picture.

Every part of the store is joined with every list, kind by kind. The counts of a tally are made independently of each
other (rule 3): matched from the join, not matched from the signals that did not join, undecided from the reasons in the
store, records from the reader.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vetset.model.coverage import Coverage, Tally
from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.finding import Match
from vetset.model.hashlist import Entries, HashList
from vetset.model.policy import Policy
from vetset.model.signal import REASON_OF_CODE, Kind, Reason, Variant
from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex
from vetset.store.columns import VARIANTS, Values
from vetset.store.part import Part

_DECIDING = frozenset(Variant) - {Variant.PARTIAL}
"""Variants whose signal makes a record decided: what decodes of a truncated file may match, and settles nothing."""


@dataclass(frozen=True, slots=True)
class Joined:
    """All pairs of records and entries that agree, for one kind and variant.

    Attributes:
        row: int64 (h,) record.
        entry: int64 (h,) row of the entries.
        distance: int64 (h,) Hamming distance, 0 for digests.
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
        radius: greatest Hamming distance, for PDQ.
    """

    def __init__(self, entries: Entries, radius: int) -> None:
        self.entries = entries
        self._radius = radius
        self._exact = None if entries.kind is Kind.PDQ else DigestIndex(entries.values)
        self._hamming = HammingIndex(entries.values) if entries.kind is Kind.PDQ else None

    def join(self, signals: Sequence[Values], variants: Sequence[Variant] | None = None) -> Iterator[Joined]:
        """All agreeing pairs, one result per variant that any record has.

        Args:
            signals: the records' signals of this kind, one for each variant.
            variants: which ones; those of `VARIANTS[kind]` if None.
        """
        for variant, values in zip(variants or VARIANTS[self.entries.kind], signals, strict=True):
            rows = np.flatnonzero(values.present)
            if not len(rows):
                continue
            queries = np.ascontiguousarray(values.values[rows])
            if self._hamming is not None:
                query, entry, distance = self._hamming.join(queries, self._radius)
            elif self._exact is not None:
                query, entry = self._exact.join(queries)
                distance = np.zeros(len(query), np.int64)
            yield Joined(rows[query], entry, distance.astype(np.int64), variant)


def _tally(  # noqa: PLR0917  one caller
    name: str, kind: Kind, records: int, matched: NDArray[np.bool_], present: NDArray[np.bool_], why: NDArray[np.uint8]
) -> Tally:
    codes, counts = np.unique(why[(why != 0) & ~matched], return_counts=True)
    undecided = {REASON_OF_CODE[int(code)]: int(count) for code, count in zip(codes, counts, strict=True)}
    return Tally(
        name,
        kind,
        records,
        matched=int(np.count_nonzero(matched)),
        not_matched=int(np.count_nonzero(present & ~matched)),
        undecided=dict(sorted(undecided.items())),
        matched_partial=int(np.count_nonzero(matched & ~present)),
    )


@dataclass(frozen=True, slots=True)
class ShardMatches:
    """What one shard and all lists have in common."""

    matches: tuple[Match, ...]
    tallies: tuple[Tally, ...]
    coverage: tuple[Coverage, ...]


class ListMatcher:
    """All lists, indexed once.

    Args:
        lists: the lists.
        policy: the radius.
    """

    def __init__(self, lists: Sequence[HashList], policy: Policy) -> None:
        self._matchers = [
            (hash_list.info.name, Matcher(entries, policy.match.pdq_radius))
            for hash_list in lists
            for _, entries in sorted(hash_list.entries.items())
        ]

    def shard(self, part: Part, shard: ShardDigest, records: int) -> ShardMatches:
        """Join one part with every list.

        Args:
            part: its signals.
            shard: what its records call it.
            records: what the reader counted, from the manifest.
        """
        coverage = tuple(part.coverage(kind) for kind in part.kinds)
        keys: list[str] | None = None
        matches: list[Match] = []
        tallies: list[Tally] = []
        for name, matcher in self._matchers:
            kind = matcher.entries.kind
            if kind not in part.kinds:
                tallies.append(Tally(name, kind, records, 0, 0, {Reason.NOT_SCANNED: records}))
                continue
            signals, variants = part.signals(kind), part.variants(kind)
            decides = [values.present for values, form in zip(signals, variants, strict=True) if form in _DECIDING]
            present = np.logical_or.reduce(decides)
            matched = np.zeros(len(present), np.bool_)
            for joined in matcher.join(signals, variants):
                matched[joined.row] = True
                quality = part.quality(joined.variant) if kind is Kind.PDQ and len(joined.row) else None
                if len(joined.row) and keys is None:
                    keys = part.keys().to_pylist()
                matches += _matches(name, matcher.entries, joined, shard, keys or [], quality)
            tallies.append(_tally(name, kind, records, matched, present, part.why(kind)))
        return ShardMatches(tuple(sorted(matches)), tuple(tallies), coverage)


def _matches(  # noqa: PLR0917  one caller
    name: str,
    entries: Entries,
    joined: Joined,
    shard: ShardDigest,
    keys: Sequence[str],
    quality: NDArray[np.uint8] | None,
) -> Iterator[Match]:
    for row, entry, distance in zip(joined.row.tolist(), joined.entry.tolist(), joined.distance.tolist(), strict=True):
        yield Match(
            record=RecordId(shard, row, keys[row]),
            list_name=name,
            entry=bytes(entries.ids[entry]).decode("ascii"),
            kind=entries.kind,
            variant=joined.variant,
            distance=distance,
            quality=100 if quality is None else int(quality[row]),
            seedable=int(entries.flags[entry]) == 0,
        )
