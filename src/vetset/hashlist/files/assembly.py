"""Columns of decoded values, and what is said of their rows, put together to rows of `opinions.SCHEMA`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.hashlist.files.remarks import Remarks
from vetset.hashlist.opinions import SCHEMA
from vetset.model.signal import Kind


class Part(NamedTuple):
    """Values of one kind: the rows that they stand in, ascending, and uint8 (n, kind.width)."""

    kind: Kind
    rows: NDArray[np.intp]
    values: NDArray[np.uint8]


class _Layout(NamedTuple):
    """Where opinions come from: the row, the part of the value (the number of parts where withdrawn), and the value."""

    sources: NDArray[np.intp]
    parts: NDArray[np.int32]
    values: pa.BinaryArray


def assembled(
    ids: pa.StringArray, parts: Sequence[Part], said: Remarks, withdrawn: NDArray[np.bool_]
) -> pa.RecordBatch:
    """Opinions in the order of the rows, and within one in that of the parts.

    Args:
        ids: of the entry of each row.
        parts: the values that stand.
        said: of each row.
        withdrawn: rows that take an entry back, and are in no part.
    """
    whole = bool(parts) and all(len(part.rows) == len(ids) for part in parts)
    layout = _of_whole_rows(parts) if whole else _of_rows(parts, withdrawn)
    standing = layout.parts < len(parts)
    is_pdq = np.isin(layout.parts, [number for number, part in enumerate(parts) if part.kind is Kind.PDQ])
    rows = None if np.array_equal(layout.sources, np.arange(len(ids))) else pa.array(layout.sources)
    zero = pa.array(np.zeros(len(standing), np.uint16))
    words = pa.array([part.kind.value for part in parts], pa.string())
    return pa.record_batch(
        {
            "entry": _taken(ids, rows),
            "kind": pa.DictionaryArray.from_arrays(pa.array(layout.parts, mask=~standing), words),
            "value": layout.values,
            "member": _taken(said.member, rows),
            "category": _taken(said.category, rows),
            "updated": _taken(said.updated, rows),
            "notes": pa.array(said.notes[layout.sources]),
            "sets": _taken(said.sets, rows),
            "quality": pc.if_else(pa.array(is_pdq), _taken(said.quality, rows), pa.scalar(None, pa.uint8())),
            "agree": zero,
            "dispute": zero,
            "withdrawn": pa.array(~standing),
        },
        schema=SCHEMA,
    )


def _of_whole_rows(parts: Sequence[Part]) -> _Layout:
    """Every row has a value in every part, as most lists have them."""
    rows = len(parts[0].rows)
    ends = np.cumsum([part.kind.width for part in parts])
    offsets = np.zeros(rows * len(parts) + 1, np.int32)
    offsets[1:] = (np.arange(rows)[:, np.newaxis] * ends[-1] + ends).reshape(-1)
    data = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts], axis=1)
    numbers = np.arange(len(parts), dtype=np.int32)
    return _Layout(np.repeat(np.arange(rows), len(parts)), np.tile(numbers, rows), _binary(offsets, data))


def _of_rows(parts: Sequence[Part], withdrawn: NDArray[np.bool_]) -> _Layout:
    gone = np.flatnonzero(withdrawn)
    count = withdrawn.astype(np.int64)
    for part in parts:
        count[part.rows] += 1
    free = np.cumsum(count) - count
    places = []
    for part in parts:
        places.append(free[part.rows])
        free[part.rows] += 1
    places.append(free[gone])
    place = np.concatenate(places)
    order = np.empty(len(place), np.int64)
    order[place] = np.arange(len(place))
    sources = np.concatenate([*(part.rows for part in parts), gone])[order]
    sizes = [*(len(part.rows) for part in parts), len(gone)]
    numbers = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[order]
    values = [_binary(np.arange(len(part.rows) + 1) * part.kind.width, part.values) for part in parts]
    return _Layout(
        sources, numbers, pa.concat_arrays([*values, pa.nulls(len(gone), pa.binary())]).take(pa.array(order))
    )


def _binary(offsets: NDArray[np.signedinteger], values: NDArray[np.uint8]) -> pa.BinaryArray:
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def _taken(column: pa.Array, rows: pa.Array | None) -> pa.Array:
    return column if rows is None else column.take(rows)
