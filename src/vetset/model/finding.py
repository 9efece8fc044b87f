"""Matches and candidates: different types, because they are different claims.

A match is evidence of one stated kind. A candidate is a question. What may seed a search for neighbours is decided
here, once, by `Seeds`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from vetset.model.dataset import RecordId
from vetset.model.policy import Policy, squared
from vetset.model.signal import Kind, Variant
from vetset.model.verdict import Decision, Verdict


class Evidence(StrEnum):
    """What a match or a candidate rests on."""

    EXACT = "exact"
    URL = "url"
    PERCEPTUAL = "perceptual"
    NEIGHBOUR = "neighbour"
    COPY = "copy"
    """The stored bytes are those of a neighbour: the same picture at another place, a candidate as the neighbour is."""


@dataclass(frozen=True, slots=True, order=True)
class Match:
    """A record agrees with an entry of a hash list.

    Attributes:
        record: where it is.
        list_name: whose opinion it is.
        entry: the entry's id in that list; never its value.
        kind: the kind of signal that agreed.
        variant: which form of the record agreed.
        distance: Hamming distance for PDQ (0–31), squared Euclidean distance for PhotoDNA (the sum of squared
            differences, 0 to 9,363,600: a whole number, so that nothing is rounded), 0 for digests.
        quality: PDQ quality of that form of the record (50–100), 100 for everything else.
        seedable: False where the entry is quarantined or disputed.
    """

    record: RecordId
    list_name: str
    entry: str
    kind: Kind
    variant: Variant
    distance: int
    quality: int
    seedable: bool = True

    @property
    def evidence(self) -> Evidence:
        """Which of the three kinds of evidence this is."""
        if self.kind in (Kind.PDQ, Kind.PHOTODNA):
            return Evidence.PERCEPTUAL
        return Evidence.URL if self.kind.is_url else Evidence.EXACT


@dataclass(frozen=True, slots=True, order=True)
class Neighbour:
    """A record lies near a seed in the space of embeddings.

    Attributes:
        record: the record that was found.
        seed: the confirmed record it is near to.
        similarity: cosine, −1 to 1.
        round: the round of expansion that brought it, from 1.
    """

    record: RecordId
    seed: RecordId
    similarity: float
    round: int


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A record that somebody competent has to decide about.

    Attributes:
        record: where it is.
        evidence: `neighbour` or `copy`.
        seed: the confirmed record that led here.
        similarity: cosine to the seed.
        round: the round of expansion that brought it, from 1.
    """

    record: RecordId
    evidence: Evidence
    seed: RecordId
    similarity: float
    round: int


def is_confirmed(match: Match, policy: Policy) -> bool:
    """Whether a match alone confirms its record (rule 2).

    Never for an address, never on a disputed entry, never by what decodes of a truncated file.
    """
    if not match.seedable or match.evidence is Evidence.URL or match.variant is Variant.PARTIAL:
        return False
    if match.evidence is Evidence.EXACT:
        return True
    if match.kind is Kind.PHOTODNA:
        radius = policy.match.confirm_photodna
        return radius is not None and match.distance <= squared(radius)
    return match.distance <= policy.match.confirm_distance and match.quality >= policy.match.confirm_quality


@dataclass(frozen=True, slots=True)
class Seeds:
    """Confirmed records, the only thing that a search for neighbours may start from.

    There is no public way to make seeds out of a vector, a picture or a bare record: `confirmed` looks at the evidence.
    """

    records: tuple[RecordId, ...]

    @classmethod
    def confirmed(cls, matches: Iterable[Match], verdicts: Iterable[Verdict], policy: Policy) -> "Seeds":
        """Seeds from matches that confirm and from verdicts `known`, sorted and without doubles."""
        records = {match.record for match in matches if is_confirmed(match, policy)}
        records |= {verdict.record for verdict in verdicts if verdict.decision is Decision.KNOWN}
        return cls(tuple(sorted(records)))

    def without(self, used: Iterable[RecordId]) -> "Seeds":
        """The seeds that were not used in an earlier round."""
        gone = set(used)
        return Seeds(tuple(record for record in self.records if record not in gone))
