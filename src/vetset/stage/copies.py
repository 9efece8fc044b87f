"""The same picture at other places of the dataset: which records store the same bytes, and how often an item occurs.

What a model is trained on often it remembers better. So how often a confirmed item occurs is worth knowing, beside that
it does.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from vetset.case.copies import CopiesPart, ItemCopies
from vetset.case.findings import Findings
from vetset.model.canonical import document_digest
from vetset.model.dataset import RecordId
from vetset.model.finding import Seeds
from vetset.model.policy import MatchPolicy
from vetset.model.signal import Kind
from vetset.model.trust import Trust
from vetset.search.exact import DigestIndex
from vetset.search.hamming import HammingIndex
from vetset.stage.items import Items, confirmed_items, near, usable_codes
from vetset.store.part import Part
from vetset.store.records import RecordTable

_Pairs = NDArray[np.int64]
"""int64 (h, 2): the row of a record in its shard, and an item; a pair may stand there twice."""


def copies(records: Collection[RecordId], table: RecordTable) -> dict[RecordId, RecordId]:
    """Every other record that stores the same bytes as one of these, with the one it copies."""
    wanted = np.unique(table.numbers(records))
    values, owners = [], []
    for first, digests, present in table.contents():
        here = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + len(digests))]
        here = here[present[here - first]]
        values += list(digests[here - first])
        owners += here.tolist()
    if not values:
        return {}
    index = DigestIndex(np.stack(values))
    found: dict[int, int] = {}
    for first, digests, present in table.contents():
        there = np.flatnonzero(present)
        query, entry = index.join(np.ascontiguousarray(digests[there]))
        for number, owner in zip((first + there[query]).tolist(), entry.tolist(), strict=True):
            found.setdefault(number, owners[owner])
    for number in wanted.tolist():
        found.pop(number, None)
    names = table.records(np.array(sorted(found), np.int64))
    originals = table.records(np.array([found[number] for number in sorted(found)], np.int64))
    return dict(zip(names, originals, strict=True))


def basis(findings: Findings, trust: Trust) -> str:
    """Hex SHA-256 of what occurrences are counted for: the confirmed records, and the candidates near them."""
    confirmed = Seeds.confirmed(findings.matches, findings.verdicts, trust).records
    near_them = [[item.record.shard, item.record.row, item.seed.shard, item.seed.row] for item in findings.candidates]
    return document_digest([[[record.shard, record.row] for record in confirmed], near_them])


def occurrences(findings: Findings, table: RecordTable, trust: Trust) -> CopiesPart:
    """How often every confirmed item occurs, in one pass over the store. Nothing is found by it, only counted.

    In memory are the signals of confirmed records, and of all others a batch at a time.

    Raises:
        CountError: a part of the store is damaged or missing, so that nothing can be counted.
    """
    items = confirmed_items(findings, table, trust)
    search, total = _Search(items, trust.policy.match), _Total(items)
    embedded = _embedded(findings, items, table)
    first = 0
    for index, shard in enumerate(table.shards):
        part = table.part(index)
        ends = [first, first + shard.records]
        here = slice(*np.searchsorted(embedded[:, 0], ends))
        confirmed = items.numbers[slice(*np.searchsorted(items.numbers, ends))] - first
        by_bytes, with_bytes = search.by_bytes(part)
        by_pdq, with_pdq = search.by_pdq(part)
        total.add([by_bytes, by_pdq, embedded[here] - np.array([first, 0])], confirmed)
        total.with_bytes += with_bytes
        total.with_pdq += with_pdq
        first += shard.records
    return CopiesPart(
        total.items(),
        total.records,
        first,
        total.with_bytes,
        total.with_pdq,
        basis(findings, trust),
        total.by_harm,
    )


def _embedded(findings: Findings, items: Items, table: RecordTable) -> _Pairs:
    """Candidates, and the item of the seed that led there, sorted; number instead of row."""
    numbers = table.numbers([candidate.record for candidate in findings.candidates])
    seeds = table.numbers([candidate.seed for candidate in findings.candidates])
    place = np.searchsorted(items.numbers, seeds)
    stands = np.isin(seeds, items.numbers)  # a withdrawn seed is of no item
    pairs = np.stack([numbers[stands], items.item[place[stands]]], axis=1)
    return pairs[np.argsort(pairs[:, 0], kind="stable")]


class _Search:
    """Finds the records that show an item, shard by shard."""

    def __init__(self, items: Items, policy: MatchPolicy) -> None:
        self._items = items
        self._policy = policy
        self._digests = DigestIndex(items.digests)
        self._codes = HammingIndex(items.codes)

    def by_bytes(self, part: Part) -> tuple[_Pairs, int]:
        """Records that store an item's bytes, and how many records have stored bytes at all."""
        found, count = [np.zeros((0, 2), np.int64)], 0
        for first, stored in part.stored(Kind.SHA256):
            rows = np.flatnonzero(stored.present)
            query, entry = self._digests.join(np.ascontiguousarray(stored.values[rows]))
            found.append(np.stack([first + rows[query], self._items.item_of_digest[entry]], axis=1))
            count += len(rows)
        return np.concatenate(found), count

    def by_pdq(self, part: Part) -> tuple[_Pairs, int]:
        """Records of which a form lies near an item's code, and how many records have a form that could."""
        found, count = [np.zeros((0, 2), np.int64)], 0
        for first, forms in usable_codes(part, self._policy.confirm_quality):
            for signals in forms.values():
                rows = np.flatnonzero(signals.present)
                for query, entry in near(self._codes, signals.values[rows], self._policy.confirm_distance):
                    pairs = np.stack([first + rows[query], self._items.item_of_code[entry]], axis=1)
                    found.append(np.unique(pairs, axis=0))
            count += int(np.count_nonzero(np.logical_or.reduce([signals.present for signals in forms.values()])))
        return np.concatenate(found), count


