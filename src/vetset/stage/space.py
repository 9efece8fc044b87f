"""The space that neighbours are searched in: blocks of vectors, and which record each row is.

Either a user's precomputed embeddings, joined to the records by key, or the vectors that the scan computed, which lie
in the store row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.embeddings import EmbeddingPart, discover_embeddings, open_vectors, read_keys
from vetset.model.coverage import Coverage
from vetset.model.errors import AlignmentError
from vetset.model.signal import Kind, Reason
from vetset.storage.remote import Place
from vetset.store.alignment import align
from vetset.store.records import RecordTable
from vetset.store.store import Store
from vetset.store.whole import is_whole

_ROWS = 65_536
"""Vectors whose length is looked at in one go."""


@dataclass(frozen=True, slots=True)
class Space:
    """Vectors and their records.

    Attributes:
        blocks: float16/32 (r, d) arrays, usually mapped files.
        numbers: int64 (r,) per block: the record's number.
        usable: bool (r,) per block: finite and not zero.
        coverage: how many records have a usable vector.
    """

    blocks: Sequence[NDArray[Any]]
    numbers: Sequence[NDArray[np.int64]]
    usable: Sequence[NDArray[np.bool_]]
    coverage: Coverage

    def places(self, records: NDArray[np.int64]) -> dict[int, tuple[int, int]]:
        """(block, row) of each of these records that has a usable vector."""
        found = {}
        for block, (numbers, usable) in enumerate(zip(self.numbers, self.usable, strict=True)):
            for row in np.flatnonzero(np.isin(numbers, records) & usable).tolist():
                found[int(numbers[row])] = (block, row)
        return found

    def vectors(self, places: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """The vectors at these places, float32 (n, d), of length 1."""
        if not places:
            return np.zeros((0, self.dimension), np.float32)
        gathered = np.stack([np.asarray(self.blocks[block][row], np.float32) for block, row in places])
        length = np.linalg.norm(gathered.astype(np.float64), axis=1, keepdims=True)
        scaled: NDArray[np.float32] = (gathered / length).astype(np.float32)
        return scaled

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return int(self.blocks[0].shape[1]) if self.blocks else 0


def _usable(block: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows are finite and not zero; one pass in pieces, so that a mapped file is never in memory whole."""
    usable = np.zeros(len(block), np.bool_)
    for start in range(0, len(block), _ROWS):
        piece = np.asarray(block[start : start + _ROWS])
        usable[start : start + _ROWS] = np.isfinite(piece).all(axis=1) & (piece != 0).any(axis=1)
    return usable


def aligned_space(blocks: Sequence[NDArray[Any]], numbers: Sequence[NDArray[np.int64]], records: int) -> Space:
    """Vectors whose rows are known to belong to these records, of this many.

    Raises:
        CountError: there are more rows than records.
    """
    usable = [_usable(block) for block in blocks]
    rows = sum(len(block) for block in blocks)
    decided = sum(int(np.count_nonzero(mask)) for mask in usable)
    reasons = {Reason.DEGENERATE_VECTOR: rows - decided, Reason.NO_EMBEDDING: records - rows}
    undecided = {reason: count for reason, count in reasons.items() if count}
    coverage = Coverage(Kind.EMBEDDING, records, decided, undecided)
    coverage.check("embeddings")
    return Space(blocks, numbers, usable, coverage)


def precomputed_space(folder: Path, table: RecordTable, root: Place | None) -> Space:
    """Embeddings in the layout of clip-retrieval, joined by key.

    Args:
        folder: where they lie.
        table: the records.
        root: the dataset's place, below which paths are keys.

    Raises:
        AlignmentError: a part is missing, damaged or foreign, or the join is not one to one.
    """
    parts: list[EmbeddingPart] = discover_embeddings(folder)
    names = [part.where for part in parts]
    numbers = align(table.all_keys(), [read_keys(part, base=root) for part in parts], names)
    return aligned_space([open_vectors(part) for part in parts], numbers, table.count)


def computed_space(store: Store, table: RecordTable) -> Space:
    """Embeddings that the scan computed.

    Raises:
        AlignmentError: the vectors of a shard are missing, or are not as many as its records.
    """
    blocks, numbers, usable = [], [], []
    coverage = Coverage(Kind.EMBEDDING, 0, 0)
    start = 0
    for shard, part in table.parts():
        here = replace(part.coverage(Kind.EMBEDDING), records=shard.records)
        here.check(shard.uri)
        coverage += here
        if here.decided:
            path = store.embeddings_path(shard.part)
            if not is_whole(path):
                raise AlignmentError(
                    "computed embeddings are missing or damaged",
                    where=shard.uri,
                    todo="Scan the dataset into this store again: what is damaged is read anew.",
                )
            try:
                block = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise AlignmentError("computed embeddings cannot be read", where=shard.uri) from error
            if block.shape[0] != shard.records:
                raise AlignmentError(
                    "computed embeddings do not fit their shard",
                    expected=f"{shard.records} rows",
                    seen=f"{block.shape[0]}",
                    where=shard.uri,
                    todo="Scan the dataset into this store again: what is damaged is read anew.",
                )
            blocks.append(block)
            numbers.append(np.arange(start, start + shard.records))
            usable.append(_usable(block))
            if int(np.count_nonzero(usable[-1])) != here.decided:
                raise AlignmentError(
                    "computed embeddings contradict the store",
                    expected=f"{here.decided} usable vectors",
                    seen=f"{np.count_nonzero(usable[-1])}",
                    where=shard.uri,
                    todo="Remove the store's folder and scan again.",
                )
        start += shard.records
    return Space(blocks, numbers, usable, coverage)
