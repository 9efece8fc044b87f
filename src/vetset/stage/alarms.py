"""alarms: matches × store → what looks as if a list, or an entry of it, were not what its owner meant.

A list may be poisoned: a PDQ value that many unlike pictures match, an MD5 value made to be that of two files, a
version that suddenly knows everything. Only entries that match more records than the policy lets pass are looked at, so
that few matches cost next to nothing; of those the signals are read from the store again, shard by shard.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vetset.model.alarm import Alarm, Sign
from vetset.model.dataset import RecordId
from vetset.model.finding import Match
from vetset.model.hashlist import DOUBTFUL, EntryFlag, HashList
from vetset.model.policy import Policy
from vetset.model.signal import Kind, Variant
from vetset.search.bits import distances
from vetset.stage.match import radius_of
from vetset.store.columns import Values
from vetset.store.part import Part
from vetset.store.records import RecordTable

Agreed = tuple[Match, int]
"""A match, and the row of its entry among the list's entries of that kind."""
_Form = tuple[RecordId, Variant]
_Value = tuple[str, Kind, int]

_SAMPLED = 256
"""Codes of one entry of which all pairs are compared, at most: evenly chosen, so that the work has a bound."""
_FORGEABLE = frozenset({Kind.MD5, Kind.SHA1})


@dataclass(frozen=True, slots=True)
class Raised:
    """What was seen of all lists.

    Attributes:
        alarms: sorted by list, sign and entry.
        apart: list, kind and row of entries that an alarm sets apart, with others of the same id unless released.
        hits: by list, how many records it matches by entries that are neither set apart nor released.
    """

    alarms: tuple[Alarm, ...]
    apart: frozenset[_Value]
    hits: Mapping[str, int]


def raised(found: Sequence[Agreed], table: RecordTable, lists: Sequence[HashList], policy: Policy) -> Raised:
    """Every alarm that the policy raises over some matches.

    Args:
        found: all matches of these lists, sorted.
        table: the records.
        lists: the lists.
        policy: limits.

    Raises:
        CountError: a part of the store is damaged or missing.
    """
    by_name = {hash_list.info.name: hash_list for hash_list in lists}
    watched: dict[_Value, list[Match]] = {}
    for match, row in found:
        flags = int(by_name[match.list_name].entries[match.kind].flags[row])
        if not flags & (DOUBTFUL | EntryFlag.RELEASED):
            watched.setdefault((match.list_name, match.kind, row), []).append(match)
    alarms = [*_collisions(watched, table), *_contents(watched, table, policy)]
    for hash_list in lists:
        alarms += _unlike(hash_list, watched, table, policy)
    alarmed = {(alarm.list_name, alarm.kind, alarm.entry) for alarm in alarms}
    apart = frozenset(value for value, mine in watched.items() if (*value[:2], mine[0].entry) in alarmed)
    hits = _hits(watched, apart, by_name)
    alarms += _rates(hits, table.count, policy)
    return Raised(tuple(sorted(alarms, key=_order)), apart, hits)


def _order(alarm: Alarm) -> tuple[str, str, str, str]:
    return alarm.list_name, alarm.sign.value, alarm.kind or "", alarm.entry


def _hits(watched: Mapping[_Value, Sequence[Match]], apart: frozenset[_Value], names: Iterable[str]) -> dict[str, int]:
    records: dict[str, set[RecordId]] = {name: set() for name in names}
    for value, matches in watched.items():
        if value not in apart:
            records[value[0]].update(match.record for match in matches)
    return {name: len(matched) for name, matched in sorted(records.items())}


def _rates(hits: Mapping[str, int], count: int, policy: Policy) -> Iterator[Alarm]:
    limits = policy.alarm
    for name, matched in hits.items():
        if matched >= limits.hits and matched > limits.hit_rate * count:
            yield Alarm(name, Sign.HIT_RATE, matched, matched / count, limits.hit_rate)


def _collisions(watched: Mapping[_Value, Sequence[Match]], table: RecordTable) -> Iterator[Alarm]:
    """MD5 and SHA-1 values of different stored bytes; what a column declares may differ for other reasons."""
    found = [
        [match for match in matches if match.variant is Variant.STORED]
        for (_, kind, _), matches in watched.items()
        if kind in _FORGEABLE
    ]
    suspected = [matches for matches in found if len(matches) > 1]
    for matches, contents in _different_contents(suspected, table):
        if contents > 1:
            yield _of_entry(matches, Sign.COLLISION, contents, 1)


def _contents(watched: Mapping[_Value, Sequence[Match]], table: RecordTable, policy: Policy) -> Iterator[Alarm]:
    most = policy.alarm.contents
    suspected = [matches for (_, kind, _), matches in watched.items() if kind.is_url and len(matches) > most]
    for matches, contents in _different_contents(suspected, table):
        if contents > most:
            yield _of_entry(matches, Sign.CONTENTS, contents, most)


