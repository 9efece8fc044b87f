"""One part of the store: the signals of one shard, written in batches, committed whole, checked when read.

A part is an Arrow IPC file: signals are columns of fixed width, which go in and out of such a file as they lie in
memory. The last batch has no rows and says how many records the reader of the shard counted.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from blake3 import blake3
from numpy.typing import NDArray

from vetset.model.coverage import Coverage, Drift
from vetset.model.errors import CountError, OutputError
from vetset.model.signal import BYTE_KINDS, REASON_OF_CODE, Kind, Variant
from vetset.storage.commit import commit, temporary_beside, write_all
from vetset.store.columns import (
    TYPES,
    VARIANTS,
    Values,
    column_of,
    part_schema,
    quality_of,
    variants_of,
    why_coverage,
    why_of,
)
from vetset.store.store import Store
from vetset.store.vectors import VectorFile
from vetset.store.whole import file_digest, is_whole, write_sums

RECORDS = "vetset.records"
"""Under which name the last batch of a part says how many records there are."""


_LAST_REASON = max(REASON_OF_CODE)
_UNKNOWN = "what this version of vetset does not know"


def _refused(error: OSError) -> OutputError:
    return OutputError("writing the store failed", seen=error.strerror, todo="Free space, then go on.")


def ipc_options(*, packed: bool) -> Any:
    """How the batches of a part are written; see `PartWriter`."""
    return pa.ipc.IpcWriteOptions(compression="zstd" if packed else None)


class _Sink:
    """A file that is digested while it is written; what Arrow needs of one."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._digest = blake3()
        self.closed = False

    def write(self, data: Any) -> int:
        write_all(self._file, data)
        self._digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        self.closed = True
        self._file.close()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


