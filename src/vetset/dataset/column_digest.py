"""The digest of what an audit reads of a parquet file: its footer, and the stored bytes of some of its columns.

Whatever else the file holds is neither read nor fetched; the footer says where it lies and how much of it there is.
"""

from collections.abc import Collection
from typing import Any, BinaryIO

from blake3 import blake3

from vetset.dataset.places import CHUNK
from vetset.model.errors import DatasetError

_TAIL = 8
"""Bytes behind the footer: its length, and the format's mark."""


class ColumnDigest:
    """BLAKE3 over the footer and, group by group, over the chunks of some columns.

    Args:
        stream: the file, seekable.
        size: its bytes.
        metadata: what pyarrow read of its footer.
        columns: names of top-level columns.
        where: uri of the shard, for errors.

    Raises:
        DatasetError: the file became shorter.
    """

    def __init__(self, stream: BinaryIO, size: int, metadata: Any, columns: Collection[str], where: str) -> None:
        self._stream, self._size, self._metadata, self._where = stream, size, metadata, where
        self._columns = frozenset(columns)
        self._left = size
        self._digest = blake3()
        stream.seek(max(0, size - _TAIL))
        length = int.from_bytes(stream.read(4), "little")
        self._add(size - _TAIL - length, length + _TAIL)

    def group(self, number: int) -> None:
        """Add the columns of one row group; they were decoded before, so that Arrow has checked what is asked here.

        Raises:
            DatasetError: they reach out of the file, or into each other.
        """
        group = self._metadata.row_group(number)
        if not group.num_rows:
            return  # nobody has decoded, and so checked, what it says of its columns
        for index in range(group.num_columns):
            chunk = group.column(index)
            if chunk.path_in_schema.partition(".")[0] in self._columns:
                start = chunk.data_page_offset
                if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
                    start = min(start, chunk.dictionary_page_offset)
                self._add(start, chunk.total_compressed_size)

    def _add(self, start: int, length: int) -> None:
        # a footer may claim the same gigabytes again and again: in all, no more is digested than the file has
        self._left -= length
        if start < 0 or length < 0 or start + length > self._size or self._left < 0:
            raise DatasetError(
                "the parquet file is damaged",
                expected="columns that lie inside the file and not in each other",
                where=self._where,
                todo="Fetch or build this file again; the others are not affected.",
            )
        self._stream.seek(start)
        while length:
            data = self._stream.read(min(length, CHUNK))
            if not data:
                raise DatasetError("the file became shorter while it was read", where=self._where, todo="Run again.")
            self._digest.update(data)
            length -= len(data)

    def digest(self) -> bytes:
        """The 32 bytes."""
        return self._digest.digest()
