"""What a verifier says about a candidate. One for every candidate; silence is not a verdict.

Its last word counts: what it said in an earlier version is superseded, not added to.
"""

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


def list_verifier(name: str) -> str:
    """What a list of this name is called as a verifier."""
    return f"list:{name}"


@dataclass(frozen=True, slots=True, order=True)
class Verdict:
    """One verifier's decision about one candidate.

    Attributes:
        record: the candidate's record.
        decision: what was decided.
        verifier: who decided, for instance `list:NAME`.
        tracking: the verifier's own reference: for a list the entry's id, never a value; empty where there is none.
        reason: why it stayed undecided; empty otherwise.
        version: of the verifier's list; empty, as the two below, in parts of before, which do not say.
        owner: who stands behind the verifier, see `voice_of`.
        category: which harm it knows about.
    """

    record: RecordId
    decision: Decision
    verifier: str
    tracking: str = ""
    reason: str = ""
    version: str = ""
    owner: str = ""
    category: str = ""
