"""scan: shards → store. Needs no list and no key; one pass over the bytes computes every signal.

A shard whose part is committed is not read again. What a task does is keyed by the shard's content, the versions of the
signals and the scan part of the policy, so that a killed run goes on and two audits share their work.

A shard whose worker died is scanned again: whoever takes it up finds what was in hand, tries it alone, and passes it
over if that was it (`Watch`, `judge`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.dataset.reading import READING_VERSION, ColumnBatch
from vetset.engine.outcome import Done, Engine, Failed, one_each
from vetset.engine.worker import is_worker
from vetset.model.canonical import document_digest
from vetset.model.dataset import Format, Shard
from vetset.model.errors import EngineError, OutputError, VetsetError
from vetset.model.policy import ScanPolicy
from vetset.model.record import Record, Unreadable
from vetset.model.selftest import ScanTest
from vetset.model.signal import Kind
from vetset.signal.fingerprint import SIGNAL_VERSIONS, decoders
from vetset.stage.canary import scan_test
from vetset.stage.pictured import Asked, append_records
from vetset.stage.progress import Reporter
from vetset.stage.suspect import Trial, judge, require_few
from vetset.stage.tabled import append_columns, table_writer
from vetset.stage.watch import RECORD_SECONDS, Watch
from vetset.storage.remote import Place
from vetset.store.part import PartWriter
from vetset.store.passed import PassedOver, still
from vetset.store.store import ScanKey, Scanned, ScanNote, Store
from vetset.store.trail import Trail, suspect_at

MOST_IDLE = 1
"""How often a shard whose worker died is taken up again without a further record being found that did it."""


@dataclass(frozen=True, slots=True)
class ScanTask:
    """Everything a worker needs to scan one shard; plain values, so that it can travel."""

    root: Place
    shard: Shard
    mapping: ColumnMapping
    policy: ScanPolicy
    key: ScanKey
    store: Path
    embedder: str
    seconds: float = RECORD_SECONDS

    @property
    def asked(self) -> Asked:
        """What is computed of every record."""
        return Asked(self.key.kinds, self.policy, self.embedder, self.key.embedder)


def scan_key(policy: ScanPolicy, mapping: ColumnMapping, embedder_id: str = "") -> ScanKey:
    """What decides, beside content, what a part of the store holds."""
    kinds = tuple(kind for kind in Kind if kind in policy.kinds or (kind is Kind.EMBEDDING and embedder_id))
    versions = {kind: SIGNAL_VERSIONS[kind] for kind in kinds if kind in SIGNAL_VERSIONS}
    columns = document_digest(mapping.by_role())
    return ScanKey(policy.digest, kinds, versions, columns, embedder_id, _at_hand(kinds), READING_VERSION)


def _at_hand(kinds: Sequence[Kind]) -> tuple[str, ...]:
    """Decoders that change what these kinds come to; digests are taken of bytes."""
    return decoders() if Kind.PDQ in kinds or Kind.EMBEDDING in kinds else ()


def _require_decoders(key: ScanKey) -> None:
    """Refuse to work under a key that names other decoders than this worker has.

    Raises:
        EngineError: the worker's installation differs from the one that asked.
    """
    here = _at_hand(key.kinds)
    if key.decoders != here:
        raise EngineError(
            "a worker has other decoders than the run that asked it",
            expected=", ".join(key.decoders) or "none",
            seen=", ".join(here) or "none",
            todo="Install the same extras wherever shards are scanned.",
        )


def scan_shard(task: ScanTask) -> Scanned:
    """Read one shard once and commit its signals.

    Raises:
        DatasetError: the shard cannot be read to its end; nothing is committed.
        EngineError: too many of its records ended their worker or made the model fail, or this worker cannot decode
            what the run can, or has another model; nothing is committed.
        OutputError: the store cannot be written; nothing is committed.
    """
    _require_decoders(task.key)
    store, place = Store(task.store), (task.key, str(task.root), task.shard)
    # before the trail: what ends the worker here is no record's fault
    test = scan_test(task.asked, pictures=task.shard.format is not Format.PARQUET)
    if not is_worker() or task.shard.format is Format.PARQUET:
        return _scanned(task, store, _passed(task, store), None, test)
    with Trail(store.trail_path(*place)) as trail:
        known = store.find(*place, task.seconds)
        if known is not None and known.tested:
            return known  # another run had the shard in hand until now
        passed, suspect = _passed(task, store), trail.suspect
        if suspect is not None:
            rows = frozenset(one.row for one in passed if not one.embedding or suspect.embedding)
            path = store.trail_path(*place)
            trial = Trial(task.root, task.shard, task.mapping, task.asked, suspect, rows, task.seconds, path)
            found = judge(trail, trial)
            if found is not None:
                passed = tuple(sorted((*passed, found)))
                store.pass_over(*place, passed)
            trail.clear()
            require_few(passed)
        return _scanned(task, store, passed, trail, test)


def _passed(task: ScanTask, store: Store) -> tuple[PassedOver, ...]:
    """Records that are passed over, as far as is known yet.

    Raises:
        EngineError: they are too many.
    """
    passed = still(store.passed(task.key, str(task.root), task.shard), task.seconds)
    require_few(passed)
    return passed


def _scanned(
    task: ScanTask, store: Store, passed: tuple[PassedOver, ...], trail: Trail | None, test: ScanTest
) -> Scanned:
    reading = format_of(task.shard.format).read(task.root, task.shard, task.mapping, task.key.kinds)
    with ExitStack() as opened:
        if task.shard.format is Format.PARQUET:
            batches = cast("Iterator[ColumnBatch]", iter(reading))
            writer, batches = table_writer(store, task.key.kinds, batches)
            append_columns(task.key.kinds, batches, opened.enter_context(writer))
        else:
            writer = opened.enter_context(PartWriter(store, task.key.kinds, task.policy.pdq_variants))
            watch = Watch(passed, trail, task.seconds)
            failed = append_records(task.asked, cast("Iterator[Record | Unreadable]", iter(reading)), writer, watch)
            passed = tuple(sorted((*passed, *failed)))
            require_few(passed)
        part = task.key.part(reading.digest, passed, test)
        scanned = Scanned(task.shard.uri, reading.digest, reading.records, part, passed, test)
        # The notes first: they say nothing without the part, so that the part's rename alone commits all.
        place = (task.key, str(task.root), task.shard)
        if store.passed(*place) != passed:
            store.pass_over(*place, passed)
        store.remember(*place, scanned)
        if not store.holds(part):
            writer.commit(part, reading.records)
    return scanned


class _Deaths:
    """Which of the shards whose worker died are taken up again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, frozenset[PassedOver]] = {}
        self._idle: Counter[str] = Counter()

    def again(self, task: ScanTask, outcome: Failed) -> bool:
        """Whether there is something to be had from it: a record was found just now, or one is suspect."""
        if not outcome.lost:
            return False
        place, uri = (task.key, str(task.root), task.shard), task.shard.uri
        found = frozenset(self._store.passed(*place))
        if found - self._known.get(uri, frozenset()):
            self._known[uri] = found
            return True
        self._idle[uri] += 1
        return self._idle[uri] <= MOST_IDLE and suspect_at(self._store.trail_path(*place)) is not None


