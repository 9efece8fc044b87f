"""What a run will cost, as far as a sample tells: counts, core-seconds, bytes and shares, each with its interval."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vetset.model.dataset import Format
from vetset.model.signal import Kind, Reason


def _told(number: float) -> float:
    """To six digits behind the point, or six in all below 1: what is behind them nobody measured."""
    return float(f"{number:.6g}") if abs(number) < 1 else round(number, 6)


def _all_told(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _all_told(entry) for name, entry in document.items()}
    return _told(document) if isinstance(document, float) else document


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and where it lies with 95 % confidence, as far as the choice of the sample goes.

    Attributes:
        value: the estimate.
        low: lower end of the interval; None where the sample is too small for one.
        high: upper end, or None.
        exact: nothing was left to chance: everything that the number speaks of was looked at. A time is then what was
            measured once.
    """

    value: float
    low: float | None
    high: float | None
    exact: bool = False

    @classmethod
    def known(cls, value: float) -> "Estimate":
        """A number that no sample stands between."""
        return cls(value, value, value, exact=True)

    def moved(self, *, times: float = 1.0, plus: float = 0.0) -> "Estimate":
        """The same, multiplied (by no negative number) and then added to."""
        low, high = (None if end is None else end * times + plus for end in (self.low, self.high))
        return Estimate(self.value * times + plus, low, high, self.exact)

    def to_json(self) -> dict[str, Any]:
        """The number and its interval."""
        return {"value": self.value, "low": self.low, "high": self.high, "exact": self.exact}


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time in core-seconds, by what it grows with.

    Attributes:
        reading: grows with bytes: reading, digesting, taking apart.
        signals: grows with records: decoding, hashing, embedding.
        commits: grows with shards: writing a part of the store.
        start: grows with workers: starting them, loading code and model, listing folders that several shards share.
        total: all of it.
    """

    reading: Estimate
    signals: Estimate
    commits: Estimate
    start: float
    total: Estimate

    def to_json(self) -> dict[str, Any]:
        """Every part in core-seconds, the total in core-hours too."""
        parts = {name: getattr(self, name).to_json() for name in ("reading", "signals", "commits", "total")}
        hours = self.total.moved(times=1 / 3600)
        return {"core_seconds": {**parts, "start": self.start}, "core_hours": hours.to_json()}


@dataclass(frozen=True, slots=True)
class Undecided:
    """Records that will have no signal of a kind.

    Attributes:
        share: of all records, 0 to 1.
        reasons: the same by reason, for every reason that was seen.
    """

    share: Estimate
    reasons: Mapping[Reason, Estimate] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Shares, 0 to 1."""
        reasons = {reason.value: share.to_json() for reason, share in self.reasons.items()}
        return {"share": self.share.to_json(), "reasons": reasons}


@dataclass(frozen=True, slots=True)
class Role:
    """What a role of the mapping was found in.

    Attributes:
        columns: names of the columns that were taken for it in the tables of the sample; empty where the format has no
            tables (the records' JSON is asked by name), or where no column fills the role.
        stated: share of the records read that state a value, 0 to 1.
    """

    columns: tuple[str, ...]
    stated: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What the estimates rest on.

    Attributes:
        shards: how many were read, those that failed included.
        cut: of how many of these only the beginning, since the time did not suffice for the whole.
        records: whose signals were computed.
        records_read: records of which the reader handed out at least the fields.
        bytes: how many were read.
        from_storage: how many of them the system had to fetch, as far as it says (0 on some network file systems); the
            others were in memory.
        bytes_per_second: how fast one process read, while it was reading.
        processes: how many were at work at once.
        seconds: how long it took.
        seed: of the random choice.
    """

    shards: int
    cut: int
    records: int
    records_read: int
    bytes: int
    from_storage: int
    bytes_per_second: float
    processes: int
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a scan will cost and come to, from a sample of the dataset.

    Attributes:
        format: of the dataset.
        shards: their number, exact.
        bytes: to be read, exact.
        unclaimed_files: files that belong to no shard, exact: they are not audited.
        records: their number.
        workers: for how many processes the wall time is; as many cores are taken for granted.
        busy: how many of them have work: never more than there are shards.
        cost: processor time.
        wall_seconds: from the command to its end, listing included, if the storage keeps up.
        bytes_per_second: what the storage must deliver for that, to all workers together.
        listing_seconds: how long it took to find the shards; every run does it once.
        store_bytes: how large the store will be.
        undecided: shares of records without a signal, by kind.
        failed_shards: how many shards will fail: none of their records is audited.
        failures: what was wrong with those of the sample: kind of error and problem, with how many there were.
        roles: which columns mean what.
        other_columns: names of further columns of the tables of the sample.
        sample: what all this rests on.
    """

    format: Format
    shards: int
    bytes: int
    unclaimed_files: int
    records: Estimate
    workers: int
    busy: int
    cost: Cost
    wall_seconds: Estimate
    bytes_per_second: float
    listing_seconds: float
    store_bytes: Estimate
    undecided: Mapping[Kind, Undecided]
    failed_shards: Estimate
    failures: Mapping[str, int]
    roles: Mapping[str, Role]
    other_columns: tuple[str, ...]
    sample: Sample

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON; shares are 0 to 1, sizes bytes, times seconds."""
        sample = {name: getattr(self.sample, name) for name in Sample.__dataclass_fields__}
        document = {
            "format": self.format.value,
            "shards": self.shards,
            "bytes": self.bytes,
            "unclaimed_files": self.unclaimed_files,
            "records": self.records.to_json(),
            "workers": {"number": self.workers, "busy": self.busy},
            "cost": self.cost.to_json(),
            "wall_seconds": self.wall_seconds.to_json(),
            "bytes_per_second": self.bytes_per_second,
            "listing_seconds": self.listing_seconds,
            "store_bytes": self.store_bytes.to_json(),
            "undecided": {kind.value: found.to_json() for kind, found in self.undecided.items()},
            "failed_shards": {**self.failed_shards.to_json(), "failures": dict(self.failures)},
            "columns": {name: {"columns": list(r.columns), "stated": r.stated} for name, r in self.roles.items()},
            "other_columns": list(self.other_columns),
            "sample": sample,
        }
        told: dict[str, Any] = _all_told(document)
        return told
