"""Embeddings in tables: parquet files, Arrow files (feather version 2) or Arrow streams with a key and a vector a row.

A vector is a list (of either width of offsets, or of fixed size) of halffloat, float, double or int8; doubles are
narrowed to float32. A row whose vector is null has none. A table is read batch by batch and never mapped.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.dataset.arrays import compacted, has_dictionary, is_list, list_lengths, without_counts
from vetset.dataset.arrow_stream import Forward, damaged, record_batches, require_arrays
from vetset.dataset.columns import listed
from vetset.dataset.embeddings.beside import local_copy
from vetset.dataset.embeddings.parts import (
    KEY_ROWS,
    MAX_DIMENSION,
    Choice,
    changed,
    dataset_keys,
    key_column,
    refused,
)
from vetset.dataset.places import Found, copy_file, new_file, open_plain, place_found, suffix_of, writable
from vetset.dataset.tables import check_length, check_rows, decoded, filter_table, group_batches, open_table
from vetset.model.errors import AlignmentError, UsageError
from vetset.model.vectors import Fill
from vetset.storage.remote import Place

SUFFIXES = frozenset({"parquet", "arrow", "feather"})
_TYPES: dict[Any, str] = {pa.float16(): "<f2", pa.float32(): "<f4", pa.float64(): "<f4", pa.int8(): "i1"}
_BATCH_VALUES = 1 << 22
"""Components of a batch of a parquet file; Arrow's other forms have batches of their writer's choice."""
_FIRST_ROWS = 64
"""Rows of a parquet file that are read together to see how long its vectors are."""
_MAGIC, _END = b"ARROW1\0\0", b"ARROW1"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table, by number and name."""

    number: int
    name: str

    @classmethod
    def of(cls, schema: Any, name: str) -> "_Column":
        return cls(schema.names.index(name), name)


class _Messages:
    """The record batches of an Arrow file or stream, in the order in which they lie.

    A file is a stream between two marks, with a directory behind it; read as a stream, what the directory claims does
    not matter. Only the fields with these numbers are decoded, if some are named.
    """

    def __init__(self, stream: BinaryIO, size: int, where: str, fields: Sequence[int] | None) -> None:
        self._where = where
        self._size = size
        self.is_file = stream.read(len(_MAGIC)) == _MAGIC
        if self.is_file:
            stream.seek(max(0, size - len(_END)))
            if stream.read(len(_END)) != _END:
                raise damaged("the Arrow file is truncated", where)
        stream.seek(len(_MAGIC) if self.is_file else 0)
        self._source = Forward(stream, size, where)
        options = pa.ipc.IpcReadOptions(included_fields=None if fields is None else list(fields))
        try:
            self._reader = pa.ipc.open_stream(pa.PythonFile(self._source, mode="r"), options=options)
        except pa.ArrowInvalid:
            raise damaged("this is no Arrow file or stream", where) from None
        self.schema = self._reader.schema
        str(self.schema.names)  # a name that is no text is found out here
        require_arrays(self.schema)

    def __iter__(self) -> Iterator[Any]:
        for batch in record_batches(self._reader, self._source, self._size, self._where):
            # Lengths and places are whatever somebody wrote there.
            batch.validate(full=True)
            yield batch


@contextmanager
def _messages(place: Place, where: str, fields: Sequence[int] | None = None) -> Iterator[_Messages]:
    with open_plain(place, where) as (stream, size), decoded(where, "Arrow"):
        yield _Messages(stream, size, where, fields)


def _batches(
    place: Place, where: str, column: _Column, rows: int, wanted: NDArray[np.int64] | None = None
) -> Iterator[tuple[int, Any]]:
    """First row and one column of every batch, in order; of a parquet file only of groups with wanted rows.

    Args:
        place: the table; its form is what its suffix says.
        where: part, for errors.
        column: which.
        rows: most rows of a batch of a parquet file.
        wanted: int64 (n,) ascending, or None for all.
    """
    first = 0
    if suffix_of(place.name) != "parquet":
        with _messages(place, where, [column.number]) as messages:
            if messages.schema.names != [column.name]:
                raise changed(where)
            for batch in messages:
                yield first, batch
                first += len(batch)
        return
    with open_table(place, where) as table:
        for group in range(table.metadata.num_row_groups):
            count = table.metadata.row_group(group).num_rows
            if wanted is None or np.searchsorted(wanted, first) < np.searchsorted(wanted, first + count):
                for batch in group_batches(table, group, rows, where, [column.name]):
                    yield first, batch.select([column.name])
                    first += len(batch)
            else:
                first += count
        check_rows(first, table.metadata.num_rows, where)


