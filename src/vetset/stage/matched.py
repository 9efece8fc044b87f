"""The whole store × all lists: each shard's counts are checked, a damaged one costs itself, only sums are kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from vetset.model.alarm import Alarm
from vetset.model.coverage import Coverage, Tally, total_coverage, total_tally
from vetset.model.dataset import ShardDigest
from vetset.model.errors import CountError
from vetset.model.finding import Match
from vetset.model.hashlist import HashList
from vetset.model.policy import Policy
from vetset.model.signal import Kind, Reason
from vetset.stage.alarms import Agreed, raised
from vetset.stage.match import GROUP_SHARDS, SLAB_RECORDS, Given, ListMatcher, ShardMatches
from vetset.stage.selftest import index_test
from vetset.store.records import RecordTable, StoredShard


@dataclass(frozen=True, slots=True)
class Matched:
    """What all shards and all lists have in common.

    Attributes:
        imbalances: why a sum does not add up, if one does not, or which search failed its self-test.
        indexes: indexes that found a sample of their own entries.
        unread: shards whose part of the store is damaged.
        alarms: what looks poisoned; entries under an alarm are no longer seedable in `matches`.
        hits: see `vetset.stage.alarms.Raised`.
    """

    matches: tuple[Match, ...]
    tallies: tuple[Tally, ...]
    coverage: dict[Kind, Coverage]
    imbalances: tuple[str, ...]
    indexes: int
    unread: tuple[ShardDigest, ...]
    alarms: tuple[Alarm, ...] = ()
    hits: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Total:
    """Sums over the shards so far.

    Attributes:
        kinds: of which every shard says how much could be decided.
    """

    kinds: frozenset[Kind]
    matches: list[Agreed] = field(default_factory=list)
    tallies: dict[tuple[str, Kind], Tally] = field(default_factory=dict)
    coverage: dict[Kind, Coverage] = field(default_factory=dict)
    imbalances: list[str] = field(default_factory=list)
    unread: list[ShardDigest] = field(default_factory=list)

    def add(self, shard: StoredShard, found: ShardMatches) -> None:
        """Count one shard."""
        self.matches += zip(found.matches, found.rows, strict=True)
        self.tallies = total_tally([*self.tallies.values(), *found.tallies])
        # the reader's count comes from the manifest, not from the part that is being checked
        coverage = [replace(item, records=shard.records) for item in found.coverage]
        self.coverage = total_coverage([*self.coverage.values(), *coverage])
        self.imbalances += _imbalances(self.kinds, coverage, found.tallies, shard.uri)


def match_store(table: RecordTable, lists: Sequence[HashList], policy: Policy) -> Matched:
    """Join every part with every list, check every count, and let every index find entries of its own."""
    matcher, total = ListMatcher(lists, policy), _Total(frozenset(policy.scan.kinds))
    for group in _groups(table.shards):
        for shard, found in _matched(table, group, matcher):
            if isinstance(found, CountError):
                # the other shards' findings are not lost with this one's
                total.imbalances.append(str(found))
                total.unread.append(shard.name)
                total.add(shard, _undecidable(lists, policy, shard.records))
            else:
                total.add(shard, found)
    # afterwards: what was damaged in memory meanwhile is noticed, too
    test = index_test(matcher)
    agreed = sorted(total.matches)
    seen = raised(agreed, table, lists, policy)
    matches = [
        replace(match, seedable=False) if (match.list_name, match.kind, row) in seen.apart else match
        for match, row in agreed
    ]
    return Matched(
        tuple(sorted(matches) if seen.apart else matches),
        tuple(total.tallies.values()),
        total.coverage,
        (*total.imbalances, *test.failed),
        test.tried,
        tuple(total.unread),
        seen.alarms,
        seen.hits,
    )


def _groups(shards: Sequence[StoredShard]) -> Iterator[range]:
    """Positions of consecutive shards that are matched together: about as many records as are joined at once."""
    first = records = 0
    for index, shard in enumerate(shards):
        if index > first and (records + shard.records > SLAB_RECORDS or index - first == GROUP_SHARDS):
            yield range(first, index)
            first, records = index, 0
        records += shard.records
    if shards:
        yield range(first, len(shards))


def _matched(
    table: RecordTable, group: range, matcher: ListMatcher
) -> Iterator[tuple[StoredShard, ShardMatches | CountError]]:
    """Every shard of a group with what was found, or with why nothing can be: then it is the only one that suffers."""
    try:
        given = [Given(table.part(index), table.shards[index].name, table.shards[index].records) for index in group]
        yield from zip([table.shards[index] for index in group], matcher.group(given), strict=True)
    except CountError as error:
        if len(group) == 1:
            yield table.shards[group[0]], error
        else:
            for index in group:
                yield from _matched(table, range(index, index + 1), matcher)


def _undecidable(lists: Sequence[HashList], policy: Policy, records: int) -> ShardMatches:
    """What is left of a shard whose part of the store is damaged: every record undecided."""
    undecided = {Reason.DAMAGED_SHARD: records} if records else {}
    kinds = [kind for kind in Kind if kind in policy.scan.kinds]
    return ShardMatches(
        (),
        (),
        tuple(
            Tally(hash_list.info.name, kind, records, 0, 0, undecided)
            for hash_list in lists
            for kind in hash_list.entries
        ),
        tuple(Coverage(kind, records, 0, undecided) for kind in kinds),
    )


def _imbalances(
    kinds: frozenset[Kind], coverages: Sequence[Coverage], tallies: Sequence[Tally], where: str
) -> list[str]:
    by_kind = {coverage.kind: coverage for coverage in coverages}
    problems = [
        # otherwise its records would be missing from the sums, and nobody would miss them
        str(CountError(f"the part has no signals of {kind} and no reasons", where=where, todo="Scan the shard again."))
        for kind in sorted(kinds - by_kind.keys())
    ]
    for check in [
        *(partial(item.check, where) for item in coverages),
        *(partial(item.check, by_kind[item.kind], where) for item in tallies if item.kind in by_kind),
    ]:
        try:
            check()
        except CountError as error:
            problems.append(str(error))
    return problems
