"""The documents inside sealed parts, and what they fold to.

A case is a sequence of parts. The first holds what the audit found; later ones add verdicts, rounds and rechecks.
Nothing is changed, but for a last part whose rounds go on: opening folds them in order. Who rechecks cannot read what
was found before, so a recheck states everything that is found with its lists now, and folding tells what is new and
what was withdrawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from vetset.case.copies import CopiesPart
from vetset.case.manifest import ListUse, Manifest, in_force
from vetset.case.nearness import Calibration, Crowding
from vetset.case.rounds import Rules, Stop
from vetset.case.verdicts import Spoken, beside, by_verifier, takes_back
from vetset.model.alarm import Alarm, Sign
from vetset.model.canonical import document_digest
from vetset.model.coverage import Coverage, Tally
from vetset.model.dataset import ContentId, RecordId, ShardDigest
from vetset.model.finding import Candidate, Match, Seeds
from vetset.model.policy import Policy
from vetset.model.signal import Kind
from vetset.model.trust import Trust
from vetset.model.verdict import Verdict

Status = Literal["complete", "incomplete", "unbalanced"]


@dataclass(frozen=True, slots=True, order=True)
class Provenance:
    """Where a record of a finding came from, read again from the dataset when sealing.

    Attributes:
        record: the record.
        uri: its shard's place in the dataset.
        content: its identity across revisions.
        url: its address as stored, or empty.
        columns: its other columns as a canonical JSON text.
        checked: whether the bytes read now are those that were scanned.
        asked: whether the dataset was at hand, and to be read again; true in parts of before, which do not say.
    """

    record: RecordId
    uri: str
    content: ContentId
    url: str = field(repr=False)
    columns: str = field(repr=False)
    checked: bool
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Round:
    """One search for neighbours.

    Attributes:
        number: from 1.
        k: neighbours looked at for each seed.
        calibration: how the threshold came about.
        seeds: the confirmed records it started from.
        blind: seeds that have no usable embedding.
        saturated: seeds that have more neighbours within the threshold than were returned.
        above: pairs of seed and record that passed the threshold.
        fresh: candidates that were new: neither confirmed nor candidates before.
        copies: how many of these are copies of a neighbour at another place.
        crowding: where too many records lie at one point or near one seed; None if sealed before this was looked at.
    """

    number: int
    k: int
    calibration: Calibration
    seeds: tuple[RecordId, ...]
    blind: int
    saturated: int
    above: int
    fresh: int
    copies: int
    crowding: Crowding | None = None


@dataclass(frozen=True, slots=True)
class FindingsPart:
    """What the audit itself found.

    Attributes:
        status: `complete`, `incomplete` (a shard could not be read) or `unbalanced` (counts do not add up).
        alarms: what looks poisoned; none if sealed before this was looked at.
        hits: by list, how many records it matches by entries that are neither set apart nor released.
    """

    matches: tuple[Match, ...]
    tallies: tuple[Tally, ...]
    candidates: tuple[Candidate, ...]
    rounds: tuple[Round, ...]
    provenance: tuple[Provenance, ...]
    status: Status
    alarms: tuple[Alarm, ...] = ()
    hits: Mapping[str, int] = field(default_factory=dict)
    part: Literal["findings"] = "findings"


@dataclass(frozen=True, slots=True)
class VerdictsPart:
    """What a verifier said, one verdict for every candidate it was asked about."""

    verifier: str
    verdicts: tuple[Verdict, ...]
    part: Literal["verdicts"] = "verdicts"


@dataclass(frozen=True, slots=True)
class RoundPart:
    """A further round of neighbours."""

    round: Round
    candidates: tuple[Candidate, ...]
    provenance: tuple[Provenance, ...]
    part: Literal["round"] = "round"


@dataclass(frozen=True, slots=True)
class RoundsPart:
    """Verdicts and rounds in turn, as `expand --until-dry` drives them; it grows until `stop` says why it ended.

    Attributes:
        rules: what the rounds go by.
        verdicts: what the verifier said, in the order in which it was asked.
        rounds: the rounds in order.
        candidates: what they brought.
        provenance: where that came from.
        stop: None while the rounds go on.
    """

    rules: Rules
    verdicts: tuple[Verdict, ...] = ()
    rounds: tuple[Round, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    stop: Stop | None = None
    part: Literal["rounds"] = "rounds"

    def then(self, more: "RoundsPart") -> "RoundsPart":
        """This and what came after it, under the same rules."""
        return RoundsPart(
            self.rules,
            self.verdicts + more.verdicts,
            self.rounds + more.rounds,
            self.candidates + more.candidates,
            self.provenance + more.provenance,
            more.stop,
        )


@dataclass(frozen=True, slots=True)
class RecheckPart:
    """Everything that is found with some lists in their present version, in place of what was found with them before.

    Attributes:
        lists: the lists, at the version that was held against the store.
        coverage: how much could be decided, per kind.
        unread: shards whose part of the store was damaged: nothing is known of them, so that nothing found there
            before is withdrawn.
        status: as of the findings, for these lists.
        alarms: as of the findings, for these lists.
        hits: as of the findings, for these lists.
        held_on: ISO date in UTC; empty if sealed before it was noted.
    """

    lists: tuple[ListUse, ...]
    matches: tuple[Match, ...]
    tallies: tuple[Tally, ...]
    coverage: tuple[Coverage, ...]
    unread: tuple[ShardDigest, ...]
    provenance: tuple[Provenance, ...]
    status: Status
    alarms: tuple[Alarm, ...] = ()
    hits: Mapping[str, int] = field(default_factory=dict)
    held_on: str = ""
    part: Literal["recheck"] = "recheck"


LaterPart = VerdictsPart | RoundPart | RoundsPart | RecheckPart | CopiesPart
AnyPart = FindingsPart | LaterPart
PART = TypeAdapter[AnyPart](Annotated[AnyPart, Field(discriminator="part")])


@dataclass(frozen=True, slots=True)
class Recheck:
    """What a recheck changed.

    Attributes:
        lists: the lists, at the version that was held against the store.
        coverage: how much could be decided, per kind.
        new: matches that were not there before.
        withdrawn: matches that were there before and are no more.
        flagged: matches whose entry has been quarantined or disputed since, so that they seed no more.
        status: as of the findings, for these lists.
        rounds_before: rounds that were there already.
        held_on: ISO date of the recheck.
    """

    lists: tuple[ListUse, ...]
    coverage: tuple[Coverage, ...]
    new: tuple[Match, ...]
    withdrawn: tuple[Match, ...]
    flagged: tuple[Match, ...]
    status: Status
    rounds_before: int
    held_on: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """A case, folded.

    Attributes:
        alarms: those that were sealed last for each list.
        hits: by list, how many records it matched each time that it was held, in order.
        taken_back: rounds that were there already when a verifier last took back a `known`.
    """

    matches: tuple[Match, ...]
    tallies: tuple[Tally, ...]
    candidates: tuple[Candidate, ...]
    verdicts: tuple[Verdict, ...]
    rounds: tuple[Round, ...]
    provenance: tuple[Provenance, ...]
    status: Status
    rechecks: tuple[Recheck, ...] = ()
    stops: tuple[Stop, ...] = ()
    copies: CopiesPart | None = None
    alarms: tuple[Alarm, ...] = ()
    hits: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    taken_back: int = 0

    def lapsed(self, trust: Trust) -> frozenset[RecordId]:
        """Candidates whose seed is not confirmed any more, and which no verdict or match confirms either.

        They stay in the case with the verdicts that they were given, but there is no reason left to ask about them.
        """
        confirmed = set(Seeds.confirmed(self.matches, self.verdicts, trust).records)
        near = {candidate.record for candidate in self.candidates if candidate.seed not in confirmed}
        return frozenset(near - confirmed)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the canonical content: equal findings have equal digests, whoever sealed them and when."""
        return document_digest(_FINDINGS.dump_python(self, mode="json"))

    def verdict_of(self) -> Mapping[RecordId, tuple[Verdict, ...]]:
        """All verdicts by record, in the order they were given."""
        grouped: dict[RecordId, list[Verdict]] = {}
        for verdict in self.verdicts:
            grouped.setdefault(verdict.record, []).append(verdict)
        return {record: tuple(verdicts) for record, verdicts in grouped.items()}


