"""scan: shards → store. Needs no list and no key; one pass over the bytes computes every signal.

A shard whose part is committed is not read again. What a task does is keyed by the shard's content, the versions of the
signals and the scan part of the policy, so that a killed run goes on and two audits share their work.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.dataset.reading import ColumnBatch
from vetset.engine.outcome import Done, Engine
from vetset.model.canonical import document_digest
from vetset.model.dataset import Format, Shard
from vetset.model.errors import OutputError, VetsetError
from vetset.model.policy import ScanPolicy
from vetset.model.record import Record, Unreadable
from vetset.model.signal import Kind
from vetset.signal.fingerprint import SIGNAL_VERSIONS
from vetset.stage.pictured import Asked, append_records
from vetset.stage.progress import Reporter
from vetset.stage.tabled import append_columns
from vetset.storage.remote import Place
from vetset.store.part import PartWriter
from vetset.store.store import ScanKey, Scanned, ScanNote, Store


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

    @property
    def asked(self) -> Asked:
        """What is computed of every record."""
        return Asked(self.key.kinds, self.policy, self.embedder, self.key.embedder)


def scan_key(policy: ScanPolicy, mapping: ColumnMapping, embedder_id: str = "") -> ScanKey:
    """What decides, beside content, what a part of the store holds."""
    kinds = tuple(kind for kind in Kind if kind in policy.kinds or (kind is Kind.EMBEDDING and embedder_id))
    versions = {kind: SIGNAL_VERSIONS[kind] for kind in kinds if kind in SIGNAL_VERSIONS}
    return ScanKey(policy.digest, kinds, versions, document_digest(asdict(mapping)), embedder_id)


def scan_shard(task: ScanTask) -> Scanned:
    """Read one shard once and commit its signals.

    Raises:
        DatasetError: the shard cannot be read to its end; nothing is committed.
        OutputError: the store cannot be written; nothing is committed.
    """
    store = Store(task.store)
    reading = format_of(task.shard.format).read(task.root, task.shard, task.mapping)
    # a table stores no pictures, so there is nothing that could have further variants
    further = () if task.shard.format is Format.PARQUET else task.policy.pdq_variants
    with PartWriter(store, task.key.kinds, further) as writer:
        items = iter(reading)
        if task.shard.format is Format.PARQUET:
            append_columns(task.key.kinds, cast("Iterator[ColumnBatch]", items), writer)
        else:
            append_records(task.asked, cast("Iterator[Record | Unreadable]", items), writer)
        part = task.key.part(reading.digest)
        scanned = Scanned(task.shard.uri, reading.digest, reading.records, part)
        # The note first: it says nothing without its part, so that the part's rename alone commits both.
        store.remember(task.key, str(task.root), task.shard, scanned)
        if not store.holds(part):
            writer.commit(part, reading.records)
    return scanned


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan came to.

    Attributes:
        scanned: every shard that lies in the store, sorted by uri.
        failed: the error of every shard that does not, by uri.
        reused: how many shards were not read because their parts were committed before.
    """

    scanned: tuple[Scanned, ...]
    failed: Mapping[str, VetsetError]
    reused: int

    def note(  # noqa: PLR0917  two callers
        self, root: Place, name: Format, stamp: str, policy: ScanPolicy, mapping: ColumnMapping, embedder_id: str
    ) -> ScanNote:
        """What the store remembers of this scan."""
        failed = {uri: type(error).__name__ for uri, error in sorted(self.failed.items())}
        return ScanNote(str(root), name.value, stamp, policy, asdict(mapping), embedder_id, self.scanned, failed)


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
        reporter: told of each finished shard.

    Raises:
        OutputError: the store cannot be written; what was committed stays.
    """
    key = scan_key(policy, mapping, embedder_id)
    reporter.started("scan", len(shards), sum(shard.size for shard in shards))
    known = {shard.uri: found for shard in shards if (found := store.find(key, str(root), shard))}
    for shard in shards:
        if shard.uri in known:
            reporter.advanced(shard, known[shard.uri].records)
    fresh = [shard for shard in shards if shard.uri not in known]
    tasks = [ScanTask(root, shard, mapping, policy, key, store.folder, embedder) for shard in fresh]
    scanned, failed = list(known.values()), {}
    for outcome in engine.map(scan_shard, tasks):
        shard = fresh[outcome.index]
        if isinstance(outcome, Done):
            scanned.append(outcome.value)
            reporter.advanced(shard, outcome.value.records)
        elif isinstance(outcome.error, OutputError):
            raise outcome.error.at(shard.uri)  # the disk failed, not the shard: free it, and the same command goes on
        else:
            failed[shard.uri] = outcome.error.at(shard.uri)
            reporter.advanced(shard, 0)
    reporter.finished()
    return ScanResult(tuple(sorted(scanned, key=lambda found: found.uri)), failed, len(known))
