"""The rows most similar to some seeds, in one pass over all embeddings: exact, with no index to build.

One thread reads, others screen each chunk in small integers against all seeds (`vetset.search.screen`), and whatever
the bound cannot rule out is computed in float64 as it is defined (`vetset.search.similarity`). So the answer is that
of `vetset.search.linear.nearest`, bit for bit, however the rows are cut into blocks and whatever the number of threads.

The first rows, one in 32 at most, are screened once more beforehand: how similar the k best of them are at
least is already a floor for all others, so that fewer rows are ranked that better ones will push out again.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vetset.model.errors import DatasetError, UsageError
from vetset.model.vectors import VectorBlock
from vetset.search.blocks import Piece, as_blocks, each_piece
from vetset.search.ranking import Floors, Hits, Kept, Question, ranked
from vetset.search.screen import MOST_COLUMNS, Rows, Seeds, centre_of

_CHUNK_VALUES = 1 << 18
"""Numbers of a chunk: its rows in 8 bits stay in a core's cache while all groups of seeds go over them."""
_CHUNK_ROWS = 1024
_AHEAD, _AHEAD_SHARE = 1 << 16, 32
"""Rows that are looked at ahead of the pass, and of how many rows it is one at most."""
_PIECE = 4
"""Chunks that are read in one go."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The most similar rows of each seed: by seed, best first, ties by (block, row).

    Attributes:
        seed: int64 (h,), position of the seed.
        block: int64 (h,), position of the block.
        row: int64 (h,), position in the block.
        similarity: float64 (h,), as `vetset.search.linear.similarities` defines it.
        within: int64 (s,), how many rows have at least the least similarity, whether or not they are among the k.
        skipped: int64 (blocks,), rows that hold NaN or infinity: they took no part, and are undecided.
        zero: int64 (blocks,), rows of zeros, which have no direction.
        unnormalised: int64 (blocks,), rows whose length is further than 1 % from 1; of zeros and skipped ones, none.
    """

    seed: NDArray[np.int64]
    block: NDArray[np.int64]
    row: NDArray[np.int64]
    similarity: NDArray[np.float64]
    within: NDArray[np.int64]
    skipped: NDArray[np.int64]
    zero: NDArray[np.int64]
    unnormalised: NDArray[np.int64]


def nearest(
    seeds: NDArray[Any],
    blocks: Sequence[VectorBlock | NDArray[Any]],
    k: int | None,
    *,
    least: float = -np.inf,
    metric: Literal["ip", "cosine"] = "ip",
    threads: int = 1,
    passed: Callable[[int], None] | None = None,
) -> Neighbours:
    """The k rows of all blocks most similar to each seed, or all rows within a similarity.

    Rows that hold NaN or infinity take no part. Under "cosine" a vector of zeros has no direction and similarity 0
    with everything. Memory holds the seeds, what is returned (for each thread), and some ten megabytes a thread,
    whatever the data.

    Args:
        seeds: float16 or float32 (s, d), finite; d up to 65,536.
        blocks: float16, float32 or int8 (rows, d) arrays, or what a reader of embeddings gives.
        k: neighbours wanted of each seed, 1 or more, fewer if fewer rows take part; None for all.
        least: the similarity that a neighbour has at least; needed if k is None.
        metric: "ip" for the inner product, "cosine" for the inner product over both lengths.
        threads: that compute; one more reads.
        passed: hears the number of each block that was read to its end.

    Raises:
        UsageError: k or threads of less than 1, all rows are asked for, or the metric is unknown.
        DatasetError: seeds or a block of another type, or a block that cannot be read; the block is named.
        AlignmentError: a block has another dimension than the seeds; the block is named.
    """
    _require(k, least, metric, threads)
    exact = _exact(seeds)
    opened = as_blocks(blocks, exact.shape[1])
    firsts = np.cumsum([0, *(block.rows for block in opened)])
    prepared = Seeds.prepared(exact, _centre(opened, exact.shape[1]))
    question = Question(prepared, 0 if k is None else min(k, int(firsts[-1])), float(least), metric == "cosine")
    asked = _Pass(question, firsts, threads)
    if len(exact) and firsts[-1]:
        asked.look_ahead(opened)
        each_piece(opened, asked.chunk * _PIECE, [asked.worker(number) for number in range(threads)], passed)
    counts = asked.counts.sum(axis=0)
    seed, position, similarity = ranked([kept.hits() for kept in asked.kept], question.k) if firsts[-1] else _nothing()
    block = np.searchsorted(firsts, position, side="right") - 1
    within = sum(kept.within for kept in asked.kept) if question.counts else firsts[-1] - counts[:, 0].sum()
    return Neighbours(
        seed, block.astype(np.int64), position - firsts[block], similarity,
        np.broadcast_to(within, len(exact)).astype(np.int64), counts[:, 0], counts[:, 1], counts[:, 2],
    )  # fmt: skip


