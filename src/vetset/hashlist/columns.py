"""From opinions to `Entries`: sorted, each value once with the id of the row that has it first."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.hashlist.opinions import MAX_ID_LENGTH, texts_of, values_of
from vetset.model.hashlist import Entries, EntryFlag
from vetset.model.signal import LIST_KINDS, Kind

__all__ = ["MAX_ID_LENGTH", "differ", "first_of_each", "gathered", "leading_words", "narrow", "ordered", "sort_keys"]


def gathered(batches: Iterable[pa.RecordBatch]) -> dict[Kind, Entries]:
    """The distinct values that stand, by kind; of a value that comes more than once, the id of its first row.

    Args:
        batches: of `opinions.SCHEMA`.

    Returns:
        Kinds in the order of `LIST_KINDS`, without those that have no value.
    """
    found: dict[Kind, list[tuple[NDArray[np.uint8], NDArray[np.bytes_]]]] = {kind: [] for kind in LIST_KINDS}
    for batch in batches:
        kinds = batch.column("kind")
        codes = kinds.indices.fill_null(-1).to_numpy()
        for code, word in enumerate(kinds.dictionary.to_pylist()):
            mask = codes == code
            if not mask.any():
                continue
            rows = batch if mask.all() else batch.select(["entry", "value"]).filter(pa.array(mask))
            kind = Kind(word)
            # copied, so that what is kept holds no block of the file in memory
            found[kind].append((values_of(rows.column("value"), kind.width).copy(), texts_of(rows.column("entry"))))
    return {kind: _entries(kind, found.pop(kind)) for kind in LIST_KINDS if found[kind]}


def _entries(kind: Kind, parts: list[tuple[NDArray[np.uint8], NDArray[np.bytes_]]]) -> Entries:
    values = np.concatenate([values for values, _ in parts])
    ids = np.concatenate([ids for _, ids in parts])
    parts.clear()
    first = first_of_each(values)
    rows = len(first)
    flags, members = np.full(rows, EntryFlag.NONE, np.uint8), np.ones(rows, np.uint8)
    # `take` is five times as fast as an index here
    return Entries(kind, values.take(first, axis=0), narrow(ids.take(first)), flags, members)


def leading_words(values: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of every row as a number; rows are of eight bytes at least."""
    return np.ascontiguousarray(values[:, :8]).view(">u8").astype(np.uint64).reshape(-1)


def sort_keys(values: NDArray[np.uint8]) -> list[NDArray[np.uint64]]:
    """Rows of bytes as columns of numbers, the least significant first: what `np.lexsort` takes."""
    width = values.shape[1]
    padded = np.zeros((len(values), -(-width // 8) * 8), np.uint8)
    padded[:, :width] = values
    words = padded.view(">u8").astype(np.uint64)
    return [words[:, column] for column in reversed(range(words.shape[1]))]


def first_of_each(values: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Places of the distinct rows, in the order of the rows as byte strings; of equal rows the first place."""
    order, fresh = ordered(values)
    return order[fresh]


def differ(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which rows are not equal, by words of four bytes; rows are contiguous and of a multiple of them."""
    unlike = np.zeros(len(left), np.bool_)
    for mine, theirs in zip(left.view(np.uint32).T, right.view(np.uint32).T, strict=True):
        unlike |= mine != theirs
    return unlike


def ordered(values: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Places of the rows in their order as byte strings, and which of them, in that order, differ from the one before.

    Equal rows come in the order in which they stand. The places are those of `np.lexsort(sort_keys(values))`, and come
    more than ten times as fast where most rows differ early.

    One sort of numbers that hold the beginning of a row above its place, which is stable and needs no permutation. Of
    20 million random rows some hundred pairs share a beginning: they are compared as a whole, and sorted anew where
    rows of one beginning differ.

    Args:
        values: uint8 (n, width), contiguous; widths are multiples of four.
    """
    count = len(values)
    bits = np.uint64(max(1, (count - 1).bit_length()))
    keys = leading_words(values) >> bits
    keys <<= bits
    keys |= np.arange(count, dtype=np.uint64)
    keys.sort()
    order = (keys & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.intp)
    keys >>= bits
    fresh = np.ones(count, np.bool_)
    tied = np.flatnonzero(keys[1:] == keys[:-1]) + 1
    unlike = differ(values.take(order[tied], axis=0), values.take(order[tied - 1], axis=0))
    fresh[tied] = unlike
    if unlike.any():
        _sort_within(values, keys, order, fresh, np.unique(keys[tied[unlike]]))
    return order, fresh


def _sort_within(
    values: NDArray[np.uint8],
    keys: NDArray[np.uint64],
    order: NDArray[np.intp],
    fresh: NDArray[np.bool_],
    mixed: NDArray[np.uint64],
) -> None:
    """Sort the rows whose beginning is one of `mixed` by all their bytes; `order` and `fresh` are changed in place."""
    starts, ends = np.searchsorted(keys, mixed, "left"), np.searchsorted(keys, mixed, "right")
    sizes = ends - starts
    places = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    rows = order[places]
    rows = rows[np.lexsort(sort_keys(values.take(rows, axis=0)))]  # stable, and groups stay in their order
    order[places] = rows
    ordered = values.take(rows, axis=0)
    fresh[places[1:]] = differ(ordered[1:], ordered[:-1])


def narrow(ids: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """The same ids in the least width that holds them, so that equal lists have equal bytes."""
    held = ids.dtype.itemsize
    if len(ids) and np.ascontiguousarray(ids).view(np.uint8)[held - 1 :: held].any():
        return ids  # one of them needs all of it; of many millions, measuring each takes a while
    width = int(np.char.str_len(ids).max(initial=1))
    return ids.astype(f"S{width}")
