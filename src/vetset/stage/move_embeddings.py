"""Embeddings on their way into a cleaned revision: rows of what was removed go, all others stay as they lie, in order.

Every row must be a record's: of embeddings of another dataset, none would go. Everything is read again afterwards. Of
embeddings far away, the same is asked of the other side whatever is removed.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vetset.dataset.embeddings.layouts import find_embeddings, settle
from vetset.dataset.embeddings.parts import Choice, EmbeddingPart
from vetset.dataset.embeddings.tars import TarPart
from vetset.model.errors import OutputError
from vetset.storage.remote import Place
from vetset.store.alignment import align

_VALUES = 1 << 20
"""Components that are compared in one go."""


def parts_to_move(source: Place, choice: Choice, shards: Collection[Place]) -> list[EmbeddingPart]:
    """The parts of embeddings that lose rows; none of vectors that lie in the dataset's own tars, which go with these.

    Args:
        source: where the embeddings lie.
        choice: what is what in them.
        shards: the files that the dataset's shards are.

    Raises:
        AlignmentError: there are no embeddings at this place, or they are damaged.
        DatasetError: they cannot be read.
    """
    own = {str(shard) for shard in shards}
    return [
        part for part in find_embeddings(source, choice) if not (isinstance(part, TarPart) and str(part.place) in own)
    ]


def move_embeddings(
    parts: Sequence[EmbeddingPart],
    out: Path,
    dropped: pa.StringArray,
    choice: Choice,
    records: tuple[Iterable[pa.StringArray], int],
) -> None:
    """Write the rows whose key is not dropped, of vectors and of what lies beside them, then read them again.

    Args:
        parts: as `parts_to_move` found them.
        out: where they will lie; is not there if there is nothing to write.
        dropped: keys of the records that go.
        choice: what is what in the embeddings.
        records: the keys of all records, batch by batch, and their number.

    Raises:
        AlignmentError: a row is no record's, or two are of one; the embeddings are damaged, or changed meanwhile.
        DatasetError: they cannot be read.
        OutputError: a target cannot be written, or the copy is not what it should be.
    """
    align(*records, [(part.where, part.key_batches()) for part in parts])
    keeps = [_kept(part, dropped) for part in parts]
    if parts:
        settle(parts)
    for part, keep in zip(parts, keeps, strict=True):
        part.write(keep, out)
    copies = find_embeddings(out, choice) if parts and any(map(len, keeps)) else ()
    for part, keep, copy in zip(parts, keeps, copies, strict=bool(copies)):
        if not (_same_keys(part, keep, copy) and _same_vectors(part, keep, copy)):
            raise OutputError(
                "the cleaned copy differs from its original in more than the removed records",
                expected="every survivor, byte-identical and in order",
                where=part.where,
                todo="The new revision was discarded. Check the disk, then run the same command.",
            )


def _kept(part: EmbeddingPart, dropped: pa.StringArray) -> NDArray[np.bool_]:
    stays = [~np.asarray(pc.is_in(keys, value_set=dropped)) for keys in part.key_batches()]
    return np.concatenate([np.zeros(0, np.bool_), *stays])


def _same_keys(part: EmbeddingPart, keep: NDArray[np.bool_], copy: EmbeddingPart) -> bool:
    """Whether the copy's keys are those of the survivors, in order."""
    copied = (key for keys in copy.key_batches() for key in keys.to_pylist())
    first = 0
    for keys in part.key_batches():
        stays = keys.filter(pa.array(keep[first : first + len(keys)]))
        first += len(keys)
        if any(next(copied, None) != key for key in stays.to_pylist()):
            return False
    return first == len(keep) and next(copied, None) is None


def _pieces(part: EmbeddingPart, dimension: int) -> Iterator[NDArray[Any]]:
    block = part.block()
    step = max(1, _VALUES // dimension)
    with block.open() as fill:
        for first in range(0, block.rows, step):
            piece = np.empty((min(step, block.rows - first), dimension), block.dtype)
            fill(piece)
            yield piece


def _same_vectors(part: EmbeddingPart, keep: NDArray[np.bool_], copy: EmbeddingPart) -> bool:
    """Whether the copy's vectors are those of the survivors, bit for bit and in order."""
    block, written = part.block(), copy.block()
    if written.rows != int(np.count_nonzero(keep)):
        return False
    if not written.rows:
        return True
    if (written.dimension, written.dtype) != (block.dimension, block.dtype):
        return False
    first = 0
    with written.open() as fill:
        for piece in _pieces(part, block.dimension):
            stays = piece[keep[first : first + len(piece)]]
            first += len(piece)
            copied = np.empty_like(stays)
            fill(copied)
            if copied.tobytes() != stays.tobytes():
                return False
    return True
