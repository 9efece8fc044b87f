"""Parquet files as both the parquet format and the sidecars of a webdataset need them: open, count, filter."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3
from numpy.typing import NDArray

from vetset.dataset.arrays import cast_to, compacted, holds_bytes, without_counts, without_views
from vetset.dataset.extents import Known
from vetset.dataset.identity import row_identities
from vetset.dataset.places import readable, writable
from vetset.dataset.window import Window
from vetset.model.errors import AlignmentError, DatasetError
from vetset.storage.remote import Place, Remote

WRITE_ROWS = 1 << 20
"""Greatest row group that is held at once when a table is filtered."""
_COMPARED = 1 << 14
"""Rows whose identities are taken together."""


_OF_SYSTEM = "Detail: [errno"


class _DamageError(Exception):
    """Arrow's word for what was read and does not fit together."""


@contextmanager
def _told_apart() -> Iterator[None]:
    """Where Arrow finds a page too short or a number that cannot be, it raises an `OSError` that no system raised.

    To what a system raised it adds words of its own, the whole path among them.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None and type(error) is OSError:
            raise _DamageError from error
        if error.errno is not None and _OF_SYSTEM in str(error.strerror):
            raise OSError(error.errno, os.strerror(error.errno)) from None
        raise


@contextmanager
def decoded(where: str, kind: str = "parquet") -> Iterator[None]:
    """Turn Arrow's errors into a `DatasetError` that names the shard; Arrow's own text may repeat values."""
    try:
        with readable(where), _told_apart():
            yield
    except (pa.ArrowMemoryError, MemoryError):
        # Arrow reads by rows: one long value that a dictionary repeats makes gigabytes of a file of kilobytes.
        raise DatasetError(
            f"reading the {kind} file takes more memory than there is",
            where=where,
            todo="It was damaged or made to do that; look at it by hand. The others are not affected.",
        ) from None
    except pa.ArrowNotImplementedError:
        raise DatasetError(
            f"the {kind} file has a column of a type, or in an encoding, that is not read",
            where=where,
            todo="Write it again with that column of a plain type, or without it. The others are not affected.",
        ) from None
    except (pa.ArrowException, UnicodeDecodeError, _DamageError):
        raise DatasetError(
            f"the {kind} file is damaged",
            where=where,
            todo="Fetch or build this file again; the others are not affected.",
        ) from None


class _Noted:
    """A local file as Arrow reads it, extent by extent; each is digested as it is read."""

    closed = False

    def __init__(self, file: Any, known: Known) -> None:
        self._file = file
        self._known = known

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def read_buffer(self, count: int) -> Any:
        """What Arrow asks for, in memory of Arrow's, which it uses again and again; a footer may ask for anything."""
        start = self.tell()
        data = self._file.read_buffer(max(0, min(count, self._file.size() - start)))
        self._known[start, start + data.size] = blake3(data).digest()
        return data

    def close(self) -> None:
        self.closed = True


@contextmanager
def _opened(source: Place | Window | bytes, known: Known | None) -> Iterator[Any]:
    if isinstance(source, Window):
        with pa.PythonFile(source, "r") as place:
            yield place
    elif isinstance(source, Remote):
        with source.open_ranged(exact=True) as (stream, _), pa.PythonFile(stream, "r") as place:
            yield place
    elif isinstance(source, Path) and known is not None:
        with pa.OSFile(os.fsencode(source), "rb") as file, pa.PythonFile(_Noted(file, known), "r") as place:
            yield place
    else:
        with pa.BufferReader(source) if isinstance(source, bytes) else pa.OSFile(os.fsencode(source), "rb") as place:
            yield place


@contextmanager
def open_table(
    source: Place | Window | bytes,
    where: str,
    *,
    known: Known | None = None,
    as_dictionaries: Sequence[str] = (),
) -> Iterator[Any]:
    """Open a parquet file, or the bytes of one. Of a remote one only the footer and the chunks of columns are fetched.

    Args:
        source: where it lies, the window in which it goes by, or what it holds.
        where: shard, for errors.
        known: BLAKE3 of every extent that is read of a local file is noted here; a remote place notes it by itself.
        as_dictionaries: names of columns of text or bytes of which distinct values are held once.

    Raises:
        DatasetError: it cannot be opened or is no parquet file, or what was read in the block is damaged.
    """
    # `pre_buffer`: Arrow would read ahead, adjoining columns as one extent, which is nobody's digest and is fetched
    # again, and in a thread of its own, which gives back what it read when it gets the interpreter's lock, or aborts
    # the process where that is ending just then. `buffer_size`: read in pieces, a damaged page header of a small file
    # took gigabytes (a find of the soak); so a row group's column is read whole.
    with (
        decoded(where),
        _opened(source, known) as place,
        pq.ParquetFile(
            place,
            page_checksum_verification=True,
            buffer_size=0,
            read_dictionary=list(as_dictionaries),
            pre_buffer=False,
        ) as table,
    ):
        yield table


def table_rows(source: Place, where: str) -> int:
    """Rows of a parquet file, by its footer.

    Raises:
        DatasetError: it is no parquet file.
    """
    with open_table(source, where) as table:
        return int(table.metadata.num_rows)


def column_names(table: Any) -> list[str]:
    """Names of the top-level columns; not of those that are structures of nothing, which Arrow does not read."""
    return [field.name for field in table.schema_arrow if _has_values(field.type)]


def _has_values(kind: Any) -> bool:
    children = [kind.field(index).type for index in range(kind.num_fields)]
    return any(map(_has_values, children)) if children or pa.types.is_struct(kind) else True


