"""What a verifier says about a candidate. One for every candidate; silence is not a verdict."""

from dataclasses import dataclass
from enum import StrEnum

from vetset.model.dataset import RecordId


class Decision(StrEnum):
    """The words of a verdict."""

    KNOWN = "known"
    NEAR = "near"
    MATCH_UNCLASSIFIED = "match_unclassified"
    NOT_KNOWN = "not_known"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, order=True)
class Verdict:
    """One verifier's decision about one candidate.

    Attributes:
        record: the candidate's record.
        decision: what was decided.
        verifier: who decided, for instance `list:NAME`.
        tracking: the verifier's own reference: for a list the entry's id, never a value; empty where there is none.
        reason: why it stayed undecided; empty otherwise.
    """

    record: RecordId
    decision: Decision
    verifier: str
    tracking: str = ""
    reason: str = ""
