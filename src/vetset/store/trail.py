"""Which record of a shard a worker has in hand, in a file that outlives the worker.

A few numbers in a memory-mapped file of the store: writing one costs a tenth of a microsecond, and once written the
system keeps it, whatever ends the process. The file says nothing but a row number, is there while its shard is being
scanned, and stays only where that was cut off. One worker has it at a time: of two runs over one shard the second waits
until the first is done with it, or has died, and a death is told of the record that was in hand.
"""

import fcntl
import mmap
import os
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from vetset.model.errors import OutputError
from vetset.storage.commit import private_folder
from vetset.storage.locks import lock

_CELLS = 5
_ROW, _FIRST, _LAST, _ALONE, _TRIES = range(_CELLS)
"""Record in hand; first and last record of those that the model has; record that is tried alone; how often. Rows are
counted from 1 here, so that 0 is none."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """What a worker had in hand when it ended.

    Attributes:
        first: row of the first record.
        last: row of the last one; the same, unless several were given to the model together.
        embedding: whether the model had them.
    """

    first: int
    last: int
    embedding: bool


def _suspect(cells: "Sequence[int] | memoryview[int] | _Written") -> Suspect | None:
    row, first, last = (cells[cell] - 1 for cell in (_ROW, _FIRST, _LAST))
    if first >= 0:
        return Suspect(first, max(first, last), embedding=True)
    return Suspect(row, row, embedding=False) if row >= 0 else None


def suspect_at(path: Path) -> Suspect | None:
    """What was in hand when this file was left behind, if there is one."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return _suspect(struct.unpack(f"{_CELLS}q", data)) if len(data) == _CELLS * 8 else None


class _Written:
    """Cells of a file on a file system that maps none into memory: slower, and as durable."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __getitem__(self, cell: int) -> int:
        return int.from_bytes(os.pread(self._handle, 8, cell * 8), sys.byteorder, signed=True)

    def __setitem__(self, cell: int, value: int) -> None:
        os.pwrite(self._handle, value.to_bytes(8, sys.byteorder, signed=True), cell * 8)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _opened_alone(path: Path) -> int:
    """A handle on what lies there, once nobody else has it: what another removed meanwhile is made anew."""
    while True:
        handle = _opened(path)
        try:
            lock(handle, fcntl.LOCK_EX)
            if os.path.samestat(path.stat(), os.fstat(handle)):
                return handle
        except FileNotFoundError:
            pass
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


class Trail:
    """One file. Whoever leaves it as a context by an ordinary way, errors included, removes it.

    Args:
        path: where it lies; made if it is not there.
        alone: whether to wait until nobody else has it. A trial does not: who started it has it.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, *, alone: bool = True) -> None:
        self._path = path
        private_folder(path.parent)
        size = _CELLS * 8
        try:
            self._handle = _opened_alone(path) if alone else _opened(path)
            if os.fstat(self._handle).st_size != size:
                os.ftruncate(self._handle, 0)
                os.pwrite(self._handle, bytes(size), 0)  # written, not only made so long: a full disk says so now
        except OSError as error:
            raise OutputError(
                "the store cannot be written", where=str(path.parent), todo="Free space, then go on."
            ) from error
        self._cells: memoryview[int] | _Written
        try:
            self._cells = memoryview(mmap.mmap(self._handle, size)).cast("q")
        except OSError:
            self._cells = _Written(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)  # first: once it is let go of, it may be another's
        self.close()

    def close(self) -> None:
        """Let go of the file, which stays."""
        if isinstance(self._cells, memoryview):
            self._cells.release()
        os.close(self._handle)

    def begin(self, row: int) -> None:
        """This record is in hand."""
        self._cells[_ROW] = row + 1

    def end(self) -> None:
        """No record is in hand."""
        self._cells[_ROW] = 0

    def begin_embedding(self, first: int, last: int) -> None:
        """The model has these records."""
        self._cells[_LAST] = last + 1
        self._cells[_FIRST] = first + 1

    def end_embedding(self) -> None:
        """The model has none."""
        self._cells[_FIRST] = 0

    @property
    def suspect(self) -> Suspect | None:
        """What was in hand when this file was left behind."""
        return _suspect(self._cells)

    @property
    def alone(self) -> int | None:
        """Row of the record that is tried alone, or at which that came to its end."""
        row = self._cells[_ALONE] - 1
        return row if row >= 0 else None

    def begin_alone(self, row: int) -> None:
        """This record is tried alone."""
        self._cells[_ALONE] = row + 1

    def end_alone(self) -> None:
        """No record is tried alone."""
        self._cells[_ALONE] = 0

    def try_again(self) -> int:
        """Count a trial of a suspect; returns how many there were before."""
        before: int = self._cells[_TRIES]
        self._cells[_TRIES] = before + 1
        return before

    def clear(self) -> None:
        """Nothing is in hand, nobody is suspect."""
        for cell in (_TRIES, _ALONE, _FIRST, _ROW):
            self._cells[cell] = 0