def largest_first(shards: Sequence[Shard]) -> list[Shard]:
    """Shards as workers get them: no worker begins the largest when the others have nothing left to do.

    Those of one folder of pictures come one after the other: who reads one of them lists the folder whole, and keeps
    that for the next.
    """
    folder = {shard: shard.uri.rpartition("#")[0] if shard.format is Format.FOLDER else shard.uri for shard in shards}
    largest: dict[str, int] = {}
    for shard, name in folder.items():
        largest[name] = max(shard.size, largest.get(name, 0))
    return sorted(shards, key=lambda shard: (-largest[folder[shard]], folder[shard], -shard.size))


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan came to.

    Attributes:
        scanned: every shard that lies in the store, sorted by uri.
        failed: the error of every shard that does not, by uri.
        reused: how many shards were not read because their parts were committed before.
        unclaimed: files of the dataset that belong to no shard, where they were counted.
    """

    scanned: tuple[Scanned, ...]
    failed: Mapping[str, VetsetError]
    reused: int
    unclaimed: int | None = None

    @property
    def causes(self) -> dict[str, str]:
        """Why every shard that failed did, in words, by uri, sorted."""
        return {uri: error.beside(uri) for uri, error in sorted(self.failed.items())}

    def note(  # noqa: PLR0917  two callers
        self, root: Place, name: Format, stamp: str, policy: ScanPolicy, mapping: ColumnMapping, embedder_id: str
    ) -> ScanNote:
        """What the store remembers of this scan."""
        how = (policy, mapping.by_role(), embedder_id)
        return ScanNote(str(root), name.value, stamp, *how, self.scanned, self.causes, self.unclaimed)


def scan(
    root: Place,
    shards: Sequence[Shard],
    *,
    store: Store,
    mapping: ColumnMapping,
    policy: ScanPolicy,
    embedder: str,
    embedder_id: str,
    engine: Engine,
    reporter: Reporter,
    record_seconds: float = RECORD_SECONDS,
) -> ScanResult:
    """Bring every shard into the store.

    Args:
        root: the dataset's place.
        shards: its shards.
        store: where signals are committed.
        mapping: which columns mean what.
        policy: what is computed.
        embedder: name or file of a model that computes embeddings, or empty.
        embedder_id: its id, or empty.
        engine: where tasks run.
        reporter: told of each shard that is read now.
        record_seconds: longest time for one record; one that takes longer, also alone, is passed over.

    Raises:
        OutputError: the store cannot be written; what was committed stays.
        EngineError: the engine does not say what became of every shard.
    """
    key = scan_key(policy, mapping, embedder_id)
    known = {
        shard.uri: found
        for shard in shards
        if (found := store.find(key, str(root), shard, record_seconds)) is not None and found.tested
    }
    fresh = largest_first([shard for shard in shards if shard.uri not in known])
    # what was read before took no time now: among the rest it would make the time left, and the rate, those of no scan
    stage = f"scan ({len(known)} shards were read before)" if known else "scan"
    reporter.started(stage, len(fresh), sum(shard.size for shard in fresh))
    waiting = [ScanTask(root, shard, mapping, policy, key, store.folder, embedder, record_seconds) for shard in fresh]
    scanned, failed, deaths = list(known.values()), {}, _Deaths(store)
    while waiting:
        again = []
        for outcome in one_each(engine, scan_shard, waiting):
            task = waiting[outcome.index]
            if isinstance(outcome, Done):
                scanned.append(outcome.value)
                reporter.advanced(task.shard.size, outcome.value.records)
            elif isinstance(outcome.error, OutputError):
                # the disk failed, not the shard: free it, and the same command goes on
                raise outcome.error.at(task.shard.uri)
            elif deaths.again(task, outcome):
                again.append(task)
            else:
                failed[task.shard.uri] = outcome.error.at(task.shard.uri)
                reporter.advanced(task.shard.size, 0)
        waiting = again
    reporter.finished()
    return ScanResult(tuple(sorted(scanned, key=lambda found: found.uri)), failed, len(known))