@dataclass(slots=True)
class _Total:
    """Counts so far, beside the confirmed records themselves.

    Attributes:
        of: the items.
        counts: int64 (3, items): other records by each evidence.
        records: distinct records that show an item.
        by_harm: the same for the items of each harm.
    """

    of: Items
    counts: NDArray[np.int64] = field(init=False)
    records: int = field(init=False)
    by_harm: dict[str, int] = field(init=False)
    with_bytes: int = 0
    with_pdq: int = 0
    _of_harm: dict[str, NDArray[np.bool_]] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((3, self.of.count), np.int64)
        self.records = len(self.of.numbers)
        names = sorted(frozenset[str]().union(*self.of.harms))
        self._of_harm = {name: np.array([name in harms for harms in self.of.harms], np.bool_) for name in names}
        self.by_harm = {name: int(np.count_nonzero(shown[self.of.item])) for name, shown in self._of_harm.items()}

    def add(self, evidence: Sequence[_Pairs], confirmed: NDArray[np.int64]) -> None:
        """Count one shard; of a pair that several kinds of evidence have, the first counts.

        Args:
            evidence: pairs by each.
            confirmed: int64 (c,) rows of the shard's confirmed records, which are counted already.
        """
        width = max(1, self.of.count)
        seen = np.zeros(0, np.int64)
        for counts, pairs in zip(self.counts, evidence, strict=True):
            others = pairs[~np.isin(pairs[:, 0], confirmed)]
            fresh = np.setdiff1d(others[:, 0] * width + others[:, 1], seen)
            np.add(counts, np.bincount(fresh % width, minlength=self.of.count), out=counts)
            seen = np.concatenate([seen, fresh])
        self.records += len(np.unique(seen // width))
        for name, shown in self._of_harm.items():
            self.by_harm[name] += len(np.unique(seen[shown[seen % width]] // width))

    def items(self) -> tuple[ItemCopies, ...]:
        """Most frequent first."""
        confirmed = np.bincount(self.of.item, minlength=self.of.count)
        told = [
            ItemCopies(own, by_bytes, by_pdq, by_embedding, tuple(sorted(harms)))
            for own, (by_bytes, by_pdq, by_embedding), harms in zip(
                confirmed.tolist(), self.counts.T.tolist(), self.of.harms, strict=True
            )
        ]
        order = attrgetter("occurrences", "confirmed", "by_bytes", "by_pdq")
        return tuple(sorted(told, key=order, reverse=True))