def _require(k: int | None, least: float, metric: str, threads: int) -> None:
    if k is None and not least > -np.inf:
        raise UsageError("all rows are asked for", expected="k, or a least similarity")
    if k is not None and k < 1:
        raise UsageError("no neighbours asked for", expected="k of 1 or more", seen=str(k))
    if np.isnan(least):
        raise UsageError("the least similarity is no number")
    if metric not in {"ip", "cosine"}:
        raise UsageError("an unknown metric", expected="ip or cosine")
    if threads < 1:
        raise UsageError("nobody to compute", expected="threads of 1 or more", seen=str(threads))


def _exact(seeds: NDArray[Any]) -> NDArray[np.float32]:
    if seeds.ndim != 2 or seeds.dtype not in (np.float16, np.float32) or not 0 < seeds.shape[1] <= MOST_COLUMNS:
        raise DatasetError(
            "seeds of another type or shape",
            expected=f"float16 or float32 (s, d) with d of 1 to {MOST_COLUMNS}",
            seen=f"{seeds.dtype} with {seeds.ndim} axes",
        )
    exact = np.ascontiguousarray(seeds, np.float32)
    if not np.isfinite(exact).all():
        # Which seed it is stays unsaid: their number is a finding.
        raise DatasetError("a seed holds NaN or infinity", expected="finite embeddings")
    return exact


def _centre(blocks: Sequence[VectorBlock], dimension: int) -> NDArray[np.float32]:
    """Of the first rows there are; any would do, and the better it is the faster."""
    for block in blocks:
        if block.rows:
            first = np.empty((min(block.rows, _CHUNK_ROWS), dimension), block.dtype)
            with block.open() as fill:
                fill(first)
            return centre_of(first)
    return np.zeros(dimension, np.float32)


def _nothing() -> Hits:
    return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)


def _first_chunks(blocks: Sequence[VectorBlock], chunk: int, most: int) -> Iterator[NDArray[Any]]:
    """The first rows there are, at most so many, as `Rows.take` wants them."""
    for block in blocks:
        rows = min(block.rows, most)
        most -= rows
        if not rows:
            continue
        with block.open() as fill:
            for start in range(0, rows, chunk):
                vectors = np.empty((min(chunk, rows - start), block.dimension), block.dtype)
                fill(vectors)
                yield _bits(vectors)


def _bits(vectors: NDArray[Any]) -> NDArray[Any]:
    return vectors.view(np.uint16) if vectors.dtype == np.float16 else vectors


class _Pass:
    """One pass by several workers, who tell each other what no row needs to be looked at for any more."""

    def __init__(self, question: Question, firsts: NDArray[np.int64], threads: int) -> None:
        seeds = question.seeds
        self.chunk = min(_CHUNK_ROWS, max(1, _CHUNK_VALUES // seeds.exact.shape[1]))
        self.kept = [Kept(question) for _ in range(threads)]
        self.counts = np.zeros((threads, len(firsts) - 1, 3), np.int64)
        self._question, self._firsts = question, firsts
        self._floor = np.full(len(seeds.exact), question.least)
        self._lock = threading.Lock()

    def look_ahead(self, blocks: Sequence[VectorBlock]) -> None:
        """Learn from the first rows below what no row is one of the k best, without ranking any of them."""
        rows = min(_AHEAD, int(self._firsts[-1]) // _AHEAD_SHARE)
        if self._question.counts or rows < 2 * self._question.k or not self._question.k:
            return
        floors = Floors(self._question)
        room = Rows.room(self.chunk, self._question.seeds.exact.shape[1])
        for chunk in _first_chunks(blocks, self.chunk, rows):
            room.take(chunk, self._question.seeds)
            floors.take(len(chunk), room)
        self._floor = floors.floor

    def worker(self, number: int) -> Any:
        """What the thread of this number does."""

        def work(pieces: Iterator[Piece]) -> None:
            rows, kept = Rows.room(self.chunk, self._question.seeds.exact.shape[1]), self.kept[number]
            for piece in pieces:
                vectors = _bits(piece.vectors)
                needed = self._question.needed(self._floor)
                for start in range(0, len(vectors), self.chunk):
                    chunk = vectors[start : start + self.chunk]
                    self.counts[number, piece.block] += rows.take(chunk, self._question.seeds)
                    kept.take(chunk, rows, int(self._firsts[piece.block]) + piece.start + start, needed)
                self._share(kept)

        return work

    def _share(self, kept: Kept) -> None:
        if not self._question.counts and self._question.k:
            with self._lock:
                np.maximum(self._floor, kept.floor, out=self._floor)
