"""scan: shards → store. Needs no list and no key; one pass over the bytes computes every signal.

A shard whose part is committed is not read again. What a task does is keyed by the shard's content, the versions of the
signals and the scan part of the policy, so that a killed run goes on and two audits share their work.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import format_of
from vetset.dataset.reading import ColumnBatch
from vetset.engine.outcome import Done, Engine
from vetset.model.canonical import document_digest
from vetset.model.dataset import Format, Shard
from vetset.model.errors import OutputError, VetsetError
from vetset.model.policy import ScanPolicy
from vetset.model.record import Record, Unreadable
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal.digest import url_digest
from vetset.signal.embedding import Embedder, load_embedder
from vetset.signal.fingerprint import SIGNAL_VERSIONS, fingerprint, screen
from vetset.stage.progress import Reporter
from vetset.store.columns import VARIANTS, Values
from vetset.store.part import PartWriter
from vetset.store.store import ScanKey, Scanned, ScanNote, Store

CHUNK_RECORDS = 1024
"""Records whose signals are gathered before they are appended to a part."""
WAITING_PICTURES = 32
WAITING_BYTES = 64 << 20
"""Decoded pictures that wait for the model together, at most: number and bytes. Bounds a worker's memory."""


@dataclass(frozen=True, slots=True)
class ScanTask:
    """Everything a worker needs to scan one shard; plain values, so that it can travel."""

    root: Path
    shard: Shard
    mapping: ColumnMapping
    policy: ScanPolicy
    key: ScanKey
    store: Path
    embedder: str


def scan_key(policy: ScanPolicy, mapping: ColumnMapping, embedder_id: str = "") -> ScanKey:
    """What decides, beside content, what a part of the store holds."""
    kinds = tuple(kind for kind in Kind if kind in policy.kinds or (kind is Kind.EMBEDDING and embedder_id))
    versions = {kind: SIGNAL_VERSIONS[kind] for kind in kinds if kind in SIGNAL_VERSIONS}
    return ScanKey(policy.digest, kinds, versions, document_digest(asdict(mapping)), embedder_id)


@cache
def _embedder(name: str, model: str) -> Embedder:  # noqa: ARG001  a file of the same name may hold another model by now
    """One loaded model per worker, name and id."""
    return load_embedder(name, threads=1)


class _Vectors:
    """Embeddings of consecutive records, computed a few pictures at a time."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._waiting: dict[int, NDArray[np.uint8]] = {}
        self._rows: list[NDArray[np.float16]] = []
        self.why: list[int] = []

    def add(self, pixels: NDArray[np.uint8] | Reason) -> None:
        """The next record's picture, or why there is none."""
        self._rows.append(np.full(self._embedder.dimension, np.nan, np.float16))
        if isinstance(pixels, Reason):
            self.why.append(pixels.code)
            return
        self._waiting[len(self.why)] = pixels
        self.why.append(0)
        waiting = sum(image.nbytes for image in self._waiting.values())
        if len(self._waiting) >= WAITING_PICTURES or waiting >= WAITING_BYTES:
            self._embed()

    def _embed(self) -> None:
        places = list(self._waiting)
        if not places:
            return
        vectors = self._embedder.embed(list(self._waiting.values())).astype(np.float16)
        for place, vector in zip(places, vectors, strict=True):
            if np.isfinite(vector).all() and vector.any():
                self._rows[place] = vector
            else:
                self.why[place] = Reason.DEGENERATE_VECTOR.code
        self._waiting.clear()

    def finished(self) -> NDArray[np.float16]:
        """All vectors, float16 (n, d); NaN where there is none."""
        self._embed()
        return np.stack(self._rows) if self._rows else np.zeros((0, self._embedder.dimension), np.float16)


