"""Matches and candidates: different types, because they are different claims.

A match is evidence of one stated kind. A candidate is a question. What confirms, and so may seed a search for
neighbours, is decided here, once, by `confirmed_matches` and `Seeds`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from vetset.model.dataset import RecordId
from vetset.model.hashlist import Category
from vetset.model.policy import Policy, squared
from vetset.model.signal import Kind, Variant
from vetset.model.trust import Trust
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
        seedable: False where the entry is quarantined, disputed or under an alarm.
        members: how many independent members of the list's owner gave the entry, 255 for more.
        vetted: False where nobody of the list's owner has looked at the item yet.
    """

    record: RecordId
    list_name: str
    entry: str
    kind: Kind
    variant: Variant
    distance: int
    quality: int
    seedable: bool = True
    members: int = 1
    vetted: bool = True

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


def suffices(match: Match, policy: Policy) -> bool:
    """Whether the evidence of a match is strong enough to confirm; who gives it is for `confirmed_matches` to ask.

    Never an address, never a doubtful entry or one that nobody vetted, never what decodes of a truncated file.
    """
    if not (match.seedable and match.vetted) or match.evidence is Evidence.URL or match.variant is Variant.PARTIAL:
        return False
    if match.evidence is Evidence.EXACT:
        return True
    if match.kind is Kind.PHOTODNA:
        radius = policy.match.confirm_photodna
        return radius is not None and match.distance <= squared(radius)
    return match.distance <= policy.match.confirm_distance and match.quality >= policy.match.confirm_quality


def confirmed_matches(matches: Iterable[Match], trust: Trust) -> tuple[Match, ...]:
    """The matches that confirm their records (rule 2), in their order.

    Their evidence suffices, somebody answers for the list, no alarm holds it, and so many independent owners (or
    members of one owner) as the policy wants say the same harm of the record, each by evidence that suffices.

    Args:
        matches: all matches of a case, since one owner's opinion may need another's.
        trust: the policy, and how far each list is trusted.
    """
    strong = [match for match in matches if suffices(match, trust.policy) and _speaks(match, trust)]
    wanted = trust.policy.match.confirm_owners
    if wanted > 1:
        agree = owners(strong, trust)
        strong = [match for match in strong if agree[match.record, trust.category(match.list_name)] >= wanted]
    return tuple(strong)


def _speaks(match: Match, trust: Trust) -> bool:
    return trust.answered(match.list_name) and match.list_name not in trust.held


def set_apart(match: Match, trust: Trust) -> bool:
    """Whether a match is looked at apart: its entry is doubtful, or an alarm holds its list."""
    return not match.seedable or match.list_name in trust.held


def counted_matches(matches: Iterable[Match], trust: Trust) -> tuple[Match, ...]:
    """The matches that somebody answers for and that are not set apart, in their order."""
    return tuple(match for match in matches if match.seedable and _speaks(match, trust))


def owners(matches: Iterable[Match], trust: Trust) -> Mapping[tuple[RecordId, Category], int]:
    """How many independent owners say the same harm of a record, or members of one owner if these are more.

    Owners and members are not added up: a member of one owner may keep a list of its own.
    """
    named: dict[tuple[RecordId, Category], set[str]] = {}
    members: dict[tuple[RecordId, Category], int] = {}
    for match in matches:
        about = (match.record, trust.category(match.list_name))
        named.setdefault(about, set()).add(trust.owner(match.list_name))
        members[about] = max(members.get(about, 0), match.members)
    return {about: max(len(names), members[about]) for about, names in named.items()}


def reportable(matches: Iterable[Match], trust: Trust) -> tuple[Match, ...]:
    """The matches that a report of child abuse may be about, in their order, whatever selects among them.

    Only of lists about child abuse that somebody answers for, and nothing that is set apart: other harms have other
    people to be told, and what is in doubt accuses nobody.
    """
    return tuple(
        match
        for match in counted_matches(matches, trust)
        if trust.category(match.list_name).may_be_reported_as_child_abuse
    )


@dataclass(frozen=True, slots=True)
class Seeds:
    """Confirmed records, the only thing that a search for neighbours may start from.

    There is no public way to make seeds out of a vector, a picture or a bare record: `confirmed` looks at the evidence.
    """

    records: tuple[RecordId, ...]

    @classmethod
    def confirmed(cls, matches: Iterable[Match], verdicts: Iterable[Verdict], trust: Trust) -> "Seeds":
        """Seeds from all matches that confirm and from verdicts `known`, sorted and without doubles."""
        records = {match.record for match in confirmed_matches(matches, trust)}
        records |= {verdict.record for verdict in verdicts if verdict.decision is Decision.KNOWN}
        return cls(tuple(sorted(records)))

    def without(self, used: Iterable[RecordId]) -> "Seeds":
        """The seeds that were not used in an earlier round."""
        gone = set(used)
        return Seeds(tuple(record for record in self.records if record not in gone))