def schema_of(place: Place, where: str) -> Any:
    """The Arrow schema of a table.

    Raises:
        DatasetError: it cannot be read, or is no table of its suffix.
    """
    if suffix_of(place.name) == "parquet":
        with open_table(place, where) as table:
            return table.schema_arrow
    with _messages(place, where) as messages:
        return messages.schema


def vector_columns(schema: Any) -> list[str]:
    """Names of the columns that could hold vectors, by their type."""
    return [field.name for field in schema if is_list(field.type) and field.type.value_type in _TYPES]


def _vector_column(schema: Any, choice: Choice, where: str) -> str:
    # of two columns of one name, nobody knows which is meant
    names = [name for name in vector_columns(schema) if schema.names.count(name) == 1]
    if choice.vectors:
        names = [name for name in names if name == choice.vectors]
    if len(names) == 1:
        return names[0]
    raise AlignmentError(
        "it is not clear which column holds the vectors of the pictures",
        expected=repr(choice.vectors) if choice.vectors else "one column of lists of numbers",
        seen=listed(vector_columns(schema)),
        where=where,
        todo="Name it: expand.vector_column in the policy.",
    )


def _vectors(column: Any, dimension: int, where: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Vectors (n, dimension) of the rows that have one, and which those are, bool (rows,)."""
    present = np.asarray(column.is_valid())
    lengths = list_lengths(column)[present]
    if (lengths != dimension).any():
        seen = f"{int(lengths[lengths != dimension][0])} components"
        raise refused("vectors of different lengths", where, f"{dimension} components in every row", seen)
    values = column.flatten()
    if values.null_count:
        if pa.types.is_integer(values.type):
            raise refused("a vector lacks a component", where, f"{dimension} numbers in every row")
        values = values.fill_null(pa.scalar(float("nan")).cast(values.type))
    with np.errstate(over="ignore"):
        numbers = values.to_numpy(zero_copy_only=False).astype(_TYPES[values.type], copy=False)
    return numbers.reshape(len(lengths), dimension), present


def _filled(column: Any, dimension: int, where: str, out: NDArray[Any]) -> int:
    """Write vectors to `out`, NaN (or zeros) where there is none; how many there were none of."""
    numbers, present = _vectors(column, dimension, where)
    if present.all():
        out[:] = numbers
        return 0
    out[present] = numbers
    out[~present] = 0 if out.dtype.kind == "i" else np.nan
    return int(np.count_nonzero(~present))


class TablePart:
    """One table; an `EmbeddingPart`, and its own `VectorBlock`.

    Args:
        where: name of the part for errors.
        root: place of the set of embeddings.
        found: the table, as it was listed.
        choice: what is what.

    Raises:
        AlignmentError: it is not clear which columns hold keys and vectors.
        DatasetError: the table is damaged.
    """

    def __init__(self, where: str, root: Place, found: Found, choice: Choice) -> None:
        self.where = where
        self.files = (found,)
        self._place = place_found(root, found)
        self._choice = choice
        schema = schema_of(self._place, where)
        self._vectors = _Column.of(schema, _vector_column(schema, choice, where))
        self._key = _Column.of(schema, key_column(schema.names, choice, where))
        kind = schema.field(self._vectors.number).type
        self.dtype: np.dtype[Any] = np.dtype(_TYPES[kind.value_type])
        self.dimension = kind.list_size if pa.types.is_fixed_size_list(kind) else self._first_length()
        self._rows: int | None = None
        self._absent: int | None = None
        if not 0 <= self.dimension <= MAX_DIMENSION:
            raise refused("vectors that are too long", where, f"≤ {MAX_DIMENSION} components", str(self.dimension))

    def _first_length(self) -> int:
        """Components of the first vector that there is; 0 if there is none."""
        for _, batch in _batches(self._place, self.where, self._vectors, _FIRST_ROWS):
            lengths = list_lengths(batch.column(0))[np.asarray(batch.column(0).is_valid())]
            if len(lengths):
                if not 0 < lengths[0] <= MAX_DIMENSION:
                    raise refused("a vector of no sensible length", self.where, f"1 to {MAX_DIMENSION} components")
                return int(lengths[0])
        return 0

    @property
    def rows(self) -> int:
        """Rows of the table: by the footer of a parquet file, by its batches otherwise."""
        if self._rows is None:
            if suffix_of(self._place.name) == "parquet":
                with open_table(self._place, self.where) as table:
                    self._rows = int(table.metadata.num_rows)
            else:
                self._rows = sum(len(keys) for keys in self.key_batches())
        return self._rows

    def key_batches(self) -> Iterator[pa.StringArray]:
        """The dataset's key of every row; see `EmbeddingPart`."""
        read = 0
        for _, batch in _batches(self._place, self.where, self._key, KEY_ROWS):
            read += len(batch)
            yield dataset_keys(batch.column(0), self._key.name, self._choice, self.where)
        if self._rows is None:
            self._rows = read
        elif read != self._rows:
            raise changed(self.where)

    def block(self) -> "TablePart":
        """The vectors: the part itself."""
        return self

    def _all(self, wanted: NDArray[np.int64] | None = None) -> Iterator[tuple[int, Any]]:
        step = max(1, _BATCH_VALUES // max(1, self.dimension))
        for first, batch in _batches(self._place, self.where, self._vectors, step, wanted):
            column = batch.column(0)
            for start in range(0, len(column), step):
                yield first + start, column.slice(start, step)

    @contextmanager
    def open(self) -> Iterator[Fill]:
        """Begin a pass; see `VectorBlock`. Once it has come to its end, `absent` is known."""
        batches = self._all()
        held, used, absent, given = pa.nulls(0), 0, 0, 0

        def fill(out: NDArray[Any]) -> None:
            nonlocal held, used, absent, given
            if given + len(out) > self.rows:
                raise UsageError("more rows were asked for than the block has", where=self.where)
            done = 0
            while done < len(out):
                if used == len(held):
                    held, used = next(batches, (0, None))[1], 0
                    if held is None:
                        raise changed(self.where)
                piece = held.slice(used, len(out) - done)
                absent += _filled(piece, self.dimension, self.where, out[done : done + len(piece)])
                done, used = done + len(piece), used + len(piece)
            given += done
            if given == self.rows:
                self._absent = absent

        try:
            yield fill
        finally:
            batches.close()  # type: ignore[attr-defined]  # it is a generator

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """These rows; see `VectorBlock`. Whole row groups, or the whole of an Arrow file, are read for them."""
        out = np.empty((len(rows), self.dimension), self.dtype)
        done = 0
        for first, column in self._all(rows):
            stop = int(np.searchsorted(rows, first + len(column)))
            if stop > done:
                _filled(column.take(pa.array(rows[done:stop] - first)), self.dimension, self.where, out[done:stop])
                done = stop
        if done != len(rows):
            raise changed(self.where)
        return out

    def absent(self) -> int:
        """Rows whose vector is null."""
        if self._absent is None:
            self._absent = sum(column.null_count for _, column in self._all())
        return self._absent

    def write(self, keep: NDArray[np.bool_], out: Path) -> None:
        """Write the rows that are kept to a table of the same form; see `EmbeddingPart`."""
        check_length(keep, self.rows, self.where)
        uri = self.files[0].uri
        with local_copy(self._place, out, self.where) as here:
            if keep.all():
                copy_file(here, out, uri)
                return
            with new_file(out, uri) as target:
                if suffix_of(uri) == "parquet":
                    filter_table(here, keep, target, self.where)
                else:
                    _filter_messages(here, keep, target, self.where)


def _filter_messages(source: Path, keep: NDArray[np.bool_], target: Path, where: str) -> None:
    """Write the kept rows of an Arrow file or stream, batch by batch and not compressed, to one of the same form.

    A file has one dictionary for all its batches: of such a file the rows that are kept are held together.
    """
    held: list[Any] = []
    with _messages(source, where) as messages, writable(where), pa.OSFile(os.fsencode(target), "wb") as sink:
        begin = pa.ipc.new_file if messages.is_file else pa.ipc.new_stream
        together = messages.is_file and any(has_dictionary(kind) for kind in messages.schema.types)
        options = pa.ipc.IpcWriteOptions(unify_dictionaries=together)
        schema = without_counts(messages.schema)
        with begin(sink, schema, options=options) as writer:
            first = 0
            for batch in messages:
                part = keep[first : first + len(batch)]
                first += len(batch)
                if part.any():
                    kept = compacted(batch.filter(pa.array(part)))
                    held.append(kept) if together else writer.write_batch(kept)
            if held:
                writer.write_table(pa.Table.from_batches(held, schema))
    check_length(keep, first, where)


def table_parts(root: Place, tables: Sequence[Found], choice: Choice) -> list[TablePart]:
    """One part for each table, by name.

    Raises:
        AlignmentError: it is not clear which columns hold keys and vectors.
        DatasetError: a table is damaged.
    """
    return [TablePart(f"embedding part {number}", root, found, choice) for number, found in enumerate(tables)]
