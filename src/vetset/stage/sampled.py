"""One shard of a sample: read and fingerprinted by what a scan reads and fingerprints with, under a clock.

A shard is read to its end if its time suffices. Of the records on the way some are held, each with the same chance,
and fingerprinted afterwards in random order, as many as there is time for: the beginning of a shard, which may be
sorted by folder or size, is no sample of it. Where the time does not suffice for reading, the shard is cut, and only
then what is known is the beginning. Signals go into a part of a store that is removed as soon as it was measured.
"""

import io
import os
import random
import resource
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing import parent_process
from typing import Any, cast

from PIL import Image

from vetset.dataset.formats import format_of
from vetset.dataset.places import CHUNK, place
from vetset.dataset.reading import ColumnBatch
from vetset.dataset.tables import column_names, open_table
from vetset.model.dataset import Format
from vetset.model.errors import DatasetError, VetsetError
from vetset.model.record import Fields, Record, Unreadable
from vetset.model.selftest import ScanTest
from vetset.model.signal import DECLARED_KINDS, Kind, Reason
from vetset.stage.held import Held, picture_bytes
from vetset.stage.part_size import size_of_all
from vetset.stage.pictured import append_records
from vetset.stage.scan import ScanTask
from vetset.stage.tabled import append_columns, table_writer
from vetset.stage.watch import Watch
from vetset.store.part import Part, PartWriter
from vetset.store.store import Scanned, Store
from vetset.store.whole import SUMS

EMBEDDED = 32
"""Records whose time is taken together where pictures go through a model several at a time."""
LEAST = 32
LEAST_BYTES = 16 << 20
"""Records, and bytes of pictures, that are read whatever the time: less than that says nothing."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds of the processor and of the wall."""

    cpu: float = 0.0
    wall: float = 0.0

    @classmethod
    def now(cls) -> "Clock":
        """Both clocks of this process."""
        return cls(time.process_time(), time.perf_counter())

    def __sub__(self, other: "Clock") -> "Clock":
        return Clock(self.cpu - other.cpu, self.wall - other.wall)

    def __add__(self, other: "Clock") -> "Clock":
        return Clock(self.cpu + other.cpu, self.wall + other.wall)


@dataclass(frozen=True, slots=True)
class SampleTask:
    """Everything a worker needs to look at one shard.

    Attributes:
        scan: what a scan of this shard would be told; its store is the sample's own.
        called: `time.monotonic()` when the workers were asked for.
        until: `time.monotonic()` at which the sample ends, but for the time that a worker needed to start.
        reading_seconds: for reading this shard, at most.
        signal_seconds: for signals of this shard; as long as reading took, if that is longer.
        seed: of the choice of records.
        whole: fingerprint every record, as it is read.
        first: look at it even if the time is up already, so that something is known.
    """

    scan: ScanTask
    called: float
    until: float
    reading_seconds: float
    signal_seconds: float
    seed: int
    whole: bool
    first: bool


@dataclass(frozen=True, slots=True)
class Start:
    """What a worker needed before its first shard: which process, core-seconds, wall seconds."""

    process: int
    cpu: float
    wall: float