_FINDINGS = TypeAdapter(Findings)


def lists_now(findings: Findings, manifest: Manifest) -> tuple[ListUse, ...]:
    """The lists in force, sorted by name, by what is sealed: `run.json` may be one recheck behind."""
    return in_force(manifest.request.lists, (change.lists for change in findings.rechecks))


def alarms_now(findings: Findings, policy: Policy) -> tuple[Alarm, ...]:
    """The alarms that are on: those that were sealed, and lists that match far more than their version before."""
    return findings.alarms + tuple(
        alarm for name, counts in sorted(findings.hits.items()) for alarm in _jump(name, counts, policy)
    )


def _jump(name: str, counts: Sequence[int], policy: Policy) -> Sequence[Alarm]:
    """The alarm of a list that jumped. What a later version is compared with is the last one that had not."""
    limits = policy.alarm
    calm = counts[0]
    for count in counts[1:]:
        if count < limits.hits or count <= limits.jump * max(calm, 1):
            calm = count
    now = counts[-1]
    return [Alarm(name, Sign.JUMP, now, now / max(calm, 1), limits.jump)] if now != calm else []


def trust_of(findings: Findings, manifest: Manifest) -> Trust:
    """How far each list in force is trusted in this case."""
    policy = manifest.request.policy
    return Trust.of(policy, lists_now(findings, manifest), alarms_now(findings, policy))