def told_columns(schema: Any, asked: Collection[str]) -> list[str]:
    """Names of the columns that are read to tell of a row: those that are asked for, and all that hold no bytes."""
    return [field.name for field in schema if field.name in asked or not holds_bytes(field.type)]


def _writer_settings(table: Any) -> dict[str, Any]:
    """Settings with which the writer repeats what the file's own writer chose."""
    metadata = table.metadata
    compression: Any = "snappy"
    dictionary: list[str] = []
    if metadata.num_row_groups:
        group = metadata.row_group(0)
        columns = [group.column(index) for index in range(group.num_columns)]
        codecs = {column.path_in_schema: column.compression.lower() for column in columns}
        compression = {path: "none" if codec == "uncompressed" else codec for path, codec in codecs.items()}
        dictionary = [column.path_in_schema for column in columns if column.has_dictionary_page]
    kinds = {table.schema.column(index).physical_type for index in range(len(table.schema))}
    return {
        "compression": compression,
        "use_dictionary": dictionary or False,
        "use_deprecated_int96_timestamps": "INT96" in kinds,
        "store_schema": b"ARROW:schema" in (metadata.metadata or {}),
        # The items of lists keep the name that they were read under, which differs between writers.
        "use_compliant_nested_type": False,
    }


@contextmanager
def table_writer(table: Any, target: Path, schema: Any, where: str) -> Iterator[Any]:
    """A `ParquetWriter` that repeats what the writer of `table` chose; ask for it only after reading from `table`.

    Raises:
        OutputError: the target cannot be written.
    """
    settings = _writer_settings(table)
    with (
        writable(where),
        pa.OSFile(os.fsencode(target), "wb") as sink,
        pq.ParquetWriter(sink, schema, **settings) as writer,
    ):
        if not settings["store_schema"] and schema.metadata:
            # Arrow's writer leaves all metadata out where it is not to store its own schema among them.
            writer.add_key_value_metadata(schema.metadata)
        yield writer


def group_batches(
    table: Any, group: int, rows: int, where: str, columns: Sequence[str] | None = None, *, threads: bool = True
) -> Iterator[Any]:
    """Batches of at most so many rows of one row group, in order.

    Args:
        table: as `open_table` gives it.
        group: its number.
        rows: of a batch, at most.
        where: shard, for errors.
        columns: their names; all of them if None.
        threads: whether Arrow decodes columns side by side.

    Raises:
        DatasetError: the group holds another number of rows than the footer says, or its columns do not agree on it.
    """
    stated, seen = table.metadata.row_group(group).num_rows, 0
    for batch in table.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=threads):
        seen += len(batch)
        yield batch
    check_rows(seen, stated, where)


def grouped_batches(table: Any, rows: int, where: str, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Batches of all row groups, in order, none of which is of two; see `group_batches`.

    Asked for several groups at once, Arrow's reader goes on with a page that claims more values than its group has:
    values of the next group come out as nulls, in no other way of reading it.
    """
    for group in range(table.metadata.num_row_groups):
        yield from group_batches(table, group, rows, where, columns)


def table_identities(table: Any, where: str) -> Iterator[bytes]:
    """SHA-256 (32 bytes) of every row: all columns, typed.

    Raises:
        DatasetError: a column's type cannot be compared, or a row group is damaged.
    """
    for batch in grouped_batches(table, _COMPARED, where):
        yield from row_identities(batch)


def _plain_batches(table: Any, where: str) -> Iterator[Any]:
    """The rows of a table, one batch for each row group of a sensible size."""
    with decoded(where):
        yield from map(without_views, grouped_batches(table, WRITE_ROWS, where))


def filter_table(source: Place | bytes, keep: NDArray[np.bool_], target: Path, where: str) -> None:
    """Write the rows that are kept: same schema, metadata and compression, in order, row group by row group.

    Args:
        source: the table.
        keep: bool (rows,).
        target: file to write.
        where: shard, for errors.

    Raises:
        AlignmentError: `keep` is not as long as the table.
        DatasetError: the table is damaged.
        OutputError: the target cannot be written.
    """
    with open_table(source, where) as table:
        check_length(keep, table.metadata.num_rows, where)
        schema = without_counts(table.schema_arrow)
        # Reading comes first: Arrow's reader refuses damaged column metadata; asking for it directly ends the process.
        next(table.iter_batches(batch_size=1), None)
        with table_writer(table, target, schema, where) as writer:
            first = 0
            for batch in _plain_batches(table, where):
                part = keep[first : first + len(batch)]
                first += len(batch)
                if part.any():
                    rows = cast_to(compacted(batch.filter(pa.array(part))), schema)
                    writer.write_table(pa.Table.from_batches([rows], schema), row_group_size=len(batch))
            check_rows(first, table.metadata.num_rows, where)


def check_rows(rows: int, stated: int, where: str) -> None:
    """Refuse a table whose pages hold another number of rows than its footer says.

    Raises:
        DatasetError: they do.
    """
    if rows != stated:
        todo = "Fetch or build this file again; the others are not affected."
        raise DatasetError(
            "the parquet file is damaged", expected=f"{stated} rows", seen=str(rows), where=where, todo=todo
        )


def check_length(keep: NDArray[np.bool_], records: int, where: str) -> None:
    """Refuse a mask that is not one entry for each record.

    Raises:
        AlignmentError: the lengths differ.
    """
    if keep.shape != (records,):
        raise AlignmentError(
            "the keep mask does not fit",
            expected=f"{records} records",
            seen=f"{len(keep)} entries",
            where=where,
            todo="Make the order again from a scan of this revision.",
        )
