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
from vetset.dataset.places import CHUNK
from vetset.dataset.tables import check_rows, open_table
from vetset.storage.remote import Place

_AS_LONG_AS_THEIR_BYTES = {"PLAIN", "RLE", "BIT_PACKED", "DELTA_LENGTH_BYTE_ARRAY"}
"""Encodings that have every value as often as it is there; of levels, too."""
_DICTIONARY = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_FIXED_BYTES = 16


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
    with open_table(source, where, buffer=CHUNK) as table:
        for number in range(table.metadata.num_row_groups):
            about = table.metadata.row_group(number)
            count, start = about.num_rows, first
            first += count
            inside = wanted[(wanted >= start) & (wanted < first)]
            if not len(inside):
                continue
            at = start
            size = table_batch_rows(about.total_byte_size, count, _longest_row(source, table, number, columns, where))
            for batch in table.iter_batches(size, row_groups=[number], columns=columns, use_threads=False):
                here = inside[(inside >= at) & (inside < at + len(batch))]
                if len(here):
                    yield here.tolist(), without_views(_only(batch, columns)).take(pa.array(here - at))
                at += len(batch)
            check_rows(at - start, count, where)


def _only(batch: Any, names: Sequence[str]) -> Any:
    """The columns that were asked for: Arrow reads those called `a.b` along with `a`."""
    return batch.select([number for number, name in enumerate(batch.schema.names) if name in names])


def _longest_row(source: Place | bytes, table: Any, number: int, names: Sequence[str], where: str) -> int:
    """Bytes that a row of a row group takes at most, on the average of `TABLE_ROWS` of them.

    A value cannot be longer than its column; where a dictionary has it, than the longest that is in there, which is
    looked up: real tables call nearly every column encoded so.
    """
    # Reading comes first: Arrow's reader refuses damaged column metadata; asking for it directly ends the process.
    next(table.iter_batches(1, row_groups=[number], columns=names, use_threads=False), None)
    longest, in_dictionaries = 0, []
    for leaf in range(table.metadata.num_columns):
        column = table.schema.column(leaf)
        if column.path.partition(".")[0] not in names and column.path not in names:
            continue
        about = table.metadata.row_group(number).column(leaf)
        encodings, alone = set(about.encodings), _is_text(table.schema_arrow, column.path)
        if column.physical_type != "BYTE_ARRAY" and column.max_repetition_level == 0:
            longest += max(_FIXED_BYTES, column.length or 0)
        elif alone and encodings <= _AS_LONG_AS_THEIR_BYTES:
            longest += about.total_uncompressed_size // TABLE_ROWS
        elif alone and encodings <= _AS_LONG_AS_THEIR_BYTES | _DICTIONARY:
            longest += about.total_uncompressed_size // TABLE_ROWS
            in_dictionaries.append(column.path)
        else:
            longest += about.total_uncompressed_size
    return longest + _longest_in_dictionaries(source, number, in_dictionaries, where)


def _longest_in_dictionaries(source: Place | bytes, number: int, names: Sequence[str], where: str) -> int:
    """Bytes of the longest value in the dictionary of each of these columns, together; a dictionary comes first."""
    if not names:
        return 0
    with open_table(source, where, buffer=CHUNK, as_dictionaries=names) as table:
        batch = next(table.iter_batches(1, row_groups=[number], columns=names, use_threads=False), None)
        columns = [] if batch is None else _only(batch, names).columns
        return sum(map(_longest_entry, columns))


def _longest_entry(column: Any) -> int:
    """Bytes of the longest entry of a column's dictionary; where Arrow took another column for it, any number."""
    if not isinstance(column, pa.DictionaryArray):
        return WORST_BYTES
    return pc.max(pc.binary_length(column.dictionary)).as_py() or 0


def _is_text(schema: Any, path: str) -> bool:
    """Whether a column that is no other's child holds text or bytes, as itself or as a dictionary."""
    places = schema.get_all_field_indices(path)
    kinds = [schema.field(place).type for place in places]
    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
    return bool(kinds) and all(pa.types.is_string(kind) or pa.types.is_binary(kind) for kind in kinds)


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