@dataclass(slots=True)
class Seen:
    """What one shard of the sample told.

    Attributes:
        uri: which shard.
        start: of the worker; None if it died.
        error: why the shard could not be read, if it could not.
        fraction: share of its bytes that was read; 1 to its end.
        read: records that were read.
        counted: the number of its records is known, however many were read.
        sampled: records whose signals were computed.
        reading: time for what was read.
        signals: time for the records whose signals were computed.
        commit: time for opening and committing the part.
        paces: core-seconds for each record, digests left out, of one block of records after the other.
        block: how many records one of them has.
        fetched: bytes that the system fetched from storage meanwhile.
        store_bytes: what the part of all the shard's records will take, but for
        store_fixed: what any part takes.
        undecided: by kind and reason, among the records whose signals were computed.
        stated: records that state a value, by role, among those read.
        roles: columns of a table by role.
        columns: all columns of a table.
        listing: core-seconds for listing a folder that several shards share, if this was the first of them here.
    """

    uri: str
    start: Start | None
    error: VetsetError | None = None
    fraction: float = 1.0
    read: int = 0
    counted: bool = False
    sampled: int = 0
    reading: Clock = field(default_factory=Clock)
    signals: Clock = field(default_factory=Clock)
    commit: Clock = field(default_factory=Clock)
    paces: list[float] = field(default_factory=list)
    block: int = 1
    fetched: int = 0
    store_bytes: float = 0.0
    store_fixed: float = 0.0
    undecided: dict[Kind, Mapping[Reason, int]] = field(default_factory=dict)
    stated: dict[str, int] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    listing: float = 0.0

    @property
    def records(self) -> float:
        """Records of the whole shard."""
        return self.read / self.fraction

    @property
    def is_whole(self) -> bool:
        """Whether it was read to its end."""
        return self.fraction == 1.0 and not self.error


def look_at(task: SampleTask) -> Seen | None:
    """Read one shard of the sample under a clock; None if the time was up before.

    Raises:
        OutputError: the temporary store cannot be written.
    """
    start = get_ready(task)
    until = task.until + (start.wall if parent_process() is not None else 0.0)
    if time.monotonic() >= until and not task.first:
        return None
    seen = Seen(task.scan.shard.uri, start)
    try:
        _Look(task, seen, until).run()
    except DatasetError as error:
        seen.error = error.at(seen.uri)
        seen.read = seen.sampled = 0  # a shard that fails, fails whole
        seen.stated.clear()
    return seen


_starts: dict[tuple[object, ...], Start] = {}


def get_ready(task: SampleTask) -> Start:
    """Load what the first record needs, once in a process; how long that took, and the process before it.

    Raises:
        VetsetError: the model cannot be loaded, or the temporary store cannot be written.
    """
    asked = (task.scan.key.kinds, task.scan.policy.digest, task.scan.embedder, task.scan.key.embedder)
    if asked not in _starts:
        before = Clock.now()
        if task.scan.shard.format is not Format.PARQUET:
            sink = io.BytesIO()
            Image.linear_gradient("L").convert("RGB").save(sink, "JPEG")
            with PartWriter(Store(task.scan.store), task.scan.key.kinds, task.scan.policy.pdq_variants) as writer:
                append_records(task.scan.asked, [Record(0, "0", sink.getvalue(), Fields())], writer, Watch())
        took = Clock.now() - before
        if parent_process() is not None:  # a worker: it did nothing before but start
            took = Clock(time.process_time(), time.monotonic() - task.called)
        _starts[asked] = Start(os.getpid(), took.cpu, took.wall)
    return _starts[asked]


