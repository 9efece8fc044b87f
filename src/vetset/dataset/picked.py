"""Some rows of a parquet file: what is told of a finding when it is sealed.

Arrow decodes a row group from its beginning, so every row before one that is wanted is gone through. How many at a time
matters: the fewer, the longer it takes, and the more, the greater the copies of a value that a dictionary has once.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vetset.dataset.arrays import without_views
from vetset.dataset.arrow_messages import WORST_BYTES
from vetset.dataset.bounds import TABLE_ROWS, table_batch_rows
from vetset.dataset.legible import row_values
from vetset.dataset.tables import group_batches, open_table
from vetset.storage.remote import Place

_AS_LONG_AS_THEIR_BYTES = {"PLAIN", "RLE", "BIT_PACKED", "DELTA_LENGTH_BYTE_ARRAY"}
"""Encodings that have every value as often as it is there; of levels, too."""
_DICTIONARY = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_FIXED_BYTES = 16
_TEXT = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
    pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view,
)  # fmt: skip


def picked_batches(
    source: Place | bytes, rows: Collection[int], where: str, columns: Sequence[str]
) -> Iterator[tuple[list[int], Any]]:
    """Some rows of a table with their numbers; only the row groups that hold them are read, a few rows at a time.

    Args:
        source: where the table lies, or what it holds.
        rows: numbers of the rows; those that do not exist are absent.
        where: shard, for errors.
        columns: names of those that are read.

    Raises:
        DatasetError: it is no parquet file, is damaged, or a row group holds another number of rows than the footer
            says.
    """
    wanted = np.array(sorted(rows), dtype=np.int64)
    first = 0
    with open_table(source, where) as table:
        for number in range(table.metadata.num_row_groups):
            about = table.metadata.row_group(number)
            start, first = first, first + about.num_rows
            inside = wanted[(wanted >= start) & (wanted < first)]
            if not len(inside):
                continue
            at = start
            longest = _longest_row(source, number, columns, _texts(table, columns), where)
            size = table_batch_rows(about.total_byte_size, about.num_rows, longest)
            for batch in group_batches(table, number, size, where, columns, threads=False):
                here = inside[(inside >= at) & (inside < at + len(batch))]
                if len(here):
                    yield here.tolist(), without_views(_only(batch, columns)).take(pa.array(here - at))
                at += len(batch)


def _only(batch: Any, names: Sequence[str]) -> Any:
    """The columns that were asked for: Arrow reads those called `a.b` along with `a`."""
    return batch.select([number for number, name in enumerate(batch.schema.names) if name in names])


def _longest_row(source: Place | bytes, number: int, names: Sequence[str], texts: Sequence[str], where: str) -> int:
    """Bytes that a row of a row group takes at most, on the average of `TABLE_ROWS` of them.

    A value cannot be longer than its column; where a dictionary has it, than the longest that is in there, which is
    looked up: real tables call nearly every column encoded so. A dictionary comes first.
    """
    with open_table(source, where, as_dictionaries=texts) as table:
        # Reading comes first: Arrow's reader refuses damaged column metadata; asking for it directly ends the process.
        batch = next(table.iter_batches(1, row_groups=[number], columns=names, use_threads=False), None)
        if batch is None:
            return WORST_BYTES
        leaves = [leaf for leaf in range(table.metadata.num_columns) if _is_read(table.schema.column(leaf).path, names)]
        return sum(_longest_value(table, number, leaf, batch, texts) for leaf in leaves)


def _is_read(path: str, names: Sequence[str]) -> bool:
    """Whether Arrow reads a leaf where these columns are asked for."""
    return path.partition(".")[0] in names or path in names


def _longest_value(table: Any, number: int, leaf: int, batch: Any, texts: Sequence[str]) -> int:
    """What one leaf adds to a row, see `_longest_row`; `batch` has the dictionaries of `texts`."""
    column, about = table.schema.column(leaf), table.metadata.row_group(number).column(leaf)
    if column.physical_type != "BYTE_ARRAY" and column.max_repetition_level == 0:
        return max(_FIXED_BYTES, column.length or 0)
    share, encodings = about.total_uncompressed_size // TABLE_ROWS, set(about.encodings)
    if column.path not in texts or not encodings <= _AS_LONG_AS_THEIR_BYTES | _DICTIONARY:
        return int(about.total_uncompressed_size)
    held = batch.column(column.path).dictionary if encodings & _DICTIONARY else None
    return int(share) + (0 if held is None else pc.max(pc.binary_length(held)).as_py() or 0)


def _texts(table: Any, names: Sequence[str]) -> list[str]:
    """Those of these columns that hold text or bytes and are one leaf, which no other leaf is called like."""
    schema, paths = table.schema_arrow, [table.schema.column(leaf).path for leaf in range(len(table.schema))]
    return [name for name in names if paths.count(name) == 1 and _is_text(schema.field(name).type)]


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(each(kind) for each in _TEXT)


def picked_rows(
    source: Place | bytes, rows: Collection[int], where: str, columns: Sequence[str]
) -> dict[int, dict[str, Any]]:
    """The values of some rows of a table, in these columns, by number.

    Raises:
        DatasetError: as `picked_batches`.
    """
    return {
        row: values
        for numbers, batch in picked_batches(source, rows, where, columns)
        for row, values in zip(numbers, row_values(batch), strict=True)
    }
