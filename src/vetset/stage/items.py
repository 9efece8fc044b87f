"""Items: confirmed records that are one picture, as far as anything here can tell.

They store the same bytes, or a list knows them by the same entry, or their PDQ lies within the confirming distance; and
so on from one to the next.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vetset.case.findings import Findings
from vetset.model.dataset import RecordId
from vetset.model.finding import Evidence, Match, Seeds, confirmed_matches
from vetset.model.hashlist import UNKNOWN
from vetset.model.policy import Policy
from vetset.model.signal import Kind, Variant
from vetset.model.trust import Trust
from vetset.model.verdict import Decision
from vetset.search.hamming import HammingIndex
from vetset.store.columns import Values
from vetset.store.part import Part
from vetset.store.records import RecordTable

_MOST_PAIRS = 1 << 24
"""Pairs of codes that are in memory at once, at most, but for those that the least number of queries can have."""
_LEAST_QUERIES = 256

_Forms = Mapping[RecordId, frozenset[Variant]]
_Links = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Items:
    """Confirmed records with their signals, and which item each is of.

    Attributes:
        numbers: int64 (c,) ascending: the records.
        item: int64 (c,): item of each, 0 to `count` - 1.
        digests: uint8 (a, 32): SHA-256 of stored bytes, each once.
        item_of_digest: int64 (a,).
        codes: uint8 (b, 32), each once: PDQ, of the quality that confirms, of the forms that agreed or the stored one.
        item_of_code: int64 (b,).
        harms: of each item, see `harms_of`.
    """

    numbers: NDArray[np.int64]
    item: NDArray[np.int64]
    digests: NDArray[np.uint8]
    item_of_digest: NDArray[np.int64]
    codes: NDArray[np.uint8]
    item_of_code: NDArray[np.int64]
    harms: tuple[frozenset[str], ...]

    @property
    def count(self) -> int:
        """How many items there are."""
        return int(self.item.max(initial=-1)) + 1


def confirmed_items(findings: Findings, table: RecordTable, trust: Trust) -> Items:
    """Every confirmed record, grouped.

    Raises:
        CountError: a part of the store is damaged or missing.
    """
    records = list(Seeds.confirmed(findings.matches, findings.verdicts, trust).records)
    confirmed = confirmed_matches(findings.matches, trust)
    numbers = table.numbers(records)
    order = np.argsort(numbers)
    numbers = numbers[order]
    place = {records[index]: here for here, index in enumerate(order.tolist())}
    digests, digest_of = _digests(numbers, table)
    codes, code_of = _codes(place, _forms(findings, confirmed), table, trust.policy)
    label = np.arange(len(numbers))
    label = _linked(label, _by_entry(findings, confirmed, place))
    digests, label, digest_owner = _each_once(digests, digest_of, label)
    codes, label, code_owner = _each_once(codes, code_of, label)
    for query, entry in near(HammingIndex(codes), codes, trust.policy.match.confirm_distance):
        label = _linked(label, (code_owner[query], code_owner[entry]))
    item = np.unique(label, return_inverse=True)[1].astype(np.int64)
    harms: list[set[str]] = [set() for _ in range(int(item.max(initial=-1)) + 1)]
    for record, found in harms_of(findings, trust).items():
        harms[item[place[record]]] |= found
    return Items(numbers, item, digests, item[digest_owner], codes, item[code_owner], tuple(map(frozenset, harms)))


def harms_of(findings: Findings, trust: Trust) -> Mapping[RecordId, frozenset[str]]:
    """Which harm every confirmed record is of: the categories of the lists that confirm it, by match or by verdict.

    What a verdict confirms is of the harm of the item that led there, too. Where that was withdrawn, and a part of
    before does not say what the verifier knows about, it is `unknown`.
    """
    matched: dict[RecordId, set[str]] = {}
    for match in confirmed_matches(findings.matches, trust):
        matched.setdefault(match.record, set()).add(trust.category(match.list_name).value)
    said: dict[RecordId, set[str]] = {record: set() for record in Seeds.confirmed((), findings.verdicts, trust).records}
    for verdict in findings.verdicts:
        if verdict.decision is Decision.KNOWN and verdict.category:
            said[verdict.record].add(verdict.category)
    seed_of = {candidate.record: candidate.seed for candidate in findings.candidates}
    found = {record: frozenset(harms) for record, harms in matched.items()}
    return found | {record: _led(record, matched, said, seed_of) or frozenset({UNKNOWN}) for record in said}


def _led(
    record: RecordId,
    matched: Mapping[RecordId, set[str]],
    said: Mapping[RecordId, set[str]],
    seed_of: Mapping[RecordId, RecordId],
) -> frozenset[str]:
    """The harms of a record and of what led there, as far as the first that a match confirms."""
    harms: set[str] = set()
    seen: set[RecordId] = set()
    while record not in seen:
        seen.add(record)
        harms |= said.get(record, set()) | matched.get(record, set())
        if record in matched:
            break
        record = seed_of.get(record, record)
    return frozenset(harms)


def harms_of_candidates(findings: Findings, trust: Trust) -> Mapping[RecordId, frozenset[str]]:
    """Which harm every candidate may be of: that of the item that led to it."""
    known, nobody = harms_of(findings, trust), frozenset({UNKNOWN})
    return {candidate.record: known.get(candidate.seed, nobody) for candidate in findings.candidates}


def near(index: HammingIndex, queries: NDArray[np.uint8], distance: int) -> Iterator[_Links]:
    """All pairs of a query and an entry within a distance, int64 (h,) each, some at a time."""
    if not len(index):
        return
    step = max(_LEAST_QUERIES, _MOST_PAIRS // len(index))
    for start in range(0, len(queries), step):
        query, entry, _ = index.join(np.ascontiguousarray(queries[start : start + step]), distance)
        yield query + start, entry


def usable_codes(part: Part, quality: int) -> Iterator[tuple[int, Mapping[Variant, Values]]]:
    """PDQ of every form that can confirm, where it has this quality: first row and the forms, batch by batch."""
    if Kind.PDQ not in part.kinds:
        return
    forms = part.variants(Kind.PDQ)
    good = {form: part.quality(form) >= quality for form in forms if form is not Variant.PARTIAL}
    for window in part.windows(Kind.PDQ):
        rows = slice(window.first, window.first + len(window.why))
        yield (
            window.first,
            {
                form: Values(values.values, values.present & good[form][rows])
                for form, values in zip(forms, window.signals, strict=True)
                if form in good
            },
        )


def _forms(findings: Findings, confirmed: Sequence[Match]) -> _Forms:
    """Which forms of a confirmed record stand for it: those that a list's PDQ agreed with, else the stored one."""
    forms: dict[RecordId, set[Variant]] = {}
    for match in confirmed:
        perceptual = match.evidence is Evidence.PERCEPTUAL
        forms.setdefault(match.record, set()).add(match.variant if perceptual else Variant.STORED)
    for verdict in findings.verdicts:
        if verdict.decision is Decision.KNOWN:
            forms.setdefault(verdict.record, set()).add(Variant.STORED)
    return {record: frozenset(chosen) for record, chosen in forms.items()}


