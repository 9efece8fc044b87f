"""The space that neighbours are searched in: blocks of vectors, and which record each row is.

Either embeddings that somebody brings, joined to the records by key, or the vectors that the scan computed, which lie
in the store row by row. Vectors are read where they lie, in passes; of embeddings far away, a whole pass also where
only the seeds' vectors are needed, since whoever keeps them would see in single requests what was found.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vetset.dataset.embeddings.layouts import find_embeddings, settle
from vetset.dataset.embeddings.npy import npy_rows
from vetset.dataset.embeddings.parts import Choice, changed
from vetset.dataset.embeddings.rows import StoredRows
from vetset.model.coverage import Coverage
from vetset.model.errors import AlignmentError, DatasetError
from vetset.model.policy import ExpandPolicy
from vetset.model.signal import Kind, Reason
from vetset.model.vectors import VectorBlock
from vetset.search.blocks import as_blocks
from vetset.stage.progress import Reporter, Silent
from vetset.storage.remote import Place
from vetset.store.alignment import align
from vetset.store.records import RecordTable, StoredShard
from vetset.store.store import Store
from vetset.store.whole import is_whole

_VALUES = 1 << 20
"""Components that are looked at in one go."""
_NUMBERS = 1 << 20
"""Numbers of records that are looked through in one go."""
_MOST_DRAWN = 64
"""Rows that are drawn at most for each that is wanted, where many have no usable vector."""

Numbers: TypeAlias = NDArray[np.int64] | range
"""Numbers of the records of a block's rows, which may lie in a file, or be a stretch of consecutive ones."""
_Piece: TypeAlias = tuple[int, NDArray[np.int64], NDArray[Any]]
"""A block, some of its rows, int64 (n,) ascending, and what they hold, (n, d)."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of some records. Whoever asked for them has them alone, and lets them go.

    Attributes:
        numbers: int64 (n,): the records.
        vectors: float32 (n, d), of length 1.
    """

    numbers: NDArray[np.int64] = field(repr=False)
    vectors: NDArray[np.float32] = field(repr=False)

    def at(self, rows: NDArray[np.int64] | slice) -> "Vectors":
        """Those in these rows."""
        return Vectors(self.numbers[rows], self.vectors[rows])


