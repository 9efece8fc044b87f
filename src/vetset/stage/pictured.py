"""The signals of records with pictures, gathered a chunk at a time on their way into a part of the store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.model.errors import CountError, EngineError
from vetset.model.policy import ScanPolicy
from vetset.model.record import Fields, Record, Unreadable
from vetset.model.signal import BYTE_KINDS, Kind, NoSignal, Reason, Signal, Variant
from vetset.signal.embedding import Embedder, load_embedder
from vetset.signal.fingerprint import fingerprint, screen
from vetset.stage.digested import Answers, digested
from vetset.stage.watch import Watch
from vetset.store.columns import VARIANTS, Values
from vetset.store.part import PartWriter
from vetset.store.passed import MOST_PASSED, PassedOver

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

    @property
    def picture_kinds(self) -> tuple[Kind, ...]:
        """The kinds that are taken of stored bytes."""
        return tuple(kind for kind in self.kinds if kind in BYTE_KINDS or kind is Kind.PDQ)


@cache
def _embedder(name: str, model: str) -> Embedder:
    """One loaded model per worker, name and id.

    Raises:
        EngineError: the file of this name holds another model by now, or runs on another device.
    """
    found = load_embedder(name, threads=1)
    if found.id != model:
        raise EngineError(
            "a worker has another model than the run that asked it",
            expected="the same file and description, on the same device",
            todo="Leave them as they are until the run is done.",
        )
    return found


def embedder_of(asked: Asked) -> Embedder:
    """The model that is asked for."""
    return _embedder(asked.embedder, asked.embedder_id)


class _Vectors:
    """Embeddings of consecutive records, computed a few pictures at a time.

    Args:
        embedder: the model.
        watch: over the shard's scan.
        failed: the records of the shard that the model failed on, which further ones join.
    """

    def __init__(self, embedder: Embedder, watch: Watch, failed: list[PassedOver]) -> None:
        self._embedder = embedder
        self._watch = watch
        self._failed = failed
        self._waiting: dict[int, NDArray[np.uint8]] = {}
        self._records: list[int] = []
        self._rows: list[NDArray[np.float16]] = []
        self.why: list[int] = []

    def add(self, row: int, pixels: NDArray[np.uint8] | Reason) -> None:
        """The next record's picture, or why there is none."""
        self._rows.append(np.full(self._embedder.dimension, np.nan, np.float16))
        self._records.append(row)
        pixels = self._watch.unembedded.get(row, pixels)
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
        vectors = self._embedded(places)
        if vectors is None and len(places) > 1:  # one of them, or too many at a time: which, is seen alone
            for place in places:
                self._keep([place], self._embedded([place]))
        else:
            self._keep(places, vectors)
        self._waiting.clear()

    def _embedded(self, places: Sequence[int]) -> NDArray[np.float16] | None:
        """Vectors of these pictures, float16 (n, d); None if the model failed."""
        first, last = self._records[places[0]], self._records[places[-1]]
        try:
            with self._watch.embedding(first, last, len(places)):
                return self._embedder.embed([self._waiting[place] for place in places]).astype(np.float16)
        except (EngineError, MemoryError):
            return None

    def _keep(self, places: Sequence[int], vectors: NDArray[np.float16] | None) -> None:
        if vectors is None:
            self._fail(places[0])
            return
        for place, vector in zip(places, vectors, strict=True):
            if np.isfinite(vector).all() and vector.any():
                self._rows[place] = vector
            else:
                self.why[place] = Reason.DEGENERATE_VECTOR.code

    def _fail(self, place: int) -> None:
        self._failed.append(PassedOver(self._records[place], Reason.EMBEDDING_FAILED, embedding=True))
        if len(self._failed) > MOST_PASSED:  # that is no fault of the pictures
            raise EngineError(
                "the model fails on picture after picture of this shard",
                expected=f"at most {MOST_PASSED} that it fails on",
                seen="more",
                todo="Look at the memory of the machine and of the device that the model runs on.",
            )
        self.why[place] = Reason.EMBEDDING_FAILED.code

    def finished(self) -> NDArray[np.float16]:
        """All vectors, float16 (n, d); NaN where there is none."""
        self._embed()
        return np.stack(self._rows) if self._rows else np.zeros((0, self._embedder.dimension), np.float16)