def _different_contents(
    suspected: Sequence[Sequence[Match]], table: RecordTable
) -> Iterator[tuple[Sequence[Match], int]]:
    """The matches of each entry, and how many different bytes their records store, as far as SHA-256 was taken."""
    forms = [[(match.record, Variant.STORED) for match in matches] for matches in suspected]
    for matches, digests in zip(suspected, _signals(Kind.SHA256, forms, table), strict=True):
        yield matches, len(np.unique(digests, axis=0))


def _unlike(
    hash_list: HashList, watched: Mapping[_Value, Sequence[Match]], table: RecordTable, policy: Policy
) -> Iterator[Alarm]:
    """PDQ values whose records are in many groups, and not mostly near each other as edits of one picture are."""
    limits, radius = policy.alarm, radius_of(Kind.PDQ, hash_list.info, policy)
    suspected = []
    for (name, kind, _), matches in watched.items():
        if name == hash_list.info.name and kind is Kind.PDQ and len(matches) > limits.unlike:
            nearest = {match.record: match for match in sorted(matches, key=lambda match: -match.distance)}
            suspected.append([nearest[record] for record in sorted(nearest)])
    forms = [[(match.record, match.variant) for match in matches] for matches in suspected]
    for matches, signals in zip(suspected, _signals(Kind.PDQ, forms, table), strict=True):
        codes = signals[np.lexsort(signals.T[::-1])]  # in an order of their own: that of the records decides nothing
        groups = _groups(codes, radius, limits.unlike + 1)
        if groups > limits.unlike and _apart(codes, radius) > limits.unlike_pairs:
            yield _of_entry(matches, Sign.UNLIKE, groups, limits.unlike)


def _groups(codes: NDArray[np.uint8], radius: int, most: int) -> int:
    """In how many groups codes uint8 (n, 32) lie, up to `most`; each is of the first group whose first one is near."""
    count = 0
    while len(codes) and count < most:
        count += 1
        codes = codes[distances(codes, codes[0]) > radius]
    return count


def _apart(codes: NDArray[np.uint8], radius: int) -> float:
    """Share of pairs of codes that are farther apart than the radius, among some that are evenly chosen."""
    chosen = codes[np.linspace(0, len(codes) - 1, min(len(codes), _SAMPLED)).astype(np.int64)]
    far = sum(int(np.count_nonzero(distances(chosen[row + 1 :], code) > radius)) for row, code in enumerate(chosen))
    return 2 * far / (len(chosen) * (len(chosen) - 1))


def _of_entry(matches: Sequence[Match], sign: Sign, seen: int, limit: int) -> Alarm:
    records = len({match.record for match in matches})
    return Alarm(matches[0].list_name, sign, records, seen, limit, matches[0].entry, matches[0].kind)


def _signals(kind: Kind, wanted: Sequence[Sequence[_Form]], table: RecordTable) -> list[NDArray[np.uint8]]:
    """Signals uint8 (n, width) of some forms of records, for each of some groups; those that have one, in order."""
    flat = [form for group in wanted for form in group]
    values, present = np.zeros((len(flat), kind.width), np.uint8), np.zeros(len(flat), np.bool_)
    by_shard: dict[str, list[int]] = {}
    for place, (record, _) in enumerate(flat):
        by_shard.setdefault(record.shard, []).append(place)
    for index, shard in enumerate(table.shards):
        if shard.name in by_shard:
            places = np.array(by_shard[shard.name], np.int64)
            rows = np.array([flat[place][0].row for place in places.tolist()], np.int64)
            forms = [flat[place][1] for place in places.tolist()]
            for here, held, cells in _cells(table.part(index), kind, rows, forms):
                values[places[here]], present[places[here]] = held.values[cells], held.present[cells]
    ends = np.cumsum([len(group) for group in wanted], dtype=np.int64)[:-1]
    return (
        [part[there] for part, there in zip(np.split(values, ends), np.split(present, ends), strict=True)]
        if wanted
        else []
    )


def _cells(
    part: Part, kind: Kind, rows: NDArray[np.int64], forms: Sequence[Variant]
) -> Iterator[tuple[NDArray[np.int64], Values, NDArray[np.int64]]]:
    """Which of some rows and forms lie in which signals, and where in these."""
    if kind not in part.kinds:
        return
    names = part.variants(kind)
    of_form = {form: np.flatnonzero([mine is form for mine in forms]) for form in set(forms)}
    for window in part.windows(kind):
        for form, signals in zip(names, window.signals, strict=True):
            here = of_form.get(form, np.zeros(0, np.int64))
            cells = rows[here] - window.first
            inside = (cells >= 0) & (cells < len(window.why))
            yield here[inside], signals, cells[inside]