@dataclass(slots=True)
class Space:
    """Vectors and their records.

    Attributes:
        blocks: the vectors.
        numbers: (rows,) per block: the record's number.
        covered: coverage, given how many rows of each block, int64 (blocks,), are not finite or zero.
        records: how many records there are, with a vector or without.
        watched: whether somebody else can see which rows are read.
        reporter: hears of searches.
    """

    blocks: Sequence[VectorBlock]
    numbers: Sequence[Numbers]
    covered: Callable[[NDArray[np.int64]], Coverage]
    records: int
    watched: bool = False
    reporter: Reporter = field(default_factory=Silent, repr=False)
    _unusable: NDArray[np.int64] | None = field(default=None, repr=False)

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self.blocks[0].dimension if self.blocks else 0

    @property
    def coverage(self) -> Coverage:
        """How many records have a usable vector; counted in a pass of its own if no other pass came before.

        Raises:
            AlignmentError: what the store says of its vectors is not true.
            DatasetError: a vector cannot be read.
        """
        return self.covered(self._counted())

    def _counted(self) -> NDArray[np.int64]:
        if self._unusable is None:
            self.pass_by()
        return np.zeros(len(self.blocks), np.int64) if self._unusable is None else self._unusable

    def note_unusable(self, rows: NDArray[np.int64]) -> None:
        """Take over what a search counted: rows of each block, int64 (blocks,), that are not finite or zero."""
        self._unusable = rows

    def pass_by(self) -> None:
        """Read everything as a search does. So it looks the same from outside where there is nothing to search for."""
        for _ in self._passed({}):
            pass

    def _passed(self, wanted: Mapping[int, NDArray[np.int64]]) -> Iterator[_Piece]:
        """These rows, ascending, per block; every row is read and the unusable are counted."""
        unusable = np.zeros(len(self.blocks), np.int64)
        step = max(1, _VALUES // max(1, self.dimension))
        for number, block in enumerate(self.blocks):
            rows = wanted.get(number, np.zeros(0, np.int64))
            buffer = np.empty((min(step, block.rows), block.dimension), block.dtype)
            with block.open() as fill:
                for first in range(0, block.rows, step):
                    piece = buffer[: block.rows - first]
                    fill(piece)
                    unusable[number] += int(np.count_nonzero(~_usable(piece)))
                    here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(piece))]
                    if len(here):
                        yield number, here, piece[here - first]
        self._unusable = unusable

    def _taken(self, wanted: Mapping[int, NDArray[np.int64]]) -> Iterator[_Piece]:
        for number, rows in sorted(wanted.items()):
            yield number, rows, self.blocks[number].take(rows)

    def _where(self, records: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
        """Rows of these records, int64 ascending, per block."""
        found: dict[int, NDArray[np.int64]] = {}
        for block, numbers in enumerate(self.numbers):
            if isinstance(numbers, range):
                here = np.sort(records)
                here = here[np.searchsorted(here, numbers.start) : np.searchsorted(here, numbers.stop)]
                found |= {block: np.unique(here) - numbers.start} if len(here) else {}
                continue
            starts = range(0, len(numbers) if len(records) else 0, _NUMBERS)
            pieces = (np.asarray(numbers[start : start + _NUMBERS]) for start in starts)
            rows = [
                start + np.flatnonzero(np.isin(piece, records)) for start, piece in zip(starts, pieces, strict=True)
            ]
            if any(map(len, rows)):
                found[block] = np.concatenate(rows)
        return found

    def _starts(self) -> NDArray[np.int64]:
        """How many rows lie before each block, and in all: int64 (blocks + 1,)."""
        return np.concatenate(([0], np.cumsum([block.rows for block in self.blocks], dtype=np.int64)))

    def _usable_of(self, pieces: Iterator[_Piece]) -> tuple[NDArray[np.int64], Vectors]:
        """Which of some rows are usable, counted through all blocks, int64 (n,) ascending; and their vectors."""
        starts = self._starts()
        rows, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        vectors = [np.zeros((0, self.dimension), np.float32)]
        for block, here, piece in pieces:
            usable = _usable(piece)
            rows.append(starts[block] + here[usable])
            numbers.append(records_of(self.numbers[block], here[usable]))
            vectors.append(_of_length_1(piece[usable]))
        return np.concatenate(rows), Vectors(np.concatenate(numbers), np.concatenate(vectors))

    def vectors(self, records: NDArray[np.int64]) -> Vectors:
        """Those of these records that have a usable vector, ascending by record.

        If the space is watched, every vector is read for it, whichever records these are and also if there are none.

        Raises:
            DatasetError: a vector cannot be read.
        """
        wanted = self._where(records)
        _, found = self._usable_of(self._passed(wanted) if self.watched else self._taken(wanted))
        return found.at(np.argsort(found.numbers))

    def sample(self, wanted: int, random: np.random.Generator) -> Vectors:
        """So many usable vectors in random order, each as likely as any other; fewer if there are fewer, or hardly any.

        They are drawn by the numbers of their records, so that the order of rows and of parts has no part in it. Only
        these rows are read, also if the space is watched: they must not depend on findings. Which they are depends on
        how many are wanted: fewer are not the first of more.

        Args:
            wanted: how many.
            random: what they are drawn with.

        Raises:
            DatasetError: a vector cannot be read.
        """
        thin = self.records / max(1, int(self._starts()[-1]))
        drawn = min(self.records, int((wanted + wanted // 4 + 16) * thin) + 1)
        most = min(self.records, int(_MOST_DRAWN * wanted * thin) + 1)
        while True:
            chosen = random.choice(self.records, drawn, replace=False) if drawn else np.zeros(0, np.int64)
            _, found = self._usable_of(self._taken(self._where(chosen)))
            found = found.at(np.argsort(found.numbers))
            kept = chosen[np.isin(chosen, found.numbers)][:wanted]
            if len(kept) == wanted or drawn >= most:
                return found.at(np.searchsorted(found.numbers, kept))
            drawn = min(most, 4 * drawn)

    def sample_of_rows(self, wanted: int, random: np.random.Generator) -> Vectors:
        """The same, but drawn by the rows' positions, as earlier versions drew: by it their rounds are known again.

        Args:
            wanted: how many.
            random: what they are drawn with.

        Raises:
            DatasetError: a vector cannot be read.
        """
        total = int(self._starts()[-1])
        drawn = min(total, wanted + wanted // 4 + 16)
        while True:
            chosen = random.choice(total, drawn, replace=False) if total else np.zeros(0, np.int64)
            rows, found = self._usable_of(self._taken(self._by_block(np.sort(chosen))))
            kept = chosen[np.isin(chosen, rows)][:wanted]
            if len(kept) == wanted or drawn == min(total, _MOST_DRAWN * wanted):
                return found.at(np.searchsorted(rows, kept))
            drawn = min(total, 4 * drawn, _MOST_DRAWN * wanted)

    def _by_block(self, rows: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
        """Rows counted through all blocks, ascending, as rows of each block."""
        starts = self._starts()
        edges = pairwise(np.searchsorted(rows, starts).tolist())
        return {block: rows[low:high] - starts[block] for block, (low, high) in enumerate(edges) if low < high}


def records_of(numbers: Numbers, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The records of some rows of a block, int64 (n,)."""
    return numbers.start + rows if isinstance(numbers, range) else np.asarray(numbers[rows], np.int64)


def _of_length_1(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Vectors (n, d), none of them zero, scaled: float32 (n, d)."""
    scaled = np.empty(vectors.shape, np.float32)
    step = max(1, _VALUES // max(1, vectors.shape[1]))
    for first in range(0, len(vectors), step):
        exact = vectors[first : first + step].astype(np.float64)
        scaled[first : first + step] = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    return scaled


def _usable(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows are finite and not zero."""
    usable: NDArray[np.bool_] = np.isfinite(rows).all(axis=1) & (rows != 0).any(axis=1)
    return usable


def aligned_space(
    blocks: Sequence[VectorBlock | NDArray[Any]],
    numbers: Sequence[Numbers],
    records: int,
    *,
    absent: Callable[[], int] = lambda: 0,
    watched: bool = False,
) -> Space:
    """Vectors whose rows are known to belong to these records, one to one.

    Args:
        blocks: the vectors, of one dimension.
        numbers: (rows,) per block: the record's number.
        records: how many there are.
        absent: how many rows have no vector and are not finite or zero in its place; asked after a pass.
        watched: whether somebody else can see which rows are read.
    """
    first = blocks[0] if blocks else np.zeros((0, 0))
    opened = as_blocks(blocks, int(first.shape[1]) if isinstance(first, np.ndarray) else first.dimension)
    rows = sum(block.rows for block in opened)

    def covered(unusable: NDArray[np.int64]) -> Coverage:
        lost, without = int(unusable.sum()), absent()
        reasons = {Reason.DEGENERATE_VECTOR: lost - without, Reason.NO_EMBEDDING: records - rows + without}
        undecided = {reason: count for reason, count in reasons.items() if count}
        return Coverage(Kind.EMBEDDING, records, rows - lost, undecided)

    return Space(opened, numbers, covered, records, watched)


def choice_of(policy: ExpandPolicy, root: Place | None) -> Choice:
    """What is what in embeddings, as a policy says it, of a dataset at this place."""
    return Choice(root, policy.key_column, policy.vector_column)


def _scratch(store: Store) -> Path | None:
    """Where a join may write: beside the store, unless that is only to be read."""
    return store.folder if os.access(store.folder, os.W_OK) else None


def precomputed_space(embeddings: Place, table: RecordTable, store: Store, choice: Choice) -> Space:
    """Embeddings that somebody brings, joined by key.

    Args:
        embeddings: where they lie.
        table: the records.
        store: beside which the join may write.
        choice: what is what in them.

    Raises:
        AlignmentError: a part is missing, damaged or foreign, or the join is not one to one.
        DatasetError: a part cannot be read.
        OutputError: there is no room for the join.
    """
    parts = find_embeddings(embeddings, choice)
    keys = [(part.where, part.key_batches()) for part in parts]
    numbers = align(table.key_batches(), table.count, keys, scratch=_scratch(store))
    settle(parts)
    blocks = [part.block() for part in parts]
    for block, own in zip(blocks, numbers, strict=True):
        if block.rows != len(own):
            raise changed(block.where)
    watched = not isinstance(embeddings, Path)
    return aligned_space(
        blocks, numbers, table.count, absent=lambda: sum(part.absent() for part in parts), watched=watched
    )


def _computed(store: Store, shard: StoredShard) -> StoredRows:
    """The vectors of one shard, as they lie in the store."""
    path = store.embeddings_path(shard.part)
    problem, seen = "computed embeddings are missing or damaged", None
    if is_whole(path):
        try:
            block = npy_rows(path, shard.uri)
        except (AlignmentError, DatasetError) as error:
            raise AlignmentError("computed embeddings cannot be read", where=shard.uri) from error
        if block.rows == shard.records:
            return block
        problem, seen = "computed embeddings do not fit their shard", f"{block.rows} rows"
    raise AlignmentError(
        problem,
        expected=f"{shard.records} rows",
        seen=seen,
        where=shard.uri,
        todo="Scan the dataset into this store again: what is damaged is read anew.",
    )


def computed_space(store: Store, table: RecordTable) -> Space:
    """Embeddings that the scan computed.

    Raises:
        AlignmentError: the vectors of a shard are missing, or are not as many as its records.
    """
    blocks, numbers, decided = [], [], []
    coverage = Coverage(Kind.EMBEDDING, 0, 0)
    start = 0
    for shard, part in table.parts():
        here = replace(part.coverage(Kind.EMBEDDING), records=shard.records)
        here.check(shard.uri)
        coverage += here
        if here.decided:
            blocks.append(_computed(store, shard))
            numbers.append(range(start, start + shard.records))
            decided.append(here.decided)
        start += shard.records

    def covered(unusable: NDArray[np.int64]) -> Coverage:
        for block, stated, lost in zip(blocks, decided, unusable.tolist(), strict=True):
            if block.rows - lost != stated:
                raise AlignmentError(
                    "computed embeddings contradict the store",
                    expected=f"{stated} usable vectors",
                    seen=f"{block.rows - lost}",
                    where=block.where,
                    todo="Remove the store's folder and scan again.",
                )
        return coverage

    return Space(blocks, numbers, covered, start)
