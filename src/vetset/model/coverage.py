"""The counts of rule 3. `Coverage` is public and knows nothing of matches; `Tally` is sealed and adds them.

Both are built from counts that were made independently of each other: records come from the reader, decided and
undecided from the signals in the store, matched and not matched from the join. `check` is where they must meet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from vetset.model.errors import CountError
from vetset.model.signal import Kind, Reason


def _added(left: Mapping[Reason, int], right: Mapping[Reason, int]) -> dict[Reason, int]:
    total = dict(left)
    for reason, count in right.items():
        total[reason] = total.get(reason, 0) + count
    return dict(sorted(total.items()))


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a shard, or of a dataset, could be decided for one kind of signal.

    Attributes:
        kind: the kind of signal.
        records: records that the reader yielded.
        decided: records that have a usable signal of this kind.
        undecided: records that have none, by reason.
    """

    kind: Kind
    records: int
    decided: int
    undecided: Mapping[Reason, int] = field(default_factory=dict)

    def __add__(self, other: "Coverage") -> "Coverage":
        if other.kind is not self.kind:
            raise ValueError(f"coverage of {self.kind} cannot be added to coverage of {other.kind}")
        return Coverage(
            self.kind,
            self.records + other.records,
            self.decided + other.decided,
            _added(self.undecided, other.undecided),
        )

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON, without the kind."""
        undecided = {reason.value: count for reason, count in self.undecided.items()}
        return {"records": self.records, "decided": self.decided, "undecided": undecided}

    @property
    def balanced(self) -> bool:
        """Whether every record is either decided or undecided, and none is both."""
        return self.records == self.decided + sum(self.undecided.values())

    def check(self, where: str) -> None:
        """Refuse counts that do not add up.

        Raises:
            CountError: records ≠ decided + undecided.
        """
        if not self.balanced:
            raise CountError(
                f"coverage of {self.kind} does not add up",
                expected=f"{self.records} records",
                seen=f"{self.decided} decided + {sum(self.undecided.values())} undecided",
                where=where,
                todo="Nothing is claimed. Scan the shard again; if it stays so, report it as a defect.",
            )


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the records of a shard, or of a dataset, under one list and one kind of signal. Sealed.

    Attributes:
        list_name: the list.
        kind: the kind of signal.
        records: records that the reader yielded.
        matched: records of which some variant matched.
        not_matched: records that could be decided and did not match.
        undecided: records that could not be decided and did not match, by reason.
        matched_partial: how many of the matched could not be decided: only what decodes of a truncated file matched.
    """

    list_name: str
    kind: Kind
    records: int
    matched: int
    not_matched: int
    undecided: Mapping[Reason, int] = field(default_factory=dict)
    matched_partial: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        if (other.list_name, other.kind) != (self.list_name, self.kind):
            raise ValueError("tallies of different lists or kinds cannot be added")
        return Tally(
            self.list_name,
            self.kind,
            self.records + other.records,
            self.matched + other.matched,
            self.not_matched + other.not_matched,
            _added(self.undecided, other.undecided),
            self.matched_partial + other.matched_partial,
        )

    @property
    def balanced(self) -> bool:
        """Whether records = matched + not matched + undecided."""
        return self.records == self.matched + self.not_matched + sum(self.undecided.values())

    def check(self, coverage: Coverage, where: str) -> None:
        """Refuse a tally that does not add up or does not fit the coverage of the same records.

        Both must name the same records, the same decided ones, and the same undecided ones reason by reason, once the
        matches of truncated files are put back among the truncated.

        Raises:
            CountError: the identity of rule 3 does not hold.
        """
        decided = self.matched - self.matched_partial + self.not_matched
        partial = {Reason.TRUNCATED: self.matched_partial} if self.matched_partial else {}
        mine = (self.records, decided, _told(_added(self.undecided, partial)))
        fits = mine == (coverage.records, coverage.decided, _told(coverage.undecided))
        if not (self.balanced and fits and 0 <= self.matched_partial <= self.matched):
            # The text names no count: how many matched is sealed.
            raise CountError(
                f"the tally of {self.kind} does not add up",
                expected="records = matched + not matched + undecided, as in the coverage",
                seen="another sum",
                where=where,
                todo="Findings are sealed; nothing is claimed. Scan the shard again.",
            )


@dataclass(frozen=True, slots=True)
class Drift:
    """How the stored bytes compare with the digests that the dataset declares of them. Public: no list is involved.

    Attributes:
        kind: `md5`, `sha1` or `sha256`.
        stored: records whose bytes are there.
        agree: of these, how many have the digest that is declared.
        differ: of these, how many have another one.
    """

    kind: Kind
    stored: int
    agree: int
    differ: int

    def __add__(self, other: "Drift") -> "Drift":
        if other.kind is not self.kind:
            raise ValueError(f"drift of {self.kind} cannot be added to drift of {other.kind}")
        return Drift(self.kind, self.stored + other.stored, self.agree + other.agree, self.differ + other.differ)

    @property
    def undeclared(self) -> int:
        """Records whose bytes are there, of which the dataset declares no (readable) digest."""
        return self.stored - self.agree - self.differ

    def to_json(self) -> dict[str, int]:
        """The counts as JSON, without the kind."""
        return {"stored": self.stored, "agree": self.agree, "differ": self.differ, "undeclared": self.undeclared}


def total_drift(parts: Iterable[Drift]) -> dict[Kind, Drift]:
    """Drifts summed by kind, in the order of the kinds."""
    by_kind: dict[Kind, Drift] = {}
    for part in parts:
        by_kind[part.kind] = by_kind[part.kind] + part if part.kind in by_kind else part
    return {kind: by_kind[kind] for kind in Kind if kind in by_kind}


def _told(undecided: Mapping[Reason, int]) -> dict[Reason, int]:
    """Without reasons that nothing has."""
    return {reason: count for reason, count in undecided.items() if count}


def total_coverage(parts: Iterable[Coverage]) -> dict[Kind, Coverage]:
    """Coverages summed by kind, in the order of the kinds."""
    by_kind: dict[Kind, Coverage] = {}
    for part in parts:
        by_kind[part.kind] = by_kind[part.kind] + part if part.kind in by_kind else part
    return {kind: by_kind[kind] for kind in Kind if kind in by_kind}


def total_tally(parts: Iterable[Tally]) -> dict[tuple[str, Kind], Tally]:
    """Tallies summed by list and kind, sorted."""
    groups: dict[tuple[str, Kind], list[Tally]] = {}
    for part in parts:
        groups.setdefault((part.list_name, part.kind), []).append(part)
    return {key: reduce(Tally.__add__, group) for key, group in sorted(groups.items())}
