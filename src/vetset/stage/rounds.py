"""rounds: verify → expand → verify … until a stated rule ends it.

What comes next follows from the opened case and the rules, and from nothing else: every step is sealed before the next
one is thought of. So a run that was killed goes on with the same command, asks nobody twice, forgets nobody, and ends
in the same findings.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from vetset.case.findings import Findings, Provenance, RoundPart, RoundsPart
from vetset.case.ledger import Ledger
from vetset.case.rounds import Rules, Stop, StopRule
from vetset.model.dataset import RecordId
from vetset.model.finding import Seeds, confirmed_matches
from vetset.model.trust import Trust
from vetset.model.verdict import Decision
from vetset.seal.keys import PrivateKey
from vetset.stage.expand import expand
from vetset.stage.space import Space
from vetset.stage.verify import ListAsker, answers, best_first, open_questions, scores, standing
from vetset.store.records import RecordTable


@dataclass(frozen=True, slots=True)
class Search:
    """What a search for neighbours needs, opened once for all rounds.

    Attributes:
        space: the vectors.
        table: the records.
        trust: thresholds and k, and how far each list is trusted.
        provenance: reads again where records came from.
    """

    space: Space
    table: RecordTable
    trust: Trust
    provenance: Callable[[Collection[RecordId]], tuple[Provenance, ...]]

    def around(self, findings: Findings) -> RoundPart:
        """One round around everything confirmed that no round started from."""
        seeds = unsearched(findings, self.trust)
        lapsed = findings.lapsed(self.trust)
        settled = {candidate.record for candidate in findings.candidates} - lapsed
        settled |= {match.record for match in confirmed_matches(findings.matches, self.trust)}
        told, candidates = expand(
            seeds,
            self.space,
            self.table,
            self.trust.policy,
            calibration=findings.rounds[0].calibration,
            number=len(findings.rounds) + 1,
            settled=settled,
        )
        return RoundPart(told, candidates, self.provenance([candidate.record for candidate in candidates]))


def unsearched(findings: Findings, trust: Trust) -> Seeds:
    """Confirmed records that no round has started from.

    What earlier rounds passed over as settled, and what is settled no more, may lie near any seed that was searched
    before. As long as there is such a record, only rounds since the last recheck count, or since a verifier last took
    back that it knows something: nothing else unsettles.
    """
    confirmed = Seeds.confirmed(findings.matches, findings.verdicts, trust)
    last = max([findings.taken_back, *(change.rounds_before for change in findings.rechecks)])
    first = last if _unsettled(findings, confirmed, trust) else 0
    return confirmed.without(record for told in findings.rounds[first:] for record in told.seeds)


def _unsettled(findings: Findings, confirmed: Seeds, trust: Trust) -> bool:
    """Whether a record that was confirmed or a candidate once is lapsed, or is neither by now, whyever that is so."""
    candidates = {candidate.record for candidate in findings.candidates}
    once = candidates.union(*(told.seeds for told in findings.rounds))
    return not once <= (candidates - findings.lapsed(trust)).union(confirmed.records)


@dataclass(frozen=True, slots=True)
class Ask:
    """The next step is to ask about these, best first."""

    records: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True)
class Around:
    """The next step is a round."""


def next_step(
    findings: Findings, rules: Rules, trust: Trust, asked: Collection[RecordId] = frozenset()
) -> Ask | Around | Stop:
    """What to do now: ask while there are questions and budget, else search, unless a rule says that it is enough.

    Args:
        findings: what is known.
        rules: when it ends.
        trust: how far each list is trusted.
        asked: records that these rounds asked about; what this version could not decide is asked once by each command.
    """
    again, waiting = _questions(findings, rules, trust, asked)
    left = len(waiting)
    if rules.budget is not None:
        left = max(0, rules.budget - len(answers(findings, rules.verifier, rules.version)))
    # those again were of the budget when they were asked about first
    if now := again or waiting[:left]:
        return Ask(tuple(now))
    seeds = unsearched(findings, trust).records
    if waiting or (seeds and rules.budget is not None and not left):
        return _stopped("budget", findings, rules, trust)
    if not seeds:
        stopped = _stopped("dry", findings, rules, trust)
        return replace(stopped, rule="harm") if stopped.never_asked else stopped
    share = last_yield(findings, rules)
    if share is not None and rules.least_yield is not None and share < rules.least_yield:
        return _stopped("yield", findings, rules, trust)
    if rules.most_rounds is not None and len(findings.rounds) >= rules.most_rounds:
        return _stopped("rounds", findings, rules, trust)
    return Around()


def _questions(
    findings: Findings, rules: Rules, trust: Trust, asked: Collection[RecordId]
) -> tuple[list[RecordId], list[RecordId]]:
    """What this version could not decide and is asked again, and what it was never asked, best first."""
    answered = answers(findings, rules.verifier, rules.version)
    left = [
        candidate
        for candidate in open_questions(findings, rules.verifier, trust, rules.harm, version=rules.version)
        if candidate.record not in asked
    ]
    score = scores(findings, rules.first_by) if rules.first_by else {}
    fresh = [candidate for candidate in left if candidate.record not in answered]
    return [candidate.record for candidate in left if candidate.record in answered], best_first(fresh, score)


def last_yield(findings: Findings, rules: Rules) -> float | None:
    """Which share of the last round's candidates, of those that the verifier answered about, it confirmed.

    None where there is no such candidate.
    """
    decisions = answers(findings, rules.verifier, rules.version)
    last = [item.record for item in findings.candidates if item.round == len(findings.rounds)]
    asked = [decisions[record] for record in last if record in decisions]
    return asked.count(Decision.KNOWN) / len(asked) if asked else None


def _stopped(rule: StopRule, findings: Findings, rules: Rules, trust: Trust) -> Stop:
    mine = answers(findings, rules.verifier, rules.version)
    stand = {candidate.record for candidate in standing(findings, trust)}
    return Stop(
        rules=rules,
        rule=rule,
        rounds=len(findings.rounds),
        asked=len(mine),
        confirmed=sum(decision is Decision.KNOWN for decision in mine.values()),
        never_asked=len(stand - set(mine)),
        unscored=len(stand - set(scores(findings, rules.first_by))) if rules.first_by else 0,
    )


def drive(ledger: Ledger, key: PrivateKey, rules: Rules, asker: ListAsker, search: Search) -> Stop:
    """Take step after step, each sealed before the next, until a rule ends it.

    Args:
        ledger: the case, which nobody else writes meanwhile.
        key: private key of a recipient.
        rules: when it ends.
        asker: the verifier, the one of the rules.
        search: what rounds need.

    Raises:
        CountError: the store does not fit, or a candidate was left without verdict.
    """
    while True:
        case = ledger.open(key)
        begun = case.unfinished if case.unfinished is not None and case.unfinished.rules == rules else None
        asked = {verdict.record for verdict in begun.verdicts} if begun else set()
        step = next_step(case.findings, rules, search.trust, asked)
        if isinstance(step, Stop):
            ledger.carry_on(case, RoundsPart(rules, stop=step))
            return step
        if isinstance(step, Ask):
            more = RoundsPart(rules, verdicts=asker.ask(step.records).verdicts)
        else:
            brought = search.around(case.findings)
            more = RoundsPart(rules, (), (brought.round,), brought.candidates, brought.provenance)
        ledger.carry_on(case, more)
