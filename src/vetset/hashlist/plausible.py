"""Whether what is given as PDQ values can be that.

A bit of a PDQ hash says whether a coefficient is above the median of all 256, so that exactly 128 of them are set,
unless several coefficients are as great as the median. That happens to pictures that are flat or repeat themselves, and
to few of those with a quality of 50 or more (docs/lists.md has the figures). Of digests under the name of PDQ, one in
twenty has 128 bits set. Both are 64 digits long, and a column of the wrong ones would match nothing and look clean.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.hashlist.columns import first_of_each
from vetset.hashlist.opinions import values_of
from vetset.model.errors import ListError
from vetset.model.signal import Kind

FEWEST = 20
"""Distinct PDQ values of which there must be as many before anything is said of all of them."""
LEAST_QUALITY = 50
"""Where its owner tells that a picture's quality is lower, nothing is expected of its value."""
_SET_BITS = 128


def implausible_pdq(values: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which PDQ values hardly any usable picture has.

    Args:
        values: uint8 (n, 32).

    Returns:
        bool (n,).
    """
    words = np.ascontiguousarray(values).view(np.uint64)
    implausible: NDArray[np.bool_] = np.bitwise_count(words).sum(axis=1, dtype=np.int64) != _SET_BITS
    return implausible


def with_plausible_pdq(batches: Iterable[pa.RecordBatch], where: str) -> Iterator[pa.RecordBatch]:
    """The same batches; at their end a list is refused of which most PDQ values are none.

    Args:
        batches: of `opinions.SCHEMA`.
        where: name of the file or service, for errors.

    Raises:
        ListError: of `FEWEST` distinct PDQ values or more, less than half have 128 bits set.
    """
    first: set[bytes] = set()
    distinct, doubtful = 0, 0
    for batch in batches:
        values = _pdq_values(batch)
        # distinct within a batch: a value that many entries have weighs little, and nothing has to be remembered
        values = values[first_of_each(values)]
        if len(first) < FEWEST:
            first.update(map(bytes, values[: FEWEST * 2]))
        distinct += len(values)
        doubtful += int(np.count_nonzero(implausible_pdq(values)))
        yield batch
    if len(first) >= FEWEST and 2 * doubtful > distinct:
        raise ListError(
            "most of what is given as PDQ values cannot be that",
            expected="values of which nearly all have 128 of their 256 bits set",
            seen="less than half of them that do",
            where=where,
            todo="Nothing was imported. Are they digests, such as SHA-256, which are as long? Name their column so.",
        )


def _pdq_values(batch: pa.RecordBatch) -> NDArray[np.uint8]:
    kinds = batch.column("kind")
    words = kinds.dictionary.to_pylist()
    if Kind.PDQ.value not in words:
        return np.zeros((0, Kind.PDQ.width), np.uint8)
    usable = kinds.indices.fill_null(-1).to_numpy() == words.index(Kind.PDQ.value)
    usable &= batch.column("quality").fill_null(LEAST_QUALITY).to_numpy() >= LEAST_QUALITY
    return values_of(batch.column("value").filter(pa.array(usable)), Kind.PDQ.width)