class _Look:
    """One shard on its way through."""

    def __init__(self, task: SampleTask, seen: Seen, until: float) -> None:
        self._task = task
        self._scan = task.scan
        self._seen = seen
        self._end = until
        self._until = until if task.whole else min(until, time.monotonic() + task.reading_seconds)
        self._bytes = 0
        self._reached = True

    def run(self) -> None:
        scan, seen = self._scan, self._seen
        table = scan.shard.format is Format.PARQUET
        rows = self._table() if table else 0
        if scan.shard.format is Format.FOLDER:
            seen.listing = _listing(scan)
        store = Store(scan.store)
        fetched, passed = _fetched(), _passed()
        begun = Clock.now()
        with ExitStack() as parts:
            if table:
                batches = self._timed(self._counted(cast("Iterable[ColumnBatch]", self._reading())))
                writer, batches = table_writer(store, scan.key.kinds, batches)
                parts.enter_context(writer)
                opened, first = Clock.now(), seen.reading  # the writer asks the first batch for its columns
                append_columns(scan.key.kinds, batches, writer)
            else:
                writer = parts.enter_context(PartWriter(store, scan.key.kinds, scan.policy.pdq_variants))
                opened, first = Clock.now(), Clock()
                self._pictures(cast("Iterable[Record | Unreadable]", self._reading()), writer)
            if table or self._task.whole:
                seen.signals = Clock.now() - opened - (seen.reading - first)
            seen.fetched = _fetched() - fetched
            if table:
                seen.sampled = seen.read
            self._fraction(rows, _passed() - passed)
            before = Clock.now()
            self._commit(store, writer)
            seen.commit = Clock.now() - before + (opened - begun - first)
        self._measure(store)

    def _reading(self) -> Iterable[object]:
        return format_of(self._scan.shard.format).read(
            self._scan.root, self._scan.shard, self._scan.mapping, self._scan.key.kinds
        )

    def _table(self) -> int:
        uri = self._scan.shard.uri
        with open_table(place(self._scan.root, uri), uri) as table:
            names = column_names(table)
            self._seen.columns = tuple(names)
            unasked = {Kind.PHOTODNA} - set(self._scan.key.kinds)  # then it is a column as any other
            roles = self._scan.mapping.found_in(names, uri)
            self._seen.roles = {role: column for role, column in roles.items() if role not in unasked}
            return int(table.metadata.num_rows)

    def _timed(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, until the time is up; the time inside the reader is told from that of who takes them."""
        source = iter(items)
        while True:
            before = Clock.now()
            try:
                item = next(source, None)
            finally:
                self._seen.reading += Clock.now() - before
            if item is None:
                return
            yield item
            enough = self._seen.read >= LEAST and (self._bytes >= LEAST_BYTES or self._bytes == 0)
            if enough and time.monotonic() >= self._until:
                self._reached = False
                return

    def _counted(self, batches: Iterable[ColumnBatch]) -> Iterator[ColumnBatch]:
        stated = self._seen.stated
        for batch in batches:
            self._seen.read += len(batch)
            filled = {kind.value: int((column.why == 0).sum()) for kind, column in batch.declared.items()}
            filled["url"] = 0 if batch.urls is None else len(batch) - batch.urls.null_count
            filled["key"] = len(batch) if "key" in self._seen.roles else 0
            for role, count in filled.items():
                stated[role] = stated.get(role, 0) + count
            yield batch

    def _pictures(self, records: Iterable[Record | Unreadable], writer: PartWriter) -> None:
        if self._task.whole:
            append_records(self._scan.asked, self._each(self._timed(self._told(records))), writer, self._watch())
            return
        seed = f"{self._task.seed} {self._scan.shard.uri}".encode("utf-8", "surrogatepass")  # a name may be no text
        held = Held(random.Random(seed))  # noqa: S311  a sample, no secret
        for record in self._timed(self._told(records)):
            held.offer(record)
        before = Clock.now()
        allowed = max(self._task.signal_seconds, self._seen.reading.wall)
        end = min(self._end, time.monotonic() + allowed)
        append_records(self._scan.asked, self._each(_in_time(held.in_order(), end)), writer, self._watch())
        self._seen.signals = Clock.now() - before

    def _watch(self) -> Watch:
        self._seen.block = EMBEDDED if self._scan.key.embedder else 1
        return _Pacer(self._seen)

    def _told(self, records: Iterable[Record | Unreadable]) -> Iterator[Record | Unreadable]:
        stated = self._seen.stated
        for record in records:
            self._seen.read += 1
            self._bytes += picture_bytes(record)
            if record.fields.url is not None and record.fields.url.strip():
                stated["url"] = stated.get("url", 0) + 1
            for kind in record.fields.declared:
                stated[kind.value] = stated.get(kind.value, 0) + 1
            yield record

    def _each(self, records: Iterable[Record | Unreadable]) -> Iterator[Record | Unreadable]:
        for row, record in enumerate(records):
            self._seen.sampled += 1
            yield replace(record, row=row)  # a part knows rows by their order alone

    def _fraction(self, rows: int, passed: int) -> None:
        """How much of the shard was read."""
        if self._reached:
            return
        if rows:
            self._seen.fraction, self._seen.counted = min(1.0, self._seen.read / rows), True
            return
        # what the system counted, but for what the reader has read ahead; over a network it may not count
        share = max(passed - CHUNK // 2, self._bytes) / max(self._scan.shard.size, 1)
        self._seen.fraction = min(max(share, 1e-9), 1.0 - 1e-9)

    def _commit(self, store: Store, writer: PartWriter) -> None:
        scan, part = self._scan, self._part
        note = Scanned(scan.shard.uri, "0" * 64, self._seen.sampled, part, (), ScanTest("0" * 64, 100))
        store.remember(scan.key, str(scan.root), scan.shard, note)
        if not store.holds(part):
            writer.commit(part, self._seen.sampled)

    @property
    def _part(self) -> str:
        """Named by place, not by content: the end of the shard, where its digest is known, may not be reached."""
        return self._scan.key.part(self._scan.shard.uri)

    def _measure(self, store: Store) -> None:
        scan, seen, path = self._scan, self._seen, store.part_path(self._part)
        part = Part(path, scan.shard.uri)
        seen.undecided = {kind: part.coverage(kind).undecided for kind in scan.key.kinds}
        vectors = store.embeddings_path(self._part)
        note = store.folder / "seen" / f"{scan.key.seen(str(scan.root), scan.shard)}.json"
        beside = [path.with_suffix(SUMS), note]
        packed = scan.shard.format is not Format.PARQUET
        of_vectors = vectors.stat().st_size if vectors.exists() else 0
        seen.store_fixed, seen.store_bytes = size_of_all(path, of_vectors, seen.sampled, seen.records, packed=packed)
        seen.store_fixed += sum(file.stat().st_size for file in beside)
        for file in (path, vectors, *beside):
            file.unlink(missing_ok=True)


class _Pacer(Watch):
    """Notes how long each record takes, or a few of them together, since their variance tells how sure the mean is."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen
        self._row, self._begun, self._spent = 0, 0.0, 0.0

    def begin(self, row: int) -> None:
        """A record is in hand."""
        self._row = row
        self._begun = time.process_time()

    def end(self) -> None:
        """None is."""
        self._spent += time.process_time() - self._begun
        if (self._row + 1) % self._seen.block == 0:
            self._seen.paces.append(self._spent / self._seen.block)
            self._spent = 0.0


def _in_time(records: list[Record | Unreadable], end: float) -> Iterator[Record | Unreadable]:
    for number, record in enumerate(records):
        if number >= LEAST and time.monotonic() >= end:
            return
        yield record


_listed: set[tuple[str, str]] = set()


def _listing(scan: ScanTask) -> float:
    """Core-seconds for listing a folder of several shards, which a worker does once and not for each of them."""
    folder, _, number = scan.shard.uri.rpartition("#")
    if "of" not in number or (str(scan.root), folder) in _listed:
        return 0.0
    _listed.add((str(scan.root), folder))
    before = Clock.now()
    next(iter(format_of(scan.shard.format).read(scan.root, scan.shard, scan.mapping)), None)
    return (Clock.now() - before).cpu


def _fetched() -> int:
    """Bytes that the system fetched from storage for this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_inblock * 512


def _passed() -> int:
    """Bytes that this process read so far, from storage or from memory; 0 where the system does not say."""
    try:
        with open("/proc/self/io", encoding="ascii") as file:  # noqa: PTH123  a counter, not a path
            return int(file.readline().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


ROLES_OF_RECORDS = ("url", *(kind.value for kind in DECLARED_KINDS))
"""Roles that records of a format with pictures can state."""
