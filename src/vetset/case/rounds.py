"""By which rules rounds are driven, and which of them ended it."""

from dataclasses import dataclass
from typing import Literal

StopRule = Literal["dry", "harm", "budget", "yield", "rounds"]
"""Nothing confirmed that was not searched around, and nobody left to ask about; the same, but for candidates of another
harm than the verifier's; no question left of the budget; too few confirmed; enough rounds."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When rounds end, beside the one rule that always holds: when nothing new is confirmed.

    All limits are about the whole case, what this version was asked and what was searched before included: so the same
    rules on the same case end in the same place, however often they were interrupted.

    Attributes:
        verifier: who decides, as verdicts say it.
        version: of the verifier's list.
        budget: candidates that the verifier may be asked about in all; None for no limit.
        least_yield: share of the last round's candidates, of those asked about, that must be confirmed, 0 to 1.
        most_rounds: rounds in all, the audit's own included; None for no limit.
        first_by: column of the dataset by whose number, greatest first, candidates are asked about; empty for none.
        harm: what the verifier knows about, and is asked about alone; empty for every harm.
    """

    verifier: str
    version: str
    budget: int | None = None
    least_yield: float | None = None
    most_rounds: int | None = None
    first_by: str = ""
    harm: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where rounds ended.

    Attributes:
        rules: what they went by.
        rule: the rule that ended them.
        rounds: rounds in the case.
        asked: candidates that this version of the verifier has answered about.
        confirmed: how many of these it confirmed.
        never_asked: candidates that stand and that this version was not asked about.
        unscored: candidates that stand and have no number in the column `first_by`; 0 where none was named.
    """

    rules: Rules
    rule: StopRule
    rounds: int
    asked: int
    confirmed: int
    never_asked: int
    unscored: int
