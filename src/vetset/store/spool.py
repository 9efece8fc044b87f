"""Entries on their way through a file without a name, to be taken up again class by class.

So what is sorted or joined at once has a bound, whatever passes in all. The file lies where the store lies and is gone
with the process, whatever ends it.
"""

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vetset.model.errors import OutputError
from vetset.storage.commit import write_all


def spool_refused(error: OSError) -> OutputError:
    """The error about a spool file; its name is nobody's business."""
    return OutputError(
        f"the join of keys cannot be written down ({error.strerror or type(error).__name__})",
        where="the store",
        todo="Free space where the store lies (up to 72 bytes a record), then run the same command.",
    )


class Spool:
    """A file of entries of one type, told apart by class.

    Args:
        folder: where the file lies; None for the system's place for temporary files.
        dtype: of an entry.
        classes: how many classes there are.
        held: entries that are held before they are sorted by class and written.

    Raises:
        OutputError: the file cannot be made.
    """

    def __init__(self, folder: Path | None, dtype: np.dtype[Any], classes: int, held: int) -> None:
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  closed by `__exit__`
        except OSError as error:
            raise spool_refused(error) from None
        self._buffer = np.empty(held, dtype)
        self._classes = np.empty(held, np.int64)
        self._count = classes
        self._used = 0
        self._written = 0
        self._bounds: list[NDArray[np.int64]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, entries: NDArray[Any], classes: NDArray[np.int64]) -> None:
        """Add entries (n,) and the class of each, int64 (n,).

        Raises:
            OutputError: the disk is full.
        """
        start = 0
        while start < len(entries):
            count = min(len(entries) - start, len(self._buffer) - self._used)
            self._buffer[self._used : self._used + count] = entries[start : start + count]
            self._classes[self._used : self._used + count] = classes[start : start + count]
            self._used += count
            start += count
            if self._used == len(self._buffer):
                self._flush()

    def _flush(self) -> None:
        classes = self._classes[: self._used]
        order = np.argsort(classes, kind="stable")
        counts = np.bincount(classes, minlength=self._count)
        self._bounds.append(self._written + np.concatenate(([0], np.cumsum(counts))))
        try:
            write_all(self._file, self._buffer[: self._used][order].view(np.uint8).data)
        except OSError as error:
            raise spool_refused(error) from None
        self._written += self._used
        self._used = 0

    def of_class(self, number: int) -> NDArray[Any]:
        """All entries of one class, in the order in which they came.

        Raises:
            OutputError: the file cannot be read.
        """
        if self._used:
            self._flush()
        bounds = [(int(bounds[number]), int(bounds[number + 1])) for bounds in self._bounds]
        out = np.empty(sum(end - start for start, end in bounds), self._buffer.dtype)
        done = 0
        for start, end in bounds:
            view = memoryview(out[done : done + end - start].view(np.uint8))  # type: ignore[arg-type]  # a buffer
            offset = start * out.itemsize
            while view:
                try:
                    got = os.preadv(self._file.fileno(), [view], offset)
                except OSError as error:
                    raise spool_refused(error) from None
                if not got:
                    raise spool_refused(OSError(0, "it is shorter than it was written"))
                view, offset = view[got:], offset + got
            done += end - start
        return out
