"""Which record each row of an embedding file belongs to: joined by key, checked, never assumed from an order.

Files of embeddings are parts of another size than shards, and records whose download failed have none. So a record may
lack a vector (it is then undecided), but a vector must have exactly one record, and a record at most one vector.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.model.errors import AlignmentError

_ADVICE = "These embeddings belong to another revision, or a part is missing: make them anew from this dataset."


def align(record_keys: pa.ChunkedArray, part_keys: Sequence[pa.Array], names: Sequence[str]) -> list[NDArray[np.int64]]:
    """Record numbers for every row of every part.

    Args:
        record_keys: key of every record, by number.
        part_keys: key of every row, part by part.
        names: what the parts are called in errors.

    Raises:
        AlignmentError: two records have one key, two rows have one key, or a row's key is no record's.
    """
    distinct = pc.count_distinct(record_keys).as_py()
    if distinct != len(record_keys):
        raise AlignmentError(
            "the dataset uses a key for more than one record, so embeddings cannot be joined to it",
            expected=f"{len(record_keys)} distinct keys",
            seen=f"{distinct}",
            todo="Give every record a key of its own, or audit without --embeddings.",
        )
    aligned = []
    taken = np.zeros(len(record_keys), np.bool_)
    joined = pa.chunked_array(list(part_keys), pa.string())
    numbers = pc.index_in(joined, value_set=record_keys)
    start = 0
    for keys, name in zip(part_keys, names, strict=True):
        found = numbers.slice(start, len(keys))
        start += len(keys)
        if found.null_count:
            raise AlignmentError(
                "embeddings without a record",
                expected="the key of a record in every row",
                seen=f"{found.null_count} of {len(keys)} rows with a key that the dataset does not have",
                where=name,
                todo=_ADVICE,
            )
        rows = np.asarray(found.to_numpy(), np.int64)
        if len(np.unique(rows)) != len(rows) or taken[rows].any():
            raise AlignmentError("two rows of embeddings for one record", where=name, todo=_ADVICE)
        taken[rows] = True
        aligned.append(rows)
    return aligned
