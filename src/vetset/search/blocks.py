"""Arrays as blocks of vectors, and blocks handed out in pieces: one thread reads, others work on what it read."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vetset.model.errors import AlignmentError, DatasetError
from vetset.model.vectors import VECTOR_TYPES, Fill, VectorBlock

_SPARE = 2
"""Pieces that are read ahead of those that are worked on."""


@dataclass(frozen=True, slots=True)
class ArrayBlock:
    """An array in memory as a `VectorBlock`.

    Attributes:
        where: what it is called in errors.
        array: float16, float32 or int8 (n, d).
    """

    where: str
    array: NDArray[Any]

    @property
    def rows(self) -> int:
        """Of the array."""
        return len(self.array)

    @property
    def dimension(self) -> int:
        """Of the array."""
        return int(self.array.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return self.array.dtype

    @contextmanager
    def open(self) -> Iterator[Fill]:
        """See `VectorBlock.open`."""
        start = 0

        def fill(out: NDArray[Any]) -> None:
            nonlocal start
            np.copyto(out, self.array[start : start + len(out)])
            start += len(out)

        yield fill

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """See `VectorBlock.take`."""
        return np.asarray(self.array[rows])


def as_blocks(sources: Sequence[VectorBlock | NDArray[Any]], dimension: int) -> list[VectorBlock]:
    """Sources as blocks, their types and dimensions checked before anything of them is read.

    Raises:
        AlignmentError: another dimension than expected; the block is named.
        DatasetError: an array of another type or shape.
    """
    blocks: list[VectorBlock] = []
    for number, source in enumerate(sources):
        if isinstance(source, np.ndarray):
            if source.ndim != 2 or source.dtype not in VECTOR_TYPES:
                raise DatasetError(
                    "an array of another type or shape than vectors have",
                    expected="float16, float32 or int8 (rows, dimension)",
                    seen=f"{source.dtype.name} with {source.ndim} axes",
                    where=f"block {number}",
                )
            block: VectorBlock = ArrayBlock(f"block {number}", source)
        else:
            block = source
        if block.dimension != dimension:
            raise AlignmentError(
                "vectors of another dimension than the seeds'",
                expected=f"{dimension}",
                seen=f"{block.dimension}",
                where=block.where,
                todo="Use the embeddings of one model for seeds and blocks.",
            )
        blocks.append(block)
    return blocks


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one block that were read together.

    Attributes:
        block: number of the block.
        start: its first row in the block.
        vectors: (n, d), of the block's type.
    """

    block: int
    start: int
    vectors: NDArray[Any]


def each_piece(
    blocks: Sequence[VectorBlock],
    rows: int,
    workers: Sequence[Callable[[Iterator[Piece]], None]],
    passed: Callable[[int], None] | None = None,
) -> None:
    """Read all blocks in order, in pieces of at most so many rows, and let workers share the pieces.

    Every worker runs in a thread of its own and is given an iterator; a piece is its own until it asks for the next.
    Whatever the reader or a worker raises ends the pass and is raised here. `passed` hears the number of each block
    that was read to its end, in the thread that reads.
    """
    feed = _Feed(blocks, rows, len(workers), passed)
    with ThreadPoolExecutor(len(workers) + 1, "vetset-nearest") as pool:
        running = [pool.submit(feed.read), *(pool.submit(feed.work, worker) for worker in workers)]
        try:
            for task in running:
                task.result()
        finally:
            feed.stop()


class _Feed:
    """Pieces on their way from the one who reads to those who work, and their room on its way back."""

    def __init__(
        self, blocks: Sequence[VectorBlock], rows: int, workers: int, passed: Callable[[int], None] | None
    ) -> None:
        self._blocks, self._rows, self._workers, self._passed = blocks, rows, workers, passed
        self._free: queue.SimpleQueue[NDArray[np.uint8]] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[Piece, NDArray[np.uint8]] | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        width = max((block.dimension * block.dtype.itemsize for block in blocks), default=0)
        for _ in range(workers + _SPARE):
            self._free.put(np.empty(rows * width, np.uint8))

    def stop(self) -> None:
        """Nobody goes on after the piece in hand."""
        self._stopped.set()
        self._free.put(np.empty(0, np.uint8))

    def read(self) -> None:
        """What the reading thread does."""
        try:
            for number, block in enumerate(self._blocks):
                with block.open() as fill:
                    for start in range(0, block.rows, self._rows):
                        room = self._free.get()
                        if self._stopped.is_set():
                            return
                        shape = min(self._rows, block.rows - start), block.dimension
                        vectors = room[: shape[0] * shape[1] * block.dtype.itemsize].view(block.dtype).reshape(shape)
                        fill(vectors)
                        self._full.put((Piece(number, start, vectors), room))
                if self._passed is not None:
                    self._passed(number)
        finally:
            for _ in range(self._workers):
                self._full.put(None)

    def work(self, worker: Callable[[Iterator[Piece]], None]) -> None:
        """What a working thread does."""
        try:
            worker(self._pieces())
        except BaseException:
            self.stop()
            raise

    def _pieces(self) -> Iterator[Piece]:
        while (read := self._full.get()) is not None and not self._stopped.is_set():
            yield read[0]
            self._free.put(read[1])
