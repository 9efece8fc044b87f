"""A second hash list as verifier: whoever owns it has decided about its entries already.

An exact match, or a perceptual one inside the policy's confirming distance and quality, is `known`; a perceptual match
further away is `near`; an address alone says only `match_unclassified`. Where the record has no signal of any kind that
the list holds, the list cannot decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vetset.model.finding import Evidence, Match, is_confirmed
from vetset.model.policy import Policy
from vetset.model.verdict import Decision, Verdict
from vetset.verifier.protocol import Question


def _decision(match: Match, policy: Policy) -> Decision:
    if is_confirmed(match, policy):
        return Decision.KNOWN
    return Decision.NEAR if match.evidence is Evidence.PERCEPTUAL else Decision.MATCH_UNCLASSIFIED


_STRENGTH = (Decision.KNOWN, Decision.NEAR, Decision.MATCH_UNCLASSIFIED)


@dataclass(frozen=True, slots=True)
class ListVerifier:
    """Decides by what a list says.

    Attributes:
        name: `list:NAME`.
        policy: what confirms.
    """

    name: str
    policy: Policy

    def decide(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question, in their order."""
        return [self._verdict(question) for question in questions]

    def _verdict(self, question: Question) -> Verdict:
        if question.matches:
            graded = [(_STRENGTH.index(_decision(match, self.policy)), match) for match in question.matches]
            strength, match = min(graded)
            return Verdict(question.record, _STRENGTH[strength], self.name, tracking=match.entry)
        if not any(not kind.is_url for kind in question.decidable):
            # that an address is not on a list says nothing about the picture
            reason = "no usable signal of the picture of the list's kinds"
            return Verdict(question.record, Decision.UNDECIDED, self.name, reason=reason)
        return Verdict(question.record, Decision.NOT_KNOWN, self.name)
