"""The signals that a metadata table states: whole columns on their way into a part of the store, no picture touched."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.dataset.columns import extents
from vetset.dataset.reading import ColumnBatch
from vetset.model.errors import CountError
from vetset.model.signal import DECLARED_KINDS, URL_KINDS, Kind, Reason, Variant
from vetset.signal.digest import url_digests
from vetset.store.columns import Values, column_of, part_schema, why_of
from vetset.store.part import PartWriter
from vetset.store.store import Store


def table_writer(
    store: Store, kinds: Sequence[Kind], batches: Iterable[ColumnBatch]
) -> tuple[PartWriter, Iterator[ColumnBatch]]:
    """A writer with columns for what the table has, and all of its batches.

    Raises:
        DatasetError: not even the first batch can be read.
        OutputError: the store cannot be written.
    """
    rest = iter(batches)
    first = next(rest)
    stated = {column_of(kind, Variant.DECLARED) for kind in first.declared}
    if first.urls is not None:
        stated |= {column_of(kind, Variant.STORED) for kind in URL_KINDS}
    if first.own_keys is not None:
        stated.add("key")
    # A table states digests; it stores no bytes that they could be taken of.
    without = set(part_schema(kinds).names) - stated - {why_of(kind) for kind in kinds}
    return PartWriter(store, kinds, without=without, packed=False), chain([first], rest)


def _url_signals(urls: pa.StringArray, kind: Kind) -> tuple[pa.Array, NDArray[np.uint8]]:
    digests = url_digests(*extents(urls), kind)
    present = np.asarray(urls.is_valid())
    if not present.all():
        digests[~present] = 0
    return Values(digests, present).to_arrow(), np.where(present, 0, Reason.NULL_VALUE.code).astype(np.uint8)


def append_columns(kinds: Sequence[Kind], batches: Iterable[ColumnBatch], writer: PartWriter) -> None:
    """Hand the stated signals of every row to the part, batch by batch.

    Raises:
        DatasetError: the shard cannot be read to its end.
        OutputError: the store cannot be written.
        CountError: a row was left out, or came twice.
    """
    row = 0
    for batch in batches:
        if batch.first_row != row:
            raise CountError("records came out of order", expected=f"row {row}", seen=f"row {batch.first_row}")
        row += batch.count
        arrays = [] if batch.own_keys is None else [batch.own_keys]
        for kind in kinds:
            if kind in URL_KINDS and batch.urls is not None:
                values, why = _url_signals(batch.urls, kind)
                arrays.append(values)
            elif kind in batch.declared:
                column = batch.declared[kind]
                arrays.append(Values(column.values, column.why == 0).to_arrow())
                why = column.why
            else:
                told = Reason.ABSENT_COLUMN if kind in (*DECLARED_KINDS, *URL_KINDS) else Reason.METADATA_ONLY
                why = np.full(batch.count, told.code, np.uint8)
            arrays.append(pa.array(why, pa.uint8()))
        writer.append(arrays)