@dataclass(slots=True)
class _Chunk:
    """Signals of consecutive records on their way into a part."""

    kinds: tuple[Kind, ...]
    further: tuple[Variant, ...]
    vectors: _Vectors | None
    rows: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    cells: dict[tuple[Kind, Variant], list[bytes | None]] = field(default_factory=dict)
    why: dict[Kind, list[int]] = field(default_factory=dict)
    quality: list[int] = field(default_factory=list)
    others: dict[Variant, dict[int, Signal]] = field(default_factory=dict)
    """PDQ of further variants, by place in the chunk: few records have any."""

    def add(self, record: Record | Unreadable, policy: ScanPolicy) -> None:
        """Compute every signal of one record."""
        wanted = [kind for kind in self.kinds if kind in BYTE_KINDS or kind is Kind.PDQ]
        pixels: NDArray[np.uint8] | Reason
        found: list[Signal | NoSignal]
        if isinstance(record, Unreadable):
            found, pixels = [NoSignal(kind, record.reason) for kind in wanted], record.reason
        elif self.vectors is not None:
            found, pixels = screen(record.image, wanted, policy, policy.variants)
        else:
            found = fingerprint(record.image, kinds=wanted, policy=policy, variants=policy.variants)
            pixels = Reason.NO_EMBEDDING
        found += [_url_signal(kind, record.fields.url) for kind in self.kinds if kind in URL_KINDS]
        if self.vectors is not None:
            self.vectors.add(pixels)
        self.rows.append(record.row)
        self.keys.append(record.key)
        for signal in found:
            if signal.variant is Variant.STORED:
                self._put(signal, record)
            elif isinstance(signal, Signal):
                self._put_variant(signal)

    def _put_variant(self, signal: Signal) -> None:
        """A further form of the record that was put last; any but a partial one makes it decided."""
        self.others.setdefault(signal.variant, {})[len(self.rows) - 1] = signal
        if signal.variant is not Variant.PARTIAL:
            self.why[signal.kind][-1] = 0

    def _put(self, signal: Signal | NoSignal, record: Record | Unreadable) -> None:
        kind, fields = signal.kind, record.fields
        value = signal.value if isinstance(signal, Signal) else None
        declared = fields.declared.get(kind)
        self.cells.setdefault((kind, Variant.STORED), []).append(value)
        if Variant.DECLARED in VARIANTS[kind]:
            self.cells.setdefault((kind, Variant.DECLARED), []).append(declared)
        if kind is Kind.PDQ:
            self.quality.append(signal.quality if isinstance(signal, Signal) else 0)
        reason = 0
        if isinstance(signal, NoSignal) and declared is None:
            reason = (Reason.MALFORMED_VALUE if kind in fields.malformed else signal.reason).code
        self.why.setdefault(kind, []).append(reason)

    def columns(self) -> list[pa.Array]:
        """The arrays in the order of the part's schema."""
        arrays = [pa.array(self.rows, pa.int64()), pa.array(self.keys, pa.string())]
        for kind in self.kinds:
            arrays += [Values.of(self.cells[kind, variant], kind.width).to_arrow() for variant in VARIANTS[kind]]
            if kind is Kind.PDQ:
                arrays.append(pa.array(self.quality, pa.uint8()))
                arrays += [array for variant in self.further for array in self._variant(variant)]
            arrays.append(pa.array(self._why(kind), pa.uint8()))
        return arrays

    def _variant(self, variant: Variant) -> tuple[pa.Array, pa.Array]:
        """Value and quality of every record's PDQ of one further variant."""
        count, found = len(self.rows), self.others.get(variant)
        if not found:
            return pa.nulls(count, pa.binary(Kind.PDQ.width)), pa.nulls(count, pa.uint8())
        values = [found[place].value if place in found else None for place in range(count)]
        qualities = [found[place].quality if place in found else None for place in range(count)]
        return Values.of(values, Kind.PDQ.width).to_arrow(), pa.array(qualities, pa.uint8())

    def _why(self, kind: Kind) -> list[int]:
        return self.vectors.why if kind is Kind.EMBEDDING and self.vectors is not None else self.why[kind]

    def append_to(self, writer: PartWriter) -> None:
        """Hand everything over; vectors first, since only embedding tells which of them are degenerate."""
        vectors = None if self.vectors is None else self.vectors.finished()
        writer.append(self.columns(), vectors)


def _url_signal(kind: Kind, url: str | None) -> Signal | NoSignal:
    return NoSignal(kind, Reason.ABSENT_COLUMN) if url is None else Signal(kind, url_digest(url, kind))


def _new_chunk(task: ScanTask) -> _Chunk:
    embeds = Kind.EMBEDDING in task.key.kinds
    vectors = _Vectors(_embedder(task.embedder, task.key.embedder)) if embeds else None
    return _Chunk(task.key.kinds, task.policy.pdq_variants, vectors)


def _append_records(task: ScanTask, items: Iterator[Record | Unreadable], writer: PartWriter) -> None:
    chunk = _new_chunk(task)
    for record in items:
        chunk.add(record, task.policy)
        if len(chunk.rows) == CHUNK_RECORDS:
            chunk.append_to(writer)
            chunk = _new_chunk(task)
    if chunk.rows:
        chunk.append_to(writer)


def _column_signals(batch: ColumnBatch, kind: Kind) -> tuple[Values, NDArray[np.uint8]]:
    """Signals of one kind that a metadata table states, with reasons where it states none."""
    count = len(batch.keys)
    if kind in URL_KINDS:
        urls: Sequence[str | None] = [None] * count if batch.urls is None else batch.urls.to_pylist()
        absent = Reason.ABSENT_COLUMN if batch.urls is None else Reason.NULL_VALUE
        values = [None if url is None else url_digest(url, kind) for url in urls]
        why = np.array([0 if value is not None else absent.code for value in values], np.uint8)
        return Values.of(values, kind.width), why
    if kind in batch.declared:
        column = batch.declared[kind]
        return Values(column.values, column.why == 0), column.why
    nothing = Reason.ABSENT_COLUMN if kind in BYTE_KINDS else Reason.METADATA_ONLY
    empty = Values(np.zeros((count, kind.width), np.uint8), np.zeros(count, np.bool_))
    return empty, np.full(count, nothing.code, np.uint8)


def _append_columns(task: ScanTask, batches: Iterator[ColumnBatch], writer: PartWriter) -> None:
    for batch in batches:
        count = len(batch.keys)
        arrays = [pa.array(np.arange(batch.first_row, batch.first_row + count)), batch.keys.cast(pa.string())]
        for kind in task.key.kinds:
            values, why = _column_signals(batch, kind)
            # A table states digests; it stores no bytes that they could be taken of.
            stored = Variant.STORED if kind in URL_KINDS else Variant.DECLARED
            arrays += [
                values.to_arrow() if variant is stored else pa.nulls(count, pa.binary(kind.width))
                for variant in VARIANTS[kind]
            ]
            if kind is Kind.PDQ:
                arrays.append(pa.nulls(count, pa.uint8()))
            arrays.append(pa.array(why, pa.uint8()))
        writer.append(arrays)


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
            _append_columns(task, cast("Iterator[ColumnBatch]", items), writer)
        else:
            _append_records(task, cast("Iterator[Record | Unreadable]", items), writer)
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
        self, root: Path, name: Format, stamp: str, policy: ScanPolicy, mapping: ColumnMapping, embedder_id: str
    ) -> ScanNote:
        """What the store remembers of this scan."""
        failed = {uri: type(error).__name__ for uri, error in sorted(self.failed.items())}
        return ScanNote(str(root), name.value, stamp, policy, asdict(mapping), embedder_id, self.scanned, failed)


def scan(
    root: Path,
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
