"""The one tree of errors. Each class has an exit code of its own; none may carry a value of a list or of a record.

    VetsetError                       1
    ├── UsageError                    2   the request contradicts itself or the state of the output folder
    ├── DataError                     (family)
    │   ├── DatasetError             10   the dataset cannot be read as its format says
    │   ├── AlignmentError           11   embeddings and records do not join one to one
    │   ├── ListError                12   a hash list is malformed, expired, or of another kind than stated
    │   └── PolicyError              13   a policy file has unknown or impossible settings
    ├── TrustError                    (family)
    │   ├── KeyFileError             20   a key file is missing, malformed, readable by others, or the wrong one
    │   ├── SignatureError           21   a signature does not verify against the named signer
    │   └── SealError                22   a sealed part is damaged, missing, or out of order
    ├── CountError                   30   counts do not add up or shards failed: findings sealed, claim refused
    ├── OutputError                  40   the output folder holds something else, or writing failed
    ├── EngineError                  41   the engine could not run its tasks
    ├── ServiceError                 42   a list owner's service cannot be reached, or does not answer as it should
    └── MissingExtraError            50   a feature needs an extra that is not installed

A message says what was expected, what was seen, where, and what to do. Values of digests, addresses and captions are
never part of it: name the shard, the line or the row instead.
"""

from typing import ClassVar, Self


class VetsetError(Exception):
    """Base of every error that vetset raises on purpose.

    Args:
        problem: one clause that states what is wrong.
        expected: what would have been right.
        seen: what was there instead (never a digest, address or caption).
        where: shard, file, line or row.
        todo: what the reader can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        problem: str,
        *,
        expected: str | None = None,
        seen: str | None = None,
        where: str | None = None,
        todo: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.seen = seen
        self.where = where
        self.todo = todo

    def __str__(self) -> str:
        parts = [self.problem if self.where is None else f"{self.where}: {self.problem}"]
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.seen is not None:
            parts.append(f"saw {self.seen}")
        text = "; ".join(parts)
        return text if self.todo is None else f"{text}. {self.todo}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problem, self.expected, self.seen, self.where, self.todo)

    def beside(self, place: str) -> str:
        """The text, to be read beside its place: a shard's error in a table of shards."""
        return str(self).removeprefix(f"{place}: ").removeprefix(f"{place}, ")

    def at(self, where: str) -> Self:
        """The same error with its place named, unless it already names one."""
        if self.where is None:
            self.where = where
        return self


def _rebuild(  # noqa: PLR0917  unpickling calls by position
    cls: type[VetsetError],
    problem: str,
    expected: str | None,
    seen: str | None,
    where: str | None,
    todo: str | None,
) -> VetsetError:
    return cls(problem, expected=expected, seen=seen, where=where, todo=todo)


class UsageError(VetsetError):
    """The request contradicts itself, or the output folder belongs to another request."""

    exit_code = 2


class DataError(VetsetError):
    """Family: what was given to vetset is not what it should be."""


class DatasetError(DataError):
    """The dataset cannot be read as its format says."""

    exit_code = 10


class AlignmentError(DataError):
    """Embeddings and records do not join one to one."""

    exit_code = 11


class ListError(DataError):
    """A hash list is malformed, expired, or of another kind than stated."""

    exit_code = 12


class PolicyError(DataError):
    """A policy has unknown or impossible settings."""

    exit_code = 13


class TrustError(VetsetError):
    """Family: a key, a signature or a seal does not hold."""


class KeyFileError(TrustError):
    """A key file is missing, malformed, readable by others, or the wrong one."""

    exit_code = 20


class SignatureError(TrustError):
    """A signature does not verify against the named signer."""

    exit_code = 21


class SealError(TrustError):
    """A sealed part is damaged, missing, or out of order."""

    exit_code = 22


class CountError(VetsetError):
    """Counts do not add up, or shards failed: findings are sealed, the claim is refused."""

    exit_code = 30


class OutputError(VetsetError):
    """The output place holds something else, or writing to it failed."""

    exit_code = 40


class EngineError(VetsetError):
    """The engine could not run its tasks."""

    exit_code = 41


class ServiceError(VetsetError):
    """A list owner's service cannot be reached, refuses, or does not answer as it should."""

    exit_code = 42


class MissingExtraError(VetsetError):
    """A feature needs an extra that is not installed."""

    exit_code = 50