def _by_entry(findings: Findings, confirmed: Sequence[Match], place: Mapping[RecordId, int]) -> _Links:
    """Records and the first record that the same entry of the same list confirmed."""
    first: dict[Hashable, int] = {}
    links: list[tuple[int, int]] = []
    for match in confirmed:
        here = place[match.record]
        links.append((here, first.setdefault((match.list_name, match.kind, match.entry), here)))
    for verdict in findings.verdicts:
        if verdict.decision is Decision.KNOWN and verdict.tracking:
            here = place[verdict.record]
            links.append((here, first.setdefault((verdict.verifier, verdict.tracking), here)))
    pairs = np.array(links, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _digests(numbers: NDArray[np.int64], table: RecordTable) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """SHA-256 of the stored bytes of these records, and the place of the record of each."""
    values, owners = [np.zeros((0, 32), np.uint8)], [np.zeros(0, np.int64)]
    for first, digests, present in table.contents():
        places = np.arange(*np.searchsorted(numbers, [first, first + len(digests)]))
        rows = numbers[places] - first
        values.append(digests[rows[present[rows]]])
        owners.append(places[present[rows]])
    return np.concatenate(values), np.concatenate(owners)


def _codes(
    place: Mapping[RecordId, int], forms: _Forms, table: RecordTable, policy: Policy
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """PDQ of the forms that stand for records, and the place of the record of each; shards without any are not read."""
    values, owners = [np.zeros((0, 32), np.uint8)], [np.zeros(0, np.int64)]
    by_shard: dict[str, list[RecordId]] = {}
    for record in place:
        by_shard.setdefault(record.shard, []).append(record)
    for index, shard in enumerate(table.shards):
        if shard.name not in by_shard:
            continue
        for first, signals in usable_codes(table.part(index), policy.match.confirm_quality):
            for form, codes in signals.items():
                mine = [
                    (record.row - first, place[record])
                    for record in by_shard[shard.name]
                    if form in forms[record] and first <= record.row < first + len(codes.present)
                ]
                rows, here = np.array(mine, np.int64).reshape(-1, 2).T
                values.append(codes.values[rows[codes.present[rows]]])
                owners.append(here[codes.present[rows]])
    return np.concatenate(values), np.concatenate(owners)


def _each_once(
    values: NDArray[np.uint8], owner: NDArray[np.int64], label: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The values without doubles, labels that link the records of equal ones, and one record of each value."""
    once, first, which = np.unique(values, axis=0, return_index=True, return_inverse=True)
    return once, _linked(label, (owner, owner[first][which.reshape(-1)])), owner[first]


def _linked(label: NDArray[np.int64], links: _Links) -> NDArray[np.int64]:
    """Labels after both ends of every link got the least one of all that they are linked to, int64 (c,).

    A label is a record's place, and that record has itself as label.
    """
    one, other = links
    while True:
        low = np.minimum(label[one], label[other])
        if (label[one] == label[other]).all():
            return label
        label = label.copy()
        np.minimum.at(label, label[one], low)
        np.minimum.at(label, label[other], low)
        while (label[label] != label).any():
            label = label[label]
