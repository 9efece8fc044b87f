"""The two files in which `datasets` keeps rows, parquet and Arrow IPC streams, read and written in small batches.

Pictures are large and rows are many, so a batch is bounded by bytes. A parquet file is read a row group at a time, out
of what is going by. A stream is mapped where the place can be mapped: Arrow then takes values from where they lie, and
only what is looked at is in memory. Either way all bytes of the file can be digested in the same pass.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from vetset.dataset.arrays import compacted, without_views
from vetset.dataset.arrow_stream import Forward, Update, damaged, record_batches, require_arrays
from vetset.dataset.bounds import batch_rows
from vetset.dataset.places import open_plain, suffix_of, writable
from vetset.dataset.tables import check_rows, decoded, group_batches, open_table, table_writer
from vetset.dataset.window import Window, passing_by
from vetset.storage.remote import Place

GROUP_BYTES = 128 << 20
"""A row group of a copy ends here, even if the one it comes from went on."""


class RowFile(Protocol):
    """An open file of rows; `batches` goes through it once."""

    schema: Any
    stretch: int
    """Number of the row group or record batch that the latest batch came from."""

    def batches(
        self, columns: Sequence[str] | None, picked: Collection[int] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Row of the first row of each batch, and the batch, without views.

        Args:
            columns: names of the columns that are needed; None for all.
            picked: rows that are needed; batches without any may be left out. None for all.
        """
        ...

    def count(self) -> int:
        """Number of rows."""
        ...

    def writer(self, target: Path, schema: Any, where: str) -> Any:
        """A context that gives a function to append batches to a new file of the same kind; after reading only."""
        ...


def _holds(picked: Any | None, first: int, count: int) -> bool:
    return picked is None or bool(np.searchsorted(picked, first) < np.searchsorted(picked, first + count))


def _sorted(picked: Collection[int] | None) -> Any | None:
    return None if picked is None else np.array(sorted(picked), np.int64)


class _Parquet:
    def __init__(self, table: Any, window: Window | None, where: str) -> None:
        self.schema = table.schema_arrow
        self.stretch = 0
        self._table = table
        self._window = window
        self._where = where

    def count(self) -> int:
        return int(self._table.metadata.num_rows)

    def batches(
        self, columns: Sequence[str] | None, picked: Collection[int] | None = None
    ) -> Iterator[tuple[int, Any]]:
        metadata, wanted = self._table.metadata, _sorted(picked)
        # A column is needed to count rows by.
        names = None if columns is None else list(columns) or self.schema.names[:1]
        first = 0
        for group in range(metadata.num_row_groups):
            if self._window is not None:
                self._window.go_on()
            self.stretch, about = group, metadata.row_group(group)
            if not _holds(wanted, first, about.num_rows):
                first += about.num_rows
                continue
            rows = batch_rows(about.total_byte_size, about.num_rows)
            for batch in group_batches(self._table, group, rows, self._where, names):
                yield first, without_views(batch if names is None else batch.select(names))
                first += len(batch)
        if self._window is not None:
            self._window.finish()
        check_rows(first, metadata.num_rows, self._where)

    @contextmanager
    def writer(self, target: Path, schema: Any, where: str) -> Iterator[Callable[[Any, int], None]]:
        pieces: list[Any] = []
        state = {"group": 0, "bytes": 0}
        with table_writer(self._table, target, schema, where) as sink:

            def flush() -> None:
                if pieces:
                    table = pa.Table.from_batches(pieces, schema)
                    sink.write_table(table, row_group_size=max(1, table.num_rows))
                pieces.clear()
                state["bytes"] = 0

            def append(batch: Any, group: int) -> None:
                if group != state["group"] or state["bytes"] >= GROUP_BYTES:
                    flush()
                state["group"] = group
                state["bytes"] += batch.nbytes
                pieces.append(compacted(batch))

            yield append
            flush()


class _Stream:
    def __init__(self, source: Forward, size: int, where: str) -> None:
        self._source = source
        self._size = size
        self._where = where
        self._reader = pa.ipc.open_stream(pa.PythonFile(source, mode="r"))
        self.schema = self._reader.schema
        require_arrays(self.schema)
        self.stretch = 0

    def _record_batches(self) -> Iterator[Any]:
        yield from record_batches(self._reader, self._source, self._size, self._where)
        if self._source.rest():
            raise damaged("there are bytes behind the end of the Arrow stream", self._where)

    def count(self) -> int:
        return sum(batch.num_rows for batch in self._record_batches())

    def batches(
        self, columns: Sequence[str] | None, picked: Collection[int] | None = None
    ) -> Iterator[tuple[int, Any]]:
        wanted = _sorted(picked)
        first = 0
        for number, whole in enumerate(self._record_batches()):
            self.stretch = number
            batch = whole if columns is None else whole.select(columns)
            # Nothing in a stream was looked at yet: lengths and places in it are whatever somebody wrote there.
            batch.validate(full=True)
            rows = batch_rows(batch.get_total_buffer_size(), batch.num_rows)
            for start in range(0, batch.num_rows, rows):
                part = batch.slice(start, rows)
                if _holds(wanted, first, len(part)):
                    yield first, without_views(part)
                first += len(part)

    @contextmanager
    def writer(self, target: Path, schema: Any, where: str) -> Iterator[Callable[[Any, int], None]]:
        with writable(where), pa.OSFile(os.fsencode(target), "wb") as file, pa.ipc.new_stream(file, schema) as sink:

            def append(batch: Any, _number: int) -> None:
                sink.write_batch(compacted(batch))

            yield append


def is_stream(uri: str) -> bool:
    """Whether a file of rows is an Arrow stream, by its suffix; it is parquet otherwise."""
    return suffix_of(uri) == "arrow"


def _with_columns(file: RowFile, where: str) -> RowFile:
    """The file, unless its rows hold nothing at all: they could not be told apart, or counted."""
    if not file.schema.names:
        raise damaged("the table has no columns", where)
    return file


@contextmanager
def open_rows(path: Place, where: str, update: Update | None = None) -> Iterator[RowFile]:
    """Open a parquet file or an Arrow stream for one pass over its rows.

    Args:
        path: the file.
        where: its uri, for errors; its suffix says what it is.
        update: is given all bytes of the file, in order, until `batches` is exhausted.

    Raises:
        DatasetError: it is damaged, truncated, or not what its suffix says.
    """
    if not is_stream(where):
        with (
            nullcontext() if update is None else passing_by(path, where, update) as window,
            open_table(path if window is None else window, where) as table,
        ):
            yield _with_columns(_Parquet(table, window, where), where)
        return
    with open_plain(path, where) as (stream, size):
        if not size:
            raise damaged("the file is empty", where, "an Arrow stream")
        with decoded(where, "Arrow"):
            try:
                file: RowFile = _Stream(Forward(stream, size, where, update, mapped=True), size, where)
            except pa.ArrowInvalid:
                raise damaged("this is no Arrow stream", where, "what `datasets` writes (.arrow)") from None
            yield _with_columns(file, where)