class _Chunk:
    """Signals of consecutive records on their way into a part."""

    def __init__(self, kinds: tuple[Kind, ...], further: tuple[Variant, ...], vectors: _Vectors | None) -> None:
        self.kinds = kinds
        self.further = further
        self.vectors = vectors
        self.keys: list[str] = []
        # PDQ of further variants, by place in the chunk: few records have any
        self.others: dict[Variant, dict[int, Signal]] = {}
        self._decoded = tuple(kind for kind in kinds if kind is Kind.PDQ)
        self._of_columns = tuple(kind for kind in kinds if kind is Kind.PHOTODNA)
        self._fields: list[Fields] = []
        self._answers: dict[Kind, Answers] = {kind: [] for kind in kinds if kind is not Kind.EMBEDDING}

    def add(
        self, record: Record | Unreadable, digests: Answers, policy: ScanPolicy, refused: Reason | None = None
    ) -> None:
        """Compute what else there is of one record; nothing that needs it decoded, if there is a reason against it."""
        pixels: NDArray[np.uint8] | Reason
        found: Answers
        if isinstance(record, Unreadable):
            found, pixels = _undecoded(self._decoded, record.reason), record.reason
        elif refused is not None:
            found, pixels = _undecoded(self._decoded, refused), refused
        else:
            found, pixels = taken(record.image, self._decoded, policy, pixels=self.vectors is not None)
        found += digests
        found += [NoSignal(kind, Reason.ABSENT_COLUMN) for kind in self._of_columns]
        if self.vectors is not None:
            self.vectors.add(record.row, pixels)
        self.keys.append(record.key)
        self._fields.append(record.fields)
        for signal in found:
            if signal.variant is Variant.STORED:
                self._answers[signal.kind].append(signal)
            elif isinstance(signal, Signal):
                self.others.setdefault(signal.variant, {})[len(self.keys) - 1] = signal

    def columns(self) -> list[pa.Array]:
        """The arrays in the order of the part's schema."""
        arrays = [pa.array(self.keys, pa.string())]
        for kind in self.kinds:
            if kind in self._answers:
                arrays += [Values.of(self._values(kind, variant), kind.width).to_arrow() for variant in VARIANTS[kind]]
            if kind is Kind.PDQ:
                qualities = [answer.quality if isinstance(answer, Signal) else 0 for answer in self._answers[kind]]
                arrays.append(pa.array(qualities, pa.uint8()))
                arrays += [array for variant in self.further for array in self._variant(variant)]
            arrays.append(pa.array(self._why(kind), pa.uint8()))
        return arrays

    def _values(self, kind: Kind, variant: Variant) -> list[bytes | None]:
        """Of every record what is stored, or what is declared."""
        if variant is Variant.DECLARED:
            return [fields.declared.get(kind) for fields in self._fields]
        return [answer.value if isinstance(answer, Signal) else None for answer in self._answers[kind]]

    def _variant(self, variant: Variant) -> tuple[pa.Array, pa.Array]:
        """Value and quality of every record's PDQ of one further variant."""
        count, found = len(self.keys), self.others.get(variant)
        if not found:
            return pa.nulls(count, pa.binary(Kind.PDQ.width)), pa.nulls(count, pa.uint8())
        values = [found[place].value if place in found else None for place in range(count)]
        qualities = [found[place].quality if place in found else None for place in range(count)]
        return Values.of(values, Kind.PDQ.width).to_arrow(), pa.array(qualities, pa.uint8())

    def _why(self, kind: Kind) -> list[int]:
        if kind is Kind.EMBEDDING and self.vectors is not None:
            return self.vectors.why
        return [
            0 if isinstance(answer, Signal) else self._reason(place, answer)
            for place, answer in enumerate(self._answers[kind])
        ]

    def _reason(self, place: int, answer: NoSignal) -> int:
        """Why a record is undecided; 0 if a declared digest or a further form decides it."""
        kind, fields = answer.kind, self._fields[place]
        if kind in fields.declared or (kind is Kind.PDQ and self._has_whole_form(place)):
            return 0
        return (Reason.MALFORMED_VALUE if kind in fields.malformed else answer.reason).code

    def _has_whole_form(self, place: int) -> bool:
        """Whether a record has PDQ of a further form that is not only the top of a picture."""
        return any(place in found for variant, found in self.others.items() if variant is not Variant.PARTIAL)

    def append_to(self, writer: PartWriter) -> None:
        """Hand everything over; vectors first, since only embedding tells which of them are degenerate."""
        vectors = None if self.vectors is None else self.vectors.finished()
        writer.append(self.columns(), vectors)


def taken(
    image: bytes, kinds: Sequence[Kind], policy: ScanPolicy, *, pixels: bool
) -> tuple[Answers, NDArray[np.uint8] | Reason]:
    """What a picture looks like, and its pixels if they are needed; one that memory does not hold is too large.

    Args:
        image: the stored bytes.
        kinds: PDQ, or nothing.
        policy: caps and variants.
        pixels: whether a model wants the pixels (H, W, 3), uint8.
    """
    try:
        if pixels:
            return screen(image, kinds, policy, policy.variants)
        return fingerprint(image, kinds=kinds, policy=policy, variants=policy.variants), Reason.NO_EMBEDDING
    except MemoryError:
        return _undecoded(kinds, Reason.TOO_LARGE), Reason.TOO_LARGE


def _undecoded(kinds: Sequence[Kind], why: Reason) -> Answers:
    return [NoSignal(kind, why) for kind in kinds]


def _new_chunk(asked: Asked, watch: Watch, failed: list[PassedOver]) -> _Chunk:
    vectors = _Vectors(embedder_of(asked), watch, failed) if Kind.EMBEDDING in asked.kinds else None
    return _Chunk(asked.kinds, asked.policy.pdq_variants, vectors)


def append_records(
    asked: Asked, items: Iterable[Record | Unreadable], writer: PartWriter, watch: Watch
) -> tuple[PassedOver, ...]:
    """Compute every signal of every record, in order, and hand them to the part.

    Returns:
        The records that the model failed on, alone too: they are passed over, in this part already.

    Raises:
        DatasetError: the shard cannot be read to its end.
        OutputError: the store cannot be written.
        EngineError: the model cannot be loaded here, or fails again and again.
        CountError: a row was left out, or came twice.
    """
    failed: list[PassedOver] = []
    chunk = _new_chunk(asked, watch, failed)
    for row, (record, digests) in enumerate(digested(items, asked.kinds)):
        if record.row != row:  # a part has no column of rows: their order is all that tells them
            raise CountError("records came out of order", expected=f"row {row}", seen=f"row {record.row}")
        watch.begin(row)
        try:
            chunk.add(record, digests, asked.policy, watch.undecoded.get(row))
        finally:
            watch.end()
        if len(chunk.keys) == CHUNK_RECORDS:
            chunk.append_to(writer)
            chunk = _new_chunk(asked, watch, failed)
    if chunk.keys:
        chunk.append_to(writer)
    return tuple(failed)
