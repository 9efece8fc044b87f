"""The protocol of a verifier: questions in, exactly one verdict each out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vetset.model.dataset import RecordId
from vetset.model.errors import CountError
from vetset.model.finding import Match
from vetset.model.signal import Kind
from vetset.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """One candidate, as a verifier that looks things up locally sees it.

    Attributes:
        record: the candidate's record.
        matches: where it agrees with the verifier's list.
        decidable: kinds of the verifier's list for which the record has a usable signal.
    """

    record: RecordId
    matches: tuple[Match, ...] = field(repr=False)
    decidable: frozenset[Kind]


class Verifier(Protocol):
    """Decides about candidates."""

    @property
    def name(self) -> str:
        """Who decides, as verdicts say it."""
        ...

    def decide(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question, in any order."""
        ...


def asked(verifier: Verifier, questions: Sequence[Question]) -> tuple[Verdict, ...]:
    """Ask, and refuse silence.

    Returns:
        The verdicts, sorted.

    Raises:
        CountError: the verifier left a question out, answered one twice, or answered one that was not asked.
    """
    verdicts = sorted(verifier.decide(questions))
    if [verdict.record for verdict in verdicts] != sorted(question.record for question in questions):
        raise CountError(
            "a verifier did not answer every question exactly once",
            expected="one verdict for each candidate",
            where=verifier.name,
            todo="Nothing was recorded. Ask again.",
        )
    return tuple(verdicts)
