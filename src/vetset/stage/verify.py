"""verify: candidates → verdicts. This file knows how to ask a local list; services come as verifiers of their own."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vetset.case.findings import Findings, Provenance, VerdictsPart
from vetset.model.dataset import RecordId, ShardDigest
from vetset.model.errors import CountError
from vetset.model.finding import Candidate, Match, Seeds
from vetset.model.hashlist import HashList
from vetset.model.policy import Policy
from vetset.model.signal import Kind
from vetset.model.trust import Trust
from vetset.model.verdict import Decision, list_verifier
from vetset.stage.items import harms_of_candidates
from vetset.stage.matched import match_store
from vetset.store.records import RecordTable
from vetset.verifier.local_list import ListVerifier
from vetset.verifier.protocol import Question, asked


def standing(findings: Findings, trust: Trust) -> list[Candidate]:
    """Candidates that there is a reason to ask about, sorted: not those whose seed was withdrawn, confirmed or not."""
    confirmed = set(Seeds.confirmed(findings.matches, findings.verdicts, trust).records)
    return sorted(candidate for candidate in findings.candidates if candidate.seed in confirmed)


def answers(findings: Findings, verifier: str, version: str) -> dict[RecordId, Decision]:
    """What this version of a verifier said, by record; of parts of before nobody knows which version it was."""
    return {
        verdict.record: verdict.decision
        for verdict in findings.verdicts
        if (verdict.verifier, verdict.version) == (verifier, version)
    }


def open_questions(
    findings: Findings, verifier: str, trust: Trust, harm: str = "", *, version: str = ""
) -> list[Candidate]:
    """Candidates that this version of a verifier has not decided about and that there is reason to ask about, sorted.

    They stand and may be of its harm, or another version of it has answered: that word counts until this one speaks.

    Args:
        findings: what is known.
        verifier: who, as verdicts say it.
        trust: how far each list is trusted.
        harm: what the verifier knows about; of another harm it is not asked, since its yes would count for that one.
            Empty for a verifier of every harm.
        version: of the verifier's list.
    """
    said = answers(findings, verifier, version)
    outdated = {verdict.record for verdict in findings.verdicts if verdict.verifier == verifier} - set(said)
    stand = {candidate.record for candidate in standing(findings, trust)}
    if harm:
        harms = harms_of_candidates(findings, trust)
        stand = {record for record in stand if harm in harms[record]}
    decided = {record for record, decision in said.items() if decision is not Decision.UNDECIDED}
    return sorted(candidate for candidate in findings.candidates if candidate.record in (stand | outdated) - decided)


def scores(findings: Findings, column: str) -> Mapping[RecordId, float]:
    """The numbers that a column of the dataset has for records of findings; none where it has no finite number."""
    found = {}
    for entry in findings.provenance:
        value = _number(entry, column)
        if value is not None:
            found[entry.record] = value
    return found


def _number(entry: Provenance, column: str) -> float | None:
    value = json.loads(entry.columns).get(column)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def best_first(candidates: Sequence[Candidate], score: Mapping[RecordId, float]) -> list[RecordId]:
    """In which order to ask: by score, greatest first, those without one behind; then the nearest to a seed first."""
    ranked = sorted(candidates, key=lambda item: (-score.get(item.record, -math.inf), -item.similarity, item.record))
    return [candidate.record for candidate in ranked]


class ListAsker:
    """A list that candidates are held against; it is held against the store once, however often it is asked.

    An entry that an alarm is raised about confirms nothing, and nor does a list, as in an audit
    (`vetset.stage.alarms`).

    Args:
        table: the records.
        hash_list: the list.
        policy: what agrees and what confirms.
    """

    def __init__(self, table: RecordTable, hash_list: HashList, policy: Policy) -> None:
        self._table = table
        self._list = hash_list
        self._policy = policy
        self._verifier = ListVerifier(list_verifier(hash_list.info.name), Trust.of(policy, [hash_list.info]))
        self._matches: Mapping[RecordId, Sequence[Match]] | None = None

    @property
    def name(self) -> str:
        """Who decides, as verdicts say it."""
        return self._verifier.name

    @property
    def harm(self) -> str:
        """What the list knows about."""
        return self._list.info.category.value

    @property
    def version(self) -> str:
        """Of the list."""
        return self._list.info.version

    def ask(self, records: Sequence[RecordId]) -> VerdictsPart:
        """One verdict for each of these records.

        Raises:
            CountError: the store does not fit or is damaged, a candidate was left without verdict, or the list's
                index does not find its own entries.
        """
        if not records:
            return VerdictsPart(self.name, ())
        if self._matches is None:
            self._matches = self._matched()
        said = asked(self._verifier, self._questions(self._matches, sorted(records)))
        about = self._list.info
        return VerdictsPart(
            self.name,
            tuple(
                replace(verdict, version=about.version, owner=about.voice, category=about.category.value)
                for verdict in said
            ),
        )

    def _matched(self) -> Mapping[RecordId, Sequence[Match]]:
        """What the list matches anywhere, as an audit with it would: an entry is judged by all that it matches."""
        found = match_store(self._table, [self._list], self._policy)
        if found.imbalances:
            raise CountError("the list cannot be held against the store: nothing is decided", seen=found.imbalances[0])
        whole = any(alarm.sign.of_list for alarm in found.alarms)
        matches: dict[RecordId, list[Match]] = {}
        for match in found.matches:
            matches.setdefault(match.record, []).append(replace(match, seedable=False) if whole else match)
        return matches

    def _questions(self, matches: Mapping[RecordId, Sequence[Match]], records: Sequence[RecordId]) -> list[Question]:
        decidable: dict[RecordId, set[Kind]] = {record: set() for record in records}
        by_shard: dict[ShardDigest, list[RecordId]] = {}
        for record in records:
            by_shard.setdefault(record.shard, []).append(record)
        for index, shard in enumerate(self._table.shards):
            asked_here = by_shard.get(shard.name, [])
            if not asked_here:
                continue
            part = self._table.part(index)
            for kind in self._list.entries:
                if kind in part.kinds:
                    present = part.present_at(kind, [record.row for record in asked_here])
                    for record in asked_here:
                        if record.row in present:
                            decidable[record].add(kind)
        return [
            Question(record, tuple(sorted(matches.get(record, ()))), frozenset(decidable[record])) for record in records
        ]


def verify_with_list(findings: Findings, table: RecordTable, hash_list: HashList, trust: Trust) -> VerdictsPart:
    """Ask a local list about every candidate of its harm that this version of it has not decided about yet.

    Raises:
        CountError: the store does not fit, or a candidate was left without verdict.
    """
    asker = ListAsker(table, hash_list, trust.policy)
    waiting = open_questions(findings, asker.name, trust, asker.harm, version=asker.version)
    return asker.ask([candidate.record for candidate in waiting])
