"""What a sample of shards says about a scan of all of them: the arithmetic behind `plan`, without any reading."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.columns import ROLES, ColumnMapping
from vetset.model.canonical import canonical_json
from vetset.model.dataset import Format, Shard
from vetset.model.errors import VetsetError
from vetset.model.plan import Cost, Estimate, Plan, Role, Sample, Undecided
from vetset.model.policy import ScanPolicy
from vetset.model.selftest import ScanTest
from vetset.model.signal import Kind, Reason
from vetset.stage.estimate import Frame, Part, makespan
from vetset.stage.sampled import ROLES_OF_RECORDS, Seen, Start
from vetset.stage.scan import largest_first
from vetset.storage.remote import Place
from vetset.store.store import Scanned

Floats = NDArray[np.float64]
_NOTE = len(canonical_json(asdict(Scanned("", "0" * 64, 10_000, "0" * 64, (), ScanTest("0" * 64, 100))))) + 1
"""Bytes of one shard in the note of a scan, without its uri."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be planned.

    Attributes:
        root: the dataset's place.
        shards: its shards.
        unclaimed: how many of its files belong to none.
        listing: seconds that finding them took.
        mapping: which columns mean what.
        policy: what is computed.
        embedder: name or file of a model that computes embeddings, or empty.
        embedder_id: its id, or empty.
        workers: of the run that is planned.
        processes: that look at the sample.
        seconds: that the sample may take.
        most: shards of the sample, at most.
        seed: of the random choice.
    """

    root: Place
    shards: Sequence[Shard]
    unclaimed: int
    listing: float
    mapping: ColumnMapping
    policy: ScanPolicy
    embedder: str
    embedder_id: str
    workers: int
    processes: int
    seconds: float
    most: int
    seed: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What was seen, and what follows from it.

    Attributes:
        question: what is to be planned.
        frame: the sample among all shards.
        seen: what each shard of the sample told, in the frame's order.
        starts: of every process that looked at one.
        seconds: how long the sample took.
    """

    question: Question
    frame: Frame
    seen: Sequence[Seen]
    starts: Sequence[Start]
    seconds: float

    def plan(self) -> Plan:
        """All of it."""
        asked = self.question
        shards, size = len(asked.shards), sum(shard.size for shard in asked.shards)
        busy = min(asked.workers, shards)
        cost = self._cost(busy)
        running = self._running(busy)
        begins = asked.listing + self._mean(lambda start: start.cpu + start.wall)
        # as uncertain as the processor time: what is waited for was not told apart in the shards
        wall = cost.total.moved(times=running / cost.total.value if cost.total.value else 0.0, plus=begins)
        return Plan(
            format=asked.shards[0].format,
            shards=shards,
            bytes=size,
            unclaimed_files=asked.unclaimed,
            records=self._records(),
            workers=asked.workers,
            busy=busy,
            cost=cost,
            wall_seconds=wall,
            bytes_per_second=size / running if running else 0.0,
            listing_seconds=asked.listing,
            store_bytes=self._store(),
            undecided=self._undecided(),
            failed_shards=self._failed(),
            failures=dict(Counter(_told(one.error) for one in self.seen if one.error is not None)),
            roles=self._roles(),
            other_columns=self._other_columns(),
            sample=self._sample(),
        )

    @property
    def _all_read(self) -> bool:
        return self.frame.complete and all(one.is_whole or one.error for one in self.seen)

    @property
    def _all_counted(self) -> bool:
        return self.frame.complete and all(one.is_whole or one.counted or one.error for one in self.seen)

    @property
    def _all_sampled(self) -> bool:
        return self._all_read and all(one.sampled == one.read for one in self.seen)

    def _array(self, value: Callable[[Seen], float]) -> Floats:
        return np.array([value(one) for one in self.seen], np.float64)

    @property
    def _nothing(self) -> Floats:
        return np.zeros(len(self.seen))

    @property
    def _counts(self) -> Floats:
        return self._array(lambda one: one.records)

    def _mean(self, value: Callable[[Start], float]) -> float:
        return sum(map(value, self.starts)) / len(self.starts) if self.starts else 0.0

    def _part(self, amounts: Floats, within: Floats | None = None) -> Part:
        """An amount that grows with bytes."""
        sizes = self.frame.sizes
        cut = self._behind_cuts(amounts / sizes, sizes)
        return Part(amounts, cut if within is None else within + cut)

    def _behind_cuts(self, ratios: Floats, base: Floats) -> Floats:
        """Variance for the ends of shards that were not reached: as if they differed as one shard does from another."""
        unread = self._array(lambda one: 1.0 - one.fraction) * base
        if not unread.any():
            return self._nothing
        return unread**2 * (float(np.var(ratios, ddof=1)) if len(ratios) > 1 else np.inf)

    def _records(self) -> Estimate:
        read = sum(one.read for one in self.seen)
        found = self.frame.total(self._part(self._counts), least=read, exact=self._all_counted)
        return Estimate.known(round(found.value)) if found.exact else found

    def _cost(self, busy: int) -> Cost:
        reading = self._part(self._array(lambda one: one.reading.cpu / one.fraction))
        signals = self._part(self._array(_signals), self._array(_spread))
        commits = Part(self._array(lambda one: one.commit.cpu), self._nothing, by_shard=True)
        # the command itself starts as its workers do
        start = (busy + 1) * self._mean(lambda start: start.cpu) + self._listings(busy)
        total, every, exact = self.frame.total, (reading, signals, commits), self._all_sampled
        return Cost(
            reading=total(reading, exact=self._all_read),
            signals=total(signals, exact=exact),
            commits=total(commits, exact=self._all_read),
            start=start,
            total=total(*every, exact=exact).moved(plus=start),
        )

    def _listings(self, busy: int) -> float:
        """Core-seconds of workers that each list folders of several shards, which each of them does once."""
        sharing = Counter(parts for parts in map(_shared_folder, self.question.shards) if parts[1] > 1)
        listed = [one for one in self.seen if one.listing]
        by_uri = {shard.uri: shard for shard in self.question.shards} if listed else {}
        measured = sum(_shared_folder(by_uri[one.uri])[1] for one in listed)
        each = sum(one.listing for one in listed) / measured if measured else 0.0
        return each * sum(parts * min(busy, parts) for _, parts in sharing)

    def _running(self, busy: int) -> float:
        """Seconds from the first shard to the last: waiting for the storage as it was seen, signals at full speed."""
        frame = self.frame
        reading = frame.ratio(self._array(lambda one: one.reading.wall / one.fraction), frame.sizes)
        signals = frame.ratio(self._array(_signals), frame.sizes)
        commit = frame.ratio(self._array(lambda one: one.commit.wall), np.ones(len(self.seen)))
        seconds = [commit + shard.size * (reading + signals) for shard in largest_first(self.question.shards)]
        return makespan(seconds, busy) + self._listings(busy) / busy

    def _store(self) -> Estimate:
        note = sum(_NOTE + len(shard.uri.encode("utf-8", "surrogateescape")) for shard in self.question.shards)
        values = self._part(self._array(lambda one: one.store_bytes))
        parts = Part(self._array(lambda one: one.store_fixed), self._nothing, by_shard=True)
        return self.frame.total(values, parts, exact=self._all_sampled).moved(plus=note)

    def _share(self, counts: Floats) -> Estimate:
        """A share of records, from counts among those whose signals were computed."""
        sampled = np.maximum(self._array(lambda one: one.sampled), 1.0)
        shares, records = counts / sampled, self._counts
        within = records * np.maximum(records - sampled, 0.0) * shares * (1 - shares) / sampled
        within = within + self._behind_cuts(shares, records)
        return self.frame.share(shares * records, records, within, exact=self._all_sampled)

    def _undecided(self) -> dict[Kind, Undecided]:
        kinds = [kind for kind in Kind if any(kind in one.undecided for one in self.seen)]
        return {kind: self._undecided_of(kind) for kind in kinds}

    def _undecided_of(self, kind: Kind) -> Undecided:
        told = [one.undecided.get(kind, {}) for one in self.seen]
        reasons = [reason for reason in Reason if any(reason in counts for counts in told)]
        by_reason = {
            reason: self._share(np.array([counts.get(reason, 0) for counts in told], np.float64)) for reason in reasons
        }
        return Undecided(self._share(np.array([sum(counts.values()) for counts in told], np.float64)), by_reason)

    def _failed(self) -> Estimate:
        failed = self._array(lambda one: float(bool(one.error)))
        if self.frame.complete:
            return Estimate.known(float(failed.sum()))
        found = self.frame.share(failed, np.ones(len(failed)), self._nothing).moved(times=self.frame.count)
        least = float(failed.sum())
        return replace(found, value=max(found.value, least), low=None if found.low is None else max(found.low, least))

    def _roles(self) -> dict[str, Role]:
        is_table = self.question.shards[0].format is Format.PARQUET
        records = self._counts
        roles = {}
        unasked = {Kind.PHOTODNA} - set(self.question.policy.kinds)
        for role in ROLES if is_table else ROLES_OF_RECORDS:
            if role in unasked:
                continue
            columns = sorted({one.roles[role] for one in self.seen if role in one.roles})
            stated = self._array(lambda one, role=role: one.stated.get(role, 0) / one.fraction)  # type: ignore[misc]
            roles[role] = Role(tuple(columns), self.frame.ratio(stated, records))
        return roles

    def _other_columns(self) -> tuple[str, ...]:
        names = dict.fromkeys(name for one in self.seen for name in one.columns if name not in one.roles.values())
        return tuple(names)

    def _sample(self) -> Sample:
        asked = self.question
        pairs = [(one, size) for one, size in zip(self.seen, self.frame.sizes.tolist(), strict=True) if not one.error]
        read = sum(size * one.fraction for one, size in pairs)
        took = sum(one.reading.wall for one, _ in pairs)
        return Sample(
            shards=len(self.seen),
            cut=sum(not one.is_whole for one, _ in pairs),
            records=sum(one.sampled for one in self.seen),
            records_read=sum(one.read for one in self.seen),
            bytes=round(read),
            from_storage=sum(one.fetched for one in self.seen),
            bytes_per_second=read / took if took else 0.0,
            processes=min(asked.processes, len(self.seen)),
            seconds=self.seconds,
            seed=asked.seed,
        )


def _told(error: VetsetError) -> str:
    return f"{type(error).__name__}: {error.problem}"


def _signals(one: Seen) -> float:
    """Core-seconds for the signals of all records of a shard."""
    return one.signals.cpu * one.records / one.sampled if one.sampled else 0.0


def _spread(one: Seen) -> float:
    """Variance of that, since only some of the records were looked at."""
    if not one.sampled:
        return 0.0
    mean = one.signals.cpu / one.sampled
    each = one.sampled * mean**2  # of a single block nothing is known but its mean
    if len(one.paces) > 1:
        each = one.block * float(np.var(one.paces, ddof=1))
    return one.records * max(one.records - one.sampled, 0.0) * each / one.sampled


def _shared_folder(shard: Shard) -> tuple[str, int]:
    """The folder of a shard of pictures, and how many shards share it; 1 in other formats."""
    folder, _, number = shard.uri.rpartition("#")
    parts = number.rpartition("of")[2] if shard.format is Format.FOLDER and "of" in number else "1"
    return folder, int(parts)