def held_on(findings: Findings, manifest: Manifest) -> dict[str, str]:
    """ISO date on which each list in force was held against the records; empty where nobody noted it."""
    days = dict.fromkeys((used.name for used in manifest.request.lists), manifest.audited_on)
    for change in findings.rechecks:
        days |= dict.fromkeys((used.name for used in change.lists), change.held_on)
    return days


def coverage_of(findings: Findings, manifest: Manifest, list_name: str) -> Mapping[Kind, Coverage]:
    """How much could be decided when this list in force was held against the records, per kind."""
    coverage = manifest.coverage
    for change in findings.rechecks:
        if list_name in {used.name for used in change.lists}:
            coverage = {item.kind: item for item in change.coverage}
    return coverage


def _unflagged(match: Match) -> Match:
    """The match itself, whatever is said of its entry by now."""
    return replace(match, seedable=True, members=1, vetted=True)


def _alarms(before: Sequence[Alarm], part: RecheckPart) -> tuple[Alarm, ...]:
    """The alarms over a recheck's lists: its own; where it could not read all records, those of before stand, too."""
    if not part.unread:
        return part.alarms
    names, anew = {used.name for used in part.lists}, {_about(alarm) for alarm in part.alarms}
    stand = [alarm for alarm in before if alarm.list_name in names and _about(alarm) not in anew]
    return (*part.alarms, *stand)


def _about(alarm: Alarm) -> tuple[str, str, str, str]:
    return alarm.list_name, alarm.sign.value, alarm.kind or "", alarm.entry


def _set_apart(matches: Sequence[Match], alarms: Sequence[Alarm]) -> tuple[Match, ...]:
    """The matches, those of an entry under an alarm without the right to seed."""
    apart = {(alarm.list_name, alarm.kind, alarm.entry) for alarm in alarms if alarm.entry}
    return tuple(
        replace(match, seedable=False) if (match.list_name, match.kind, match.entry) in apart else match
        for match in matches
    )


def _rechecked(before: Sequence[Match], part: RecheckPart, rounds: int) -> tuple[tuple[Match, ...], Recheck]:
    """All matches after a recheck, and what it changed."""
    names = {used.name for used in part.lists}
    unread = set(part.unread)
    mine = [match for match in before if match.list_name in names and match.record.shard not in unread]
    kept = [match for match in before if match.list_name not in names or match.record.shard in unread]
    old = {_unflagged(match): match for match in mine}
    now = {_unflagged(match): match for match in part.matches}
    change = Recheck(
        lists=part.lists,
        coverage=part.coverage,
        new=tuple(match for key, match in now.items() if key not in old),
        withdrawn=tuple(match for key, match in old.items() if key not in now),
        flagged=tuple(match for key, match in now.items() if key in old and old[key].seedable and not match.seedable),
        status=part.status,
        rounds_before=rounds,
        held_on=part.held_on,
    )
    return tuple(sorted([*kept, *part.matches])), change


