"""A second hash list as verifier: whoever owns it has decided about its entries already.

An exact match, or a perceptual one inside the policy's confirming distance and quality, is `known`; a perceptual match
further away is `near`; an address alone, or what would need another owner to confirm it, says only
`match_unclassified`. Where the record has no signal of any kind that the list holds, or agrees with nothing but entries
that are quarantined, disputed or under an alarm, the list cannot decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vetset.model.finding import Evidence, Match, confirmed_matches
from vetset.model.trust import Trust
from vetset.model.verdict import Decision, Verdict
from vetset.verifier.protocol import Question


def _unconfirmed(match: Match) -> Decision:
    return Decision.NEAR if match.evidence is Evidence.PERCEPTUAL else Decision.MATCH_UNCLASSIFIED


_STRENGTH = (Decision.KNOWN, Decision.NEAR, Decision.MATCH_UNCLASSIFIED)


@dataclass(frozen=True, slots=True)
class ListVerifier:
    """Decides by what a list says.

    Attributes:
        name: `list:NAME`.
        trust: what confirms, and how far the list is trusted.
    """

    name: str
    trust: Trust

    def decide(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question, in their order."""
        return [self._verdict(question) for question in questions]

    def _verdict(self, question: Question) -> Verdict:
        matches = [match for match in question.matches if match.seedable]
        confirmed = set(confirmed_matches(matches, self.trust))
        if matches:
            decisions = [Decision.KNOWN if match in confirmed else _unconfirmed(match) for match in matches]
            strength, match = min(zip(map(_STRENGTH.index, decisions), matches, strict=True))
            return Verdict(question.record, _STRENGTH[strength], self.name, tracking=match.entry)
        if question.matches:
            reason = "only entries that are quarantined, disputed or under an alarm"
            return Verdict(question.record, Decision.UNDECIDED, self.name, reason=reason)
        if not any(not kind.is_url for kind in question.decidable):
            # that an address is not on a list says nothing about the picture
            reason = "no usable signal of the picture of the list's kinds"
            return Verdict(question.record, Decision.UNDECIDED, self.name, reason=reason)
        return Verdict(question.record, Decision.NOT_KNOWN, self.name)
