"""Alarms: what looks as if a list, or an entry of it, were not what its owner meant. Sealed with what was found."""

from dataclasses import dataclass
from enum import StrEnum

from vetset.model.signal import Kind


class Sign(StrEnum):
    """What was seen. The first three are of one entry, the last two of a whole list."""

    UNLIKE = "unlike"
    """One PDQ value matches pictures that are not like each other."""
    COLLISION = "collision"
    """One MD5 or SHA-1 value is the digest of different stored bytes, which only happens where somebody made it so."""
    CONTENTS = "contents"
    """Different contents lie under one address."""
    HIT_RATE = "hit-rate"
    """The list matches a larger share of the records than known material has."""
    JUMP = "jump"
    """The list matches many times as many records as its version before."""

    @property
    def of_list(self) -> bool:
        """Whether it speaks of the whole list."""
        return self in (Sign.HIT_RATE, Sign.JUMP)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A sign that passed its limit in the policy.

    Attributes:
        list_name: the list.
        sign: what was seen.
        records: how many records it concerns.
        seen: groups of unlike records, different contents, share of the records, or how many times as many.
        limit: what the policy allows of that.
        entry: id of the entry, never its value; empty for a whole list.
        kind: kind of the entry's value; None for a whole list.
    """

    list_name: str
    sign: Sign
    records: int
    seen: float
    limit: float
    entry: str = ""
    kind: Kind | None = None
