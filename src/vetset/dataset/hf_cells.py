"""The picture cells of a batch of rows: which of them are records, what they hold, and the batch without them.

A cell that holds a file, or at least a place of one, is a record; a row without any such cell is one record too
(`no_image`). Within a row, records come in the order of the schema, and in a list in its order. What is taken out of a
row that stays becomes null in its place, so that lists which run beside each other stay in step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.dataset.arrays import list_lengths, with_children, without
from vetset.dataset.hf_schema import ITEMS, Leaf
from vetset.dataset.places import MAX_PICTURE
from vetset.model.errors import DatasetError
from vetset.model.signal import Reason

NO_CELL = -1


def _nonempty(array: Any) -> NDArray[np.bool_]:
    """Which texts of an array are there and not empty; a dictionary is not spelled out."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.bool_)
    if pa.types.is_dictionary(array.type):
        entries = pa.array(_nonempty(array.dictionary))
        return np.asarray(entries.take(array.indices).fill_null(False))
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    return np.asarray(pc.greater(pc.binary_length(array), 0).fill_null(False))


def _stored(array: Any, place: int) -> Any | None:
    """The stored bytes of one value as an Arrow buffer, nothing copied; None for null."""
    scalar = array[place]
    if isinstance(scalar, pa.DictionaryScalar):
        scalar = scalar.value
    if not scalar.is_valid:
        return None
    buffer = scalar.as_buffer()
    return pa.py_buffer(b"") if buffer is None else buffer


@dataclass(frozen=True, slots=True, repr=False)
class _Column:
    """All cells of one leaf, flat: those of lists one behind the other.

    Attributes:
        row: int64 (c,) row of the batch.
        files: stored bytes (c,), or None.
        paths: names or places (c,), or None.
        present: bool (c,), whether there is either.
    """

    row: NDArray[np.int64]
    files: Any | None
    paths: Any | None
    present: NDArray[np.bool_]


def _column(batch: Any, leaf: Leaf) -> _Column:
    array = batch.column(leaf.column)
    row = np.arange(len(batch))
    for step in leaf.steps:
        if step == ITEMS:
            row = np.repeat(row, list_lengths(array))
        array = array.flatten() if step == ITEMS else array.flatten()[step]
    files = paths = None
    if leaf.plain:
        files, paths = (array, None) if leaf.plain == "bytes" else (None, array)
    else:
        children = array.flatten()
        files = None if leaf.bytes_at is None else children[leaf.bytes_at]
        paths = None if leaf.path_at is None else children[leaf.path_at]
    present = np.zeros(len(array), np.bool_)
    if files is not None:
        present |= np.asarray(files.is_valid())
    if paths is not None:
        present |= _nonempty(paths)
    return _Column(row, files, paths, present)


def _rebuilt(array: Any, leaf: Leaf, steps: Sequence[int], gone: NDArray[np.bool_]) -> Any:
    if steps:
        first, rest = steps[0], steps[1:]
        wanted = 0 if first == ITEMS else first
        return with_children(
            array, lambda number, child: _rebuilt(child, leaf, rest, gone) if number == wanted else child
        )
    if not leaf.more:
        return without(array, gone)
    own = {leaf.bytes_at, leaf.path_at}
    return with_children(array, lambda number, child: without(child, gone) if number in own else child)


class Cells:
    """The records of one batch.

    Args:
        batch: the rows; it may lack columns that hold no pictures.
        leaves: where pictures lie.

    Attributes:
        row: int64 (records,), row of the batch that each record belongs to, ascending.
    """

    def __init__(self, batch: Any, leaves: Sequence[Leaf]) -> None:
        self._batch = batch
        self._leaves = leaves
        self._columns = [_column(batch, leaf) for leaf in leaves]
        flat = [np.flatnonzero(column.present) for column in self._columns]
        rows = [column.row[places] for column, places in zip(self._columns, flat, strict=True)]
        bare = np.setdiff1d(np.arange(len(batch)), np.concatenate([np.zeros(0, np.int64), *rows]))
        row = np.concatenate([*rows, bare])
        leaf = np.concatenate([*(np.full(len(places), number) for number, places in enumerate(flat)), bare * 0 - 1])
        order = np.argsort(row, kind="stable")
        self.row: NDArray[np.int64] = row[order].astype(np.int64)
        self._leaf = leaf[order].astype(np.int64)
        self._flat = np.concatenate([*flat, bare * 0 - 1])[order].astype(np.int64)

    def __len__(self) -> int:
        return len(self.row)

    def __repr__(self) -> str:
        return f"Cells(<{len(self)} withheld>)"

    def image(self, record: int) -> bytes | Reason:
        """The stored file of a record, or why there is none."""
        if self._leaf[record] == NO_CELL:
            return Reason.NO_IMAGE
        files = self._columns[self._leaf[record]].files
        stored = None if files is None else _stored(files, int(self._flat[record]))
        if stored is None:
            return Reason.NOT_DOWNLOADED
        if stored.size > MAX_PICTURE:
            return Reason.TOO_LARGE
        return stored.to_pybytes() if stored.size else Reason.EMPTY_FILE

    def path(self, record: int) -> str | None:
        """The name or place that the cell states of its file; what is no UTF-8 becomes lone surrogates."""
        paths = None if self._leaf[record] == NO_CELL else self._columns[self._leaf[record]].paths
        if paths is None or pa.types.is_null(paths.type):
            return None
        stored = _stored(paths, int(self._flat[record]))
        return None if stored is None else stored.to_pybytes().decode("utf-8", "surrogateescape")

    def where(self, record: int) -> tuple[str, int]:
        """Name of the leaf and place among its row's cells; empty and -1 for a row without a picture."""
        number = int(self._leaf[record])
        if number == NO_CELL:
            return "", NO_CELL
        column = self._columns[number]
        first = np.searchsorted(column.row, self.row[record])
        return self._leaves[number].name, int(self._flat[record] - first)

    def leaves_of(self, records: NDArray[np.bool_]) -> set[Leaf]:
        """The leaves that some of the records for which `records` (records,) holds lie in."""
        return {self._leaves[number] for number in np.unique(self._leaf[records]).tolist() if number != NO_CELL}

    def stored(self, record: int) -> tuple[Any | None, str | None]:
        """The file as an Arrow buffer of any size, and the path."""
        number = int(self._leaf[record])
        files = None if number == NO_CELL else self._columns[number].files
        return None if files is None else _stored(files, int(self._flat[record])), self.path(record)

    def without(self, gone: NDArray[np.bool_], *, strict: bool = True) -> Any:
        """The batch with the cells of some records null and nothing of them left.

        Args:
            gone: bool (records,).
            strict: refuse nulls where the schema has none; a batch that is only compared may have them.

        Raises:
            DatasetError: the schema lets none of these cells be null.
        """
        batch = self._batch
        for number, leaf in enumerate(self._leaves):
            places = self._flat[gone & (self._leaf == number)]
            if not len(places):
                continue
            if strict and not leaf.nullable:
                raise DatasetError(
                    "one picture of a row cannot be taken out without the others",
                    expected="columns of pictures that may be null",
                    todo="Remove whole rows, or write the table again with nullable columns.",
                )
            mask = np.zeros(len(self._columns[number].row), np.bool_)
            mask[places] = True
            at = batch.schema.get_field_index(leaf.column)
            column = _rebuilt(batch.column(at), leaf, leaf.steps, mask)
            batch = batch.set_column(at, batch.schema.field(at), column)
        return batch
