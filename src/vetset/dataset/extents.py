"""What a metadata table is known by: the bytes of its footer and of the columns that are read, and no others.

So a table of many columns need not be fetched, nor read from the disk, for the few that are matched; and it is known by
the same digest wherever it lies. The footer says where every chunk lies and how long it is. See docs/adr/0010.
"""

import struct
from collections.abc import Collection
from typing import Any, BinaryIO, TypeAlias

from blake3 import blake3

from vetset.dataset.places import read_range
from vetset.model.errors import DatasetError

Known: TypeAlias = dict[tuple[int, int], bytes]
_EXTENT = struct.Struct("<qq")
_TAIL = 8
"""Bytes behind the footer: its length and the magic number."""


class Extents:
    """The extents of some columns of one table, and their digests.

    Args:
        stream: the table, opened for ranged reading.
        size: its bytes.
        table: it, opened as a `pyarrow.parquet.ParquetFile`.
        known: BLAKE3 of extents [start, end) that the decoder has read; they are taken out, and need not be read again.
        columns: names of top-level columns.
        where: shard, for errors.
    """

    def __init__(
        self, stream: BinaryIO, size: int, table: Any, known: Known, *, columns: Collection[str], where: str
    ) -> None:
        self._known = known
        self._stream = stream
        self._size = self._left = size
        self._table = table
        self._where = where
        paths = [table.schema.column(leaf).path for leaf in range(len(table.schema))]
        # as Arrow chooses the leaves of a column by its name
        self._leaves = [
            leaf
            for leaf, path_ in enumerate(paths)
            if any(path_ == column or path_.startswith(f"{column}.") for column in columns)
        ]

    def footer(self) -> bytes:
        """Offset, end and BLAKE3 of the footer."""
        tail = b"".join(read_range(self._stream, self._size - _TAIL, self._size, self._where))
        return self._told(max(0, self._size - _TAIL - int.from_bytes(tail[:4], "little")), self._size)

    def group(self, number: int) -> bytes:
        """Offset, end and BLAKE3 of the chunk of every column in one row group.

        To be asked for after the group was decoded: Arrow's reader refuses damaged metadata of a column, while asking
        for it directly ends the process.

        Raises:
            DatasetError: the footer names an extent that cannot be.
        """
        group = self._table.metadata.row_group(number)
        if group.num_rows == 0:
            return b""
        return b"".join(self._told(*self._checked(group.column(leaf))) for leaf in self._leaves)

    def _checked(self, chunk: Any) -> tuple[int, int]:
        start, first = chunk.data_page_offset, chunk.dictionary_page_offset
        if chunk.has_dictionary_page and first is not None and 0 < first < start:
            start = first
        end = start + chunk.total_compressed_size
        # a footer may claim the same gigabytes again and again: in all, no more is digested than the file has
        self._left -= end - start
        if not 0 <= start <= end <= self._size or self._left < 0:
            expected = "chunks that lie inside the file and not in each other"
            raise DatasetError("the parquet file is damaged", expected=expected, where=self._where)
        return start, end

    def _told(self, start: int, end: int) -> bytes:
        return _EXTENT.pack(start, end) + self._digest(start, end)

    def _digest(self, start: int, end: int) -> bytes:
        known = self._known.pop((start, end), None)
        if known is not None:
            return known
        digest = blake3()
        for piece in read_range(self._stream, start, end, self._where):
            digest.update(piece)
        return digest.digest()