def _status(first: FindingsPart, rechecks: Sequence[Recheck]) -> Status:
    """`incomplete` if a shard was never read; `unbalanced` if the last word on some list is."""
    if first.status == "incomplete":
        return first.status
    latest: dict[str, Status] = {tally.list_name: first.status for tally in first.tallies}
    for change in rechecks:
        latest |= {used.name: change.status for used in change.lists}
    return next((status for status in latest.values() if status != "complete"), "complete" if latest else first.status)


def _provenance(parts: Sequence[AnyPart], told: set[RecordId]) -> tuple[Provenance, ...]:
    """Where the records of findings came from: the first time that it was checked, else the first time at all."""
    found: dict[RecordId, Provenance] = {}
    for part in parts:
        for entry in () if isinstance(part, VerdictsPart | CopiesPart) else part.provenance:
            if entry.record in told and (entry.record not in found or entry.checked > found[entry.record].checked):
                found[entry.record] = entry
    return tuple(sorted(found.values()))


def _stops(parts: Sequence[AnyPart]) -> tuple[Stop, ...]:
    """Where rounds ended; the same command again, with nothing new, ends in the same place and is told once."""
    stops: list[Stop] = []
    for part in parts:
        if isinstance(part, RoundsPart) and part.stop is not None and part.stop not in stops[-1:]:
            stops.append(part.stop)
    return tuple(stops)


def fold(parts: Sequence[Any]) -> Findings:
    """What a sequence of parts amounts to.

    A candidate that comes again has the evidence of the last round that brought it, since it only comes again when the
    seed before was withdrawn. Verdicts of several verifiers stand side by side; the last one of each verifier counts.

    Args:
        parts: decoded parts, the findings first.
    """
    first = parts[0]
    matches, tallies, alarms = first.matches, first.tallies, first.alarms
    hits = {name: (count,) for name, count in first.hits.items()}
    candidates = {candidate.record: candidate for candidate in first.candidates}
    rounds: list[Round] = list(first.rounds)
    verdicts: Spoken = {}
    taken_back = 0
    rechecks: list[Recheck] = []
    for part in parts[1:]:
        if isinstance(part, VerdictsPart | RoundsPart):
            # of rounds in one part, those in an earlier version are asked about before the first search
            taken_back = len(rounds) if takes_back(verdicts, part.verdicts) else taken_back
            verdicts |= by_verifier(part.verdicts)
        if isinstance(part, RoundPart | RoundsPart):
            rounds += [part.round] if isinstance(part, RoundPart) else part.rounds
            candidates |= {candidate.record: candidate for candidate in part.candidates}
        elif isinstance(part, RecheckPart):
            if part.unread:
                part = replace(part, matches=_set_apart(part.matches, _alarms(alarms, part)))  # noqa: PLW2901
            matches, change = _rechecked(matches, part, len(rounds))
            names = {used.name for used in part.lists}
            tallies = (*(tally for tally in tallies if tally.list_name not in names), *part.tallies)
            alarms = (*(alarm for alarm in alarms if alarm.list_name not in names), *_alarms(alarms, part))
            if not part.unread:  # what a part of the records shows is no measure for the next time
                hits |= {name: (*hits.get(name, ()), count) for name, count in part.hits.items()}
            rechecks.append(change)
            verdicts = beside(verdicts, part.lists, part.unread)
    return Findings(
        matches=matches,
        tallies=tuple(sorted(tallies, key=lambda tally: (tally.list_name, tally.kind))),
        candidates=tuple(sorted(candidates.values())),
        verdicts=tuple(verdicts.values()),
        rounds=tuple(rounds),
        provenance=_provenance(parts, {match.record for match in matches} | set(candidates)),
        status=_status(first, rechecks),
        rechecks=tuple(rechecks),
        stops=_stops(parts),
        copies=next((part for part in reversed(parts) if isinstance(part, CopiesPart)), None),
        alarms=alarms,
        hits=hits,
        taken_back=taken_back,
    )