class PartWriter:
    """Writes the part of one shard under a temporary name; without `commit` nothing stays.

    Args:
        store: where the part will lie.
        kinds: the kinds of its columns.
        further: the variants of PDQ that have columns beside the stored picture's.
        without: columns that the part leaves out, see `part_schema`.
        packed: whether empty cells are packed together, at a price for full ones: worth it where most variants are
            empty, as in a shard of pictures.
    """

    def __init__(
        self,
        store: Store,
        kinds: Sequence[Kind],
        further: Sequence[Variant] = (),
        *,
        without: Collection[str] = (),
        packed: bool = True,
    ) -> None:
        self._store = store
        self._schema = part_schema(kinds, further, without)
        self._temporary = temporary_beside(store.part_path("uncommitted"))
        self._vectors = VectorFile(temporary_beside(store.embeddings_path("uncommitted")))
        try:
            self._sink = _Sink(self._temporary)
            self._writer = pa.ipc.new_file(
                pa.PythonFile(self._sink, "w"), self._schema, options=ipc_options(packed=packed)
            )
        except OSError as error:
            self._temporary.unlink(missing_ok=True)
            raise _refused(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._sink.closed:
                # a full disk also refuses the end of a part that is given up; why it is given up was told already
                with suppress(OSError):
                    self._writer.close()
                self._sink.close()
            self._vectors.close()
        finally:
            self._temporary.unlink(missing_ok=True)
            self._vectors.path.unlink(missing_ok=True)

    def append(self, columns: Sequence[pa.Array], vectors: NDArray[np.float16] | None = None) -> None:
        """Add consecutive rows.

        Args:
            columns: one array per column of `part_schema`, in its order.
            vectors: float16 (n, d) embeddings of the same rows, NaN where there is none.

        Raises:
            OutputError: the disk is full.
        """
        try:
            self._writer.write_batch(pa.record_batch(list(columns), schema=self._schema))
            if vectors is not None:
                self._vectors.append(vectors)
        except OSError as error:
            raise _refused(error) from error

    def commit(self, part: str, records: int) -> None:
        """Close the part and give it its name; `records` is the reader's own count.

        Raises:
            OutputError: the disk is full.
        """
        path, vectors = self._store.part_path(part), self._store.embeddings_path(part)
        try:
            nothing = pa.record_batch([pa.array([], field.type) for field in self._schema], schema=self._schema)
            self._writer.write_batch(nothing, custom_metadata={RECORDS: str(records)})
            self._writer.close()
            self._sink.close()
            sums = {path.name: self._sink.digest}
            if self._vectors.begun:
                self._vectors.finish()
                sums[vectors.name] = file_digest(self._vectors.path)
        except OSError as error:
            raise _refused(error) from error
        for temporary, name in ((self._vectors.path, vectors), (self._temporary, path)):
            if name.name in sums:
                temporary.chmod(0o600)
        if vectors.name in sums:
            commit(self._vectors.path, vectors)
        write_sums(path, sums)
        commit(self._temporary, path)


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive records of a part, for one kind of signal.

    Attributes:
        first: row of the first of them.
        signals: one for each of `Part.variants(kind)`, of n records each.
        why: uint8 (n,) reason codes; 0 where there is a signal.
    """

    first: int
    signals: tuple[Values, ...]
    why: NDArray[np.uint8]


class Part:
    """A committed part, read column by column, a batch of rows at a time.

    Args:
        path: the file.
        name: what the shard is called in errors.

    Raises:
        CountError: the part is missing or is not a part.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        if not is_whole(path):
            raise self._damaged("files that are missing, or are not what was written")
        try:
            with pa.OSFile(os.fsencode(path)) as source, pa.ipc.open_file(source) as reader:
                self._schema = reader.schema
                last = reader.num_record_batches - 1
                stated = reader.get_batch_with_custom_metadata(last).custom_metadata if last >= 0 else None
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged("it cannot be opened") from error
        records = (stated or {}).get(RECORDS.encode(), b"")
        if not records.isdigit():
            raise self._damaged("it does not state its number of records")
        if not self.kinds or any(TYPES.get(column.name) != column.type for column in self._schema):
            raise self._damaged(_UNKNOWN)
        self.records = int(records)
        self._lengths: NDArray[np.int64] | None = None

    def _damaged(self, seen: str) -> CountError:
        return CountError(
            "a part of the store is damaged or missing",
            expected="the signals of this shard",
            seen=seen,
            where=self._name,
            todo="Scan the dataset into this store again: what is damaged is read anew.",
        )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that have columns here."""
        return tuple(kind for kind in Kind if why_of(kind) in self._schema.names)

    @contextmanager
    def _opened(self, names: Sequence[str]) -> Iterator[Any]:
        """A reader of these columns; what cannot be read with it is damaged."""
        fields = [self._schema.get_field_index(name) for name in names]
        options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        try:
            with pa.OSFile(os.fsencode(self._path)) as source, pa.ipc.open_file(source, options=options) as reader:
                yield reader
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged("a column cannot be read") from error

    def _batches(self, names: Sequence[str], rows: Sequence[int] | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
        """First row and these columns of every batch, in order; where rows are named, of those that hold one."""
        passed = {} if rows is None else self._without(rows)
        first = 0
        with self._opened(names) as reader:
            for number in range(reader.num_record_batches):
                if number in passed:
                    first += passed[number]
                    continue
                batch = reader.get_batch(number)
                batch.validate(full=True)
                if len(batch):
                    yield first, batch
                first += len(batch)

    def _without(self, rows: Sequence[int]) -> dict[int, int]:
        """The batches that hold none of these rows, and how long each is.

        A large part is asked for some rows again and again, since it is matched piece by piece: read whole each time,
        it would cost the square of its length.
        """
        if self._lengths is None:
            with self._opened([why_of(self.kinds[0])]) as reader:
                lengths = [len(reader.get_batch(number)) for number in range(reader.num_record_batches)]
            self._lengths = np.array(lengths, np.int64)
        held = np.searchsorted(np.cumsum(self._lengths), np.asarray(rows, np.int64), side="right")
        without = np.setdiff1d(np.arange(len(self._lengths)), held)
        return dict(zip(without.tolist(), self._lengths[without].tolist(), strict=True))

    def columns(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """First row, and those of these columns that the part has, of every batch in order."""
        held = [name for name in names if name in self._schema.names]
        yield from self._batches(held or [why_of(self.kinds[0])])

    def key_batches(self, rows: Sequence[int] | None = None) -> Iterator[tuple[int, pa.Array]]:
        """First row and the records' keys, batch by batch in the order of rows; where rows are named, around these."""
        if "key" in self._schema.names:
            for first, batch in self._batches(["key"], rows):
                yield first, batch.column(0)
        else:
            for first, batch in self._batches([why_of(self.kinds[0])], rows):
                yield first, pa.array(np.arange(first, first + len(batch)), pa.int64()).cast(pa.string())

    def keys_at(self, rows: Sequence[int]) -> dict[int, str]:
        """Keys of some records, by row.

        Raises:
            CountError: there is no such row.
        """
        if "key" not in self._schema.names and all(0 <= row < self.records for row in rows):
            return {row: str(row) for row in rows}
        found = {}
        for row, keys, place in _picked(self.key_batches(rows), rows):
            found[row] = str(keys[place].as_py())
        if len(found) != len(set(rows)):
            raise self._damaged("fewer records than were counted")
        return found

    def variants(self, kind: Kind) -> tuple[Variant, ...]:
        """The variants of a kind that have columns here, in their order."""
        names = set(self._schema.names)
        further = [variant for variant in Variant if variant not in VARIANTS[kind]]
        return tuple(variant for variant in variants_of(kind, further) if column_of(kind, variant) in names)

    def windows(self, kind: Kind) -> Iterator[Window]:
        """The signals of one kind and their reasons, batch by batch in the order of rows."""
        names = [column_of(kind, variant) for variant in self.variants(kind)]
        for first, batch in self._batches([*names, why_of(kind)]):
            values = tuple(Values.from_arrow(batch.column(name), kind.width) for name in names)
            yield Window(first, values, self._reasons(batch, kind))

    def signals(self, kind: Kind) -> list[Values]:
        """The signals of one kind, whole, in the order of `variants(kind)`."""
        windows = list(self.windows(kind))
        return [
            Values.joined([window.signals[number] for window in windows], kind.width)
            for number in range(len(self.variants(kind)))
        ]

    def stored(self, kind: Kind, rows: Sequence[int] | None = None) -> Iterator[tuple[int, Values]]:
        """First row and signals of the bytes (or address) as stored, batch by batch; nothing where there are none.

        Where rows are named, of the batches that hold one.
        """
        name = column_of(kind, Variant.STORED)
        if name in self._schema.names:
            for first, batch in self._batches([name], rows):
                yield first, Values.from_arrow(batch.column(0), kind.width)

    def stored_at(self, kind: Kind, rows: Sequence[int]) -> dict[int, bytes]:
        """Signals of some records as stored, by row; absent where a record has none."""
        found = {}
        for row, values, place in _picked(self.stored(kind, rows), rows):
            if values.present[place]:
                found[row] = values.values[place].tobytes()
        return found

    def quality(self, variant: Variant = Variant.STORED) -> NDArray[np.uint8]:
        """PDQ quality of one variant, uint8 (n,); 0 where there is no hash."""
        columns = [batch.column(0) for _, batch in self._batches([quality_of(variant)])]
        return np.concatenate(
            [np.zeros(0, np.uint8), *(np.asarray(column.fill_null(0), np.uint8) for column in columns)]
        )

    def quality_at(self, variant: Variant, rows: Sequence[int]) -> dict[int, int]:
        """PDQ quality of one variant of some records, by row; 0 where there is no hash."""
        batches = ((first, batch.column(0)) for first, batch in self._batches([quality_of(variant)], rows))
        return {row: int(column[place].as_py() or 0) for row, column, place in _picked(batches, rows)}

    def why(self, kind: Kind) -> NDArray[np.uint8]:
        """Reason codes, uint8 (n,); 0 where there is a signal."""
        found = [self._reasons(batch, kind) for _, batch in self._batches([why_of(kind)])]
        return np.concatenate([np.zeros(0, np.uint8), *found])

    def _reasons(self, batch: pa.RecordBatch, kind: Kind) -> NDArray[np.uint8]:
        """Reason codes of one batch, each of which says something.

        Raises:
            CountError: a row has none, or one of a later version.
        """
        column = batch.column(why_of(kind))
        if column.null_count:
            raise self._damaged("a row without a reason")
        codes = np.asarray(column, np.uint8)
        if codes.max(initial=0) > _LAST_REASON:
            raise self._damaged(_UNKNOWN)
        return codes

    def _deciding(self, kind: Kind) -> list[str]:
        return [column_of(kind, variant) for variant in self.variants(kind) if variant is not Variant.PARTIAL]

    def present_at(self, kind: Kind, rows: Sequence[int]) -> frozenset[int]:
        """Which of some records have a signal that decides: what decodes of a truncated file does not."""
        found: set[int] = set()
        names = self._deciding(kind)
        batches = self._batches(names, rows) if names else iter(())
        for row, batch, place in _picked(batches, rows):
            if any(batch.column(name).is_valid()[place].as_py() for name in names):
                found.add(row)
        return frozenset(found)

    def coverage(self, kind: Kind) -> Coverage:
        """Coverage of one kind; see `why_coverage` for what is counted from where."""
        names = [] if kind is Kind.EMBEDDING else self._deciding(kind)
        decided, reasons = 0, np.zeros(256, np.int64)
        for _, batch in self._batches([*names, why_of(kind)]):
            why = self._reasons(batch, kind)
            reasons += np.bincount(why, minlength=256) if why.any() else np.eye(1, 256, dtype=np.int64)[0] * len(why)
            decided += _any_valid([batch.column(name) for name in names])
        return why_coverage(kind, self.records, reasons, int(reasons[0]) if kind is Kind.EMBEDDING else decided)

    def check_rest(self) -> None:
        """Read what `coverage` does not: keys, qualities and the like, which are asked for where something is found.

        Whoever made the store would otherwise learn by their damage that a record was.

        Raises:
            CountError: a column cannot be read.
        """
        covered = {name for kind in self.kinds for name in (*self._deciding(kind), why_of(kind))}
        rest = {name for name in self._schema.names if name not in covered}
        rest |= {quality_of(variant) for variant in self.variants(Kind.PDQ)}  # one that is not there cannot be read
        for _ in self._batches(sorted(rest)) if rest else ():
            pass

    def drift(self) -> list[Drift]:
        """How stored bytes and declared digests compare, for every kind of digest of bytes that has columns here."""
        return [self._drift(kind) for kind in BYTE_KINDS if kind in self.kinds]

    def _drift(self, kind: Kind) -> Drift:
        stored = both = agree = 0
        two = set(VARIANTS[kind]) <= set(self.variants(kind))
        names = [column_of(kind, variant) for variant in self.variants(kind)]
        if column_of(kind, Variant.STORED) not in names:
            return Drift(kind, 0, 0, 0)
        for _, batch in self._batches(names):
            mine = Values.from_arrow(batch.column(column_of(kind, Variant.STORED)), kind.width)
            stored += int(np.count_nonzero(mine.present))
            if two and batch.column(column_of(kind, Variant.DECLARED)).null_count < len(batch):
                theirs = Values.from_arrow(batch.column(column_of(kind, Variant.DECLARED)), kind.width)
                compared = mine.present & theirs.present
                both += int(np.count_nonzero(compared))
                agree += int(np.count_nonzero((mine.values == theirs.values).all(axis=1) & compared))
        return Drift(kind, stored, agree, both - agree)


def _any_valid(columns: Sequence[pa.Array]) -> int:
    """How many rows have a value in one of these columns; masks are only looked at where they are needed."""
    filled = [column for column in columns if column.null_count < len(column)]
    if len(filled) <= 1:
        return sum(len(column) - column.null_count for column in filled)
    return int(np.count_nonzero(np.logical_or.reduce([np.asarray(column.is_valid()) for column in filled])))


def _picked(batches: Iterator[tuple[int, Any]], rows: Sequence[int]) -> Iterator[tuple[int, Any, int]]:
    """Each of these rows, in order, with what holds it and its place in there."""
    wanted = np.unique(np.asarray(rows, np.int64))
    for first, held in batches:
        count = len(held.present) if isinstance(held, Values) else len(held)
        for row in wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + count)].tolist():
            yield row, held, row - first
