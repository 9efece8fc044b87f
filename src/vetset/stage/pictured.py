"""The signals of records with pictures, gathered a chunk at a time on their way into a part of the store."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.model.policy import ScanPolicy
from vetset.model.record import Fields, Record, Unreadable
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal.digest import url_digest
from vetset.signal.embedding import Embedder, load_embedder
from vetset.signal.fingerprint import fingerprint, screen
from vetset.store.columns import VARIANTS, Values
from vetset.store.part import PartWriter

CHUNK_RECORDS = 1024
"""Records whose signals are gathered before they are appended to a part."""
WAITING_PICTURES = 32
WAITING_BYTES = 64 << 20
"""Decoded pictures that wait for the model together, at most: number and bytes. Bounds a worker's memory."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is computed of every record.

    Attributes:
        kinds: which kinds of signal, in the order of their columns.
        policy: caps and variants.
        embedder: name or file of a model, or empty.
        embedder_id: its id, or empty.
    """

    kinds: tuple[Kind, ...]
    policy: ScanPolicy
    embedder: str = ""
    embedder_id: str = ""


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


class _Cells:
    """What one kind of signal comes to, record after record."""

    def __init__(self, kind: Kind) -> None:
        self.values: dict[Variant, list[bytes | None]] = {variant: [] for variant in VARIANTS[kind]}
        self.stored = self.values[Variant.STORED]
        self.declared = self.values.get(Variant.DECLARED)
        self.why: list[int] = []


class _Chunk:
    """Signals of consecutive records on their way into a part."""

    def __init__(self, kinds: tuple[Kind, ...], further: tuple[Variant, ...], vectors: _Vectors | None) -> None:
        self.kinds = kinds
        self.further = further
        self.vectors = vectors
        self.rows: list[int] = []
        self.keys: list[str] = []
        self.quality: list[int] = []
        # PDQ of further variants, by place in the chunk: few records have any
        self.others: dict[Variant, dict[int, Signal]] = {}
        self._of_picture = tuple(kind for kind in kinds if kind in BYTE_KINDS or kind is Kind.PDQ)
        self._of_address = tuple(kind for kind in kinds if kind in URL_KINDS)
        self._cells = {kind: _Cells(kind) for kind in (*self._of_picture, *self._of_address)}

    def add(self, record: Record | Unreadable, policy: ScanPolicy) -> None:
        """Compute every signal of one record."""
        pixels: NDArray[np.uint8] | Reason
        found: list[Signal | NoSignal]
        if isinstance(record, Unreadable):
            found, pixels = [NoSignal(kind, record.reason) for kind in self._of_picture], record.reason
        elif self.vectors is not None:
            found, pixels = screen(record.image, self._of_picture, policy, policy.variants)
        else:
            found = fingerprint(record.image, kinds=self._of_picture, policy=policy, variants=policy.variants)
            pixels = Reason.NO_EMBEDDING
        found += [_url_signal(kind, record.fields.url) for kind in self._of_address]
        if self.vectors is not None:
            self.vectors.add(pixels)
        self.rows.append(record.row)
        self.keys.append(record.key)
        for signal in found:
            if signal.variant is Variant.STORED:
                self._put(signal, record.fields)
            elif isinstance(signal, Signal):
                self._put_variant(signal)

    def _put_variant(self, signal: Signal) -> None:
        """A further form of the record that was put last; any but a partial one makes it decided."""
        self.others.setdefault(signal.variant, {})[len(self.rows) - 1] = signal
        if signal.variant is not Variant.PARTIAL:
            self._cells[signal.kind].why[-1] = 0

    def _put(self, signal: Signal | NoSignal, fields: Fields) -> None:
        kind = signal.kind
        cells = self._cells[kind]
        value, quality, reason = None, 0, 0
        declared = fields.declared.get(kind)
        if isinstance(signal, Signal):
            value, quality = signal.value, signal.quality
        elif declared is None:
            reason = (Reason.MALFORMED_VALUE if kind in fields.malformed else signal.reason).code
        cells.stored.append(value)
        if cells.declared is not None:
            cells.declared.append(declared)
        if kind is Kind.PDQ:
            self.quality.append(quality)
        cells.why.append(reason)

    def columns(self) -> list[pa.Array]:
        """The arrays in the order of the part's schema."""
        arrays = [pa.array(self.rows, pa.int64()), pa.array(self.keys, pa.string())]
        for kind in self.kinds:
            if kind in self._cells:
                arrays += [Values.of(each, kind.width).to_arrow() for each in self._cells[kind].values.values()]
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
        return self.vectors.why if kind is Kind.EMBEDDING and self.vectors is not None else self._cells[kind].why

    def append_to(self, writer: PartWriter) -> None:
        """Hand everything over; vectors first, since only embedding tells which of them are degenerate."""
        vectors = None if self.vectors is None else self.vectors.finished()
        writer.append(self.columns(), vectors)


def _url_signal(kind: Kind, url: str | None) -> Signal | NoSignal:
    return NoSignal(kind, Reason.ABSENT_COLUMN) if url is None else Signal(kind, url_digest(url, kind))


def _new_chunk(asked: Asked) -> _Chunk:
    embeds = Kind.EMBEDDING in asked.kinds
    vectors = _Vectors(_embedder(asked.embedder, asked.embedder_id)) if embeds else None
    return _Chunk(asked.kinds, asked.policy.pdq_variants, vectors)


def append_records(asked: Asked, items: Iterable[Record | Unreadable], writer: PartWriter) -> None:
    """Compute every signal of every record, in order, and hand them to the part.

    Raises:
        DatasetError: the shard cannot be read to its end.
        OutputError: the store cannot be written.
    """
    chunk = _new_chunk(asked)
    for record in items:
        chunk.add(record, asked.policy)
        if len(chunk.rows) == CHUNK_RECORDS:
            chunk.append_to(writer)
            chunk = _new_chunk(asked)
    if chunk.rows:
        chunk.append_to(writer)
