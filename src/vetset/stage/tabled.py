"""The signals that a metadata table states: whole columns on their way into a part of the store, no picture touched."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.dataset.reading import ColumnBatch
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Kind, Reason, Variant
from vetset.signal.digest import url_digest
from vetset.store.columns import VARIANTS, Values
from vetset.store.part import PartWriter


def _column_signals(batch: ColumnBatch, kind: Kind) -> tuple[Values, NDArray[np.uint8]]:
    """Signals of one kind that a metadata table states, with reasons where it states none."""
    count = len(batch.keys)
    if kind in URL_KINDS:
        urls: Sequence[str | None] = [None] * count if batch.urls is None else batch.urls.to_pylist()
        absent = Reason.ABSENT_COLUMN if batch.urls is None else Reason.NULL_VALUE
        values = [None if url is None else url_digest(url, kind) for url in urls]
        why = np.array([0 if value is not None else absent.code for value in values], np.uint8)
        return Values.of(values, kind.width), why
    if kind in batch.declared:
        column = batch.declared[kind]
        return Values(column.values, column.why == 0), column.why
    nothing = Reason.ABSENT_COLUMN if kind in BYTE_KINDS else Reason.METADATA_ONLY
    empty = Values(np.zeros((count, kind.width), np.uint8), np.zeros(count, np.bool_))
    return empty, np.full(count, nothing.code, np.uint8)


def append_columns(kinds: Sequence[Kind], batches: Iterable[ColumnBatch], writer: PartWriter) -> None:
    """Hand the stated signals of every row to the part, batch by batch.

    Raises:
        DatasetError: the shard cannot be read to its end.
        OutputError: the store cannot be written.
    """
    for batch in batches:
        count = len(batch.keys)
        arrays = [pa.array(np.arange(batch.first_row, batch.first_row + count)), batch.keys.cast(pa.string())]
        for kind in kinds:
            values, why = _column_signals(batch, kind)
            # A table states digests; it stores no bytes that they could be taken of.
            stored = Variant.STORED if kind in URL_KINDS else Variant.DECLARED
            arrays += [
                values.to_arrow() if variant is stored else pa.nulls(count, pa.binary(kind.width))
                for variant in VARIANTS[kind]
            ]
            if kind is Kind.PDQ:
                arrays.append(pa.nulls(count, pa.uint8()))
            arrays.append(pa.array(why, pa.uint8()))
        writer.append(arrays)
