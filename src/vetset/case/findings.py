"""The documents inside sealed parts, and what they fold to.

A case is a sequence of parts. The first holds what the audit found; later ones add verdicts and rounds. Nothing is ever
changed: opening folds them in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from vetset.model.canonical import document_digest
from vetset.model.coverage import Tally
from vetset.model.dataset import ContentId, RecordId
from vetset.model.finding import Candidate, Match
from vetset.model.verdict import Verdict


@dataclass(frozen=True, slots=True, order=True)
class Provenance:
    """Where a record of a finding came from, read again from the dataset when sealing.

    Attributes:
        record: the record.
        uri: its shard's place in the dataset.
        content: its identity across revisions.
        url: its address as stored, or empty.
        columns: its other columns as a canonical JSON text.
        checked: whether the bytes read now are those that were scanned.
    """

    record: RecordId
    uri: str
    content: ContentId
    url: str
    columns: str
    checked: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """How near is near, on these embeddings.

    Attributes:
        method: what was done, in words.
        vectors: vectors that were sampled.
        pairs: random pairs that were looked at.
        rate: share of random pairs that may pass.
        quantile: the cosine that this share of random pairs exceeds.
        threshold: the quantile within the policy's bounds: what was used.
        bounded: whether a bound of the policy decided.
    """

    method: str
    vectors: int
    pairs: int
    rate: float
    quantile: float
    threshold: float
    bounded: bool


@dataclass(frozen=True, slots=True)
class Round:
    """One search for neighbours.

    Attributes:
        number: from 1.
        k: neighbours looked at for each seed.
        calibration: how the threshold came about.
        seeds: the confirmed records it started from.
        blind: seeds that have no usable embedding.
        saturated: seeds of which all k neighbours passed the threshold: more may exist.
        above: pairs of seed and record that passed the threshold.
        fresh: candidates that were new: neither confirmed nor candidates before.
        copies: how many of these are copies of a neighbour at another place.
    """

    number: int
    k: int
    calibration: Calibration
    seeds: tuple[RecordId, ...]
    blind: int
    saturated: int
    above: int
    fresh: int
    copies: int


@dataclass(frozen=True, slots=True)
class FindingsPart:
    """What the audit itself found.

    Attributes:
        status: `complete`, `incomplete` (a shard could not be read) or `unbalanced` (counts do not add up).
    """

    matches: tuple[Match, ...]
    tallies: tuple[Tally, ...]
    candidates: tuple[Candidate, ...]
    rounds: tuple[Round, ...]
    provenance: tuple[Provenance, ...]
    status: Literal["complete", "incomplete", "unbalanced"]
    part: Literal["findings"] = "findings"


@dataclass(frozen=True, slots=True)
class VerdictsPart:
    """What a verifier said, one verdict for every candidate it was asked about."""

    verifier: str
    verdicts: tuple[Verdict, ...]
    part: Literal["verdicts"] = "verdicts"


@dataclass(frozen=True, slots=True)
class RoundPart:
    """A further round of neighbours."""

    round: Round
    candidates: tuple[Candidate, ...]
    provenance: tuple[Provenance, ...]
    part: Literal["round"] = "round"


AnyPart = Annotated[FindingsPart | VerdictsPart | RoundPart, Field(discriminator="part")]
PART = TypeAdapter[FindingsPart | VerdictsPart | RoundPart](AnyPart)


@dataclass(frozen=True, slots=True)
class Findings:
    """A case, folded."""

    matches: tuple[Match, ...]
    tallies: tuple[Tally, ...]
    candidates: tuple[Candidate, ...]
    verdicts: tuple[Verdict, ...]
    rounds: tuple[Round, ...]
    provenance: tuple[Provenance, ...]
    status: str

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the canonical content: equal findings have equal digests, whoever sealed them and when."""
        return document_digest(_FINDINGS.dump_python(self, mode="json"))

    def verdict_of(self) -> Mapping[RecordId, tuple[Verdict, ...]]:
        """All verdicts by record, in the order they were given."""
        grouped: dict[RecordId, list[Verdict]] = {}
        for verdict in self.verdicts:
            grouped.setdefault(verdict.record, []).append(verdict)
        return {record: tuple(verdicts) for record, verdicts in grouped.items()}


_FINDINGS = TypeAdapter(Findings)


def fold(parts: Sequence[Any]) -> Findings:
    """What a sequence of parts amounts to.

    Candidates keep the first evidence that brought them; verdicts of several verifiers stand side by side.

    Args:
        parts: decoded parts, the findings first.
    """
    first = parts[0]
    candidates = {candidate.record: candidate for candidate in first.candidates}
    provenance = {entry.record: entry for entry in first.provenance}
    rounds = list(first.rounds)
    verdicts: list[Verdict] = []
    for part in parts[1:]:
        if isinstance(part, VerdictsPart):
            verdicts += part.verdicts
        elif isinstance(part, RoundPart):
            rounds.append(part.round)
            for candidate in part.candidates:
                candidates.setdefault(candidate.record, candidate)
            for entry in part.provenance:
                provenance.setdefault(entry.record, entry)
    return Findings(
        matches=first.matches,
        tallies=first.tallies,
        candidates=tuple(sorted(candidates.values())),
        verdicts=tuple(verdicts),
        rounds=tuple(rounds),
        provenance=tuple(sorted(provenance.values())),
        status=first.status,
    )
