"""A file that goes by once, and is read here and there where it is just going by.

A parquet file of pictures is known by all its bytes, and its decoder asks for them by columns: what was fetched for the
one is kept for the other, within a bound. Within it each byte is read once, and what is decoded is what was digested;
beyond it a read is made apart, of the same open file or the same version of a remote one.
"""

import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vetset.dataset.arrow_stream import Update
from vetset.dataset.places import CHUNK, open_pass, readable
from vetset.model.errors import DatasetError
from vetset.storage.remote import Place, Remote

MOST_HELD = 128 << 20
"""Bytes of a file that are held, and how far ahead of its pass a read may lie; beyond that it is made apart."""


class Window:
    """What Arrow reads a file through that goes by; see `passing_by`.

    Args:
        raw: the file, at its beginning.
        size: its bytes.
        apart: gives bytes [start, end) of it, whatever has gone by.
        update: is given all bytes that go by, in order.
        where: the file, for errors.
    """

    closed = False

    def __init__(
        self, raw: io.RawIOBase, size: int, apart: Callable[[int, int], bytes], update: Update, where: str
    ) -> None:
        self._raw = raw
        self._size = size
        self._apart = apart
        self._update = update
        self._where = where
        self._position = 0
        self._held: deque[tuple[int, bytes]] = deque()
        self._passed = 0
        self._reached = 0
        self._begun = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Where is read next."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Where is read next."""
        return self._position

    def read(self, count: int = -1) -> bytes:
        """The next bytes, fewer only at the end.

        Raises:
            DatasetError: the file ended before they did.
        """
        start = min(self._position, self._size)
        end = min(self._size, start + count) if count >= 0 else self._size
        self._position = end
        if not self._begun or end - start > MOST_HELD or end - self._passed > MOST_HELD:
            return self._apart(start, end)
        self._pass_to(end)
        if start < (self._held[0][0] if self._held else self._passed):
            return self._apart(start, end)
        self._reached = max(self._reached, end)
        return b"".join(
            held[max(0, start - first) : end - first]
            for first, held in self._held
            if first < end and start < first + len(held)
        )

    def go_on(self) -> None:
        """The next stretch of the file is read now, the first one to begin with; what lies before it is forgotten.

        What is read before the first, a footer, is read apart.
        """
        self._begun = True
        self._forget(self._reached)

    def finish(self) -> None:
        """Let the rest of the file go by.

        Raises:
            DatasetError: it ended before its size says.
        """
        self._pass_to(self._size)

    def close(self) -> None:
        """Whoever opened the file closes it."""

    def _pass_to(self, end: int) -> None:
        while self._passed < end:
            data = self._raw.read(min(CHUNK, end - self._passed))
            if not data:
                raise DatasetError("the file became shorter while it was read", where=self._where, todo="Run again.")
            self._update(data)
            self._held.append((self._passed, data))
            self._passed += len(data)
            self._forget(self._passed - MOST_HELD)

    def _forget(self, before: int) -> None:
        while self._held and self._held[0][0] + len(self._held[0][1]) <= before:
            self._held.popleft()


@contextmanager
def passing_by(path: Place, where: str, update: Update) -> Iterator[Window]:
    """Open a file for one pass over all its bytes, during which it can be read here and there.

    Args:
        path: the file.
        where: its uri, for errors.
        update: is given all bytes that go by, in order.

    Raises:
        DatasetError: it cannot be opened or read, or changed meanwhile.
    """
    with readable(where), open_pass(path) as (raw, size), _apart(path, raw) as apart:
        yield Window(raw, size, apart, update, where)


@contextmanager
def _apart(path: Place, raw: io.RawIOBase) -> Iterator[Callable[[int, int], bytes]]:
    if isinstance(path, Remote):
        with path.open_ranged(exact=True) as (stream, _):

            def fetched(start: int, end: int) -> bytes:
                stream.seek(start)
                return stream.read(end - start)

            yield fetched
    else:
        yield lambda start, end: b"".join(_there(raw.fileno(), start, end))


def _there(handle: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes [start, end) of an open file, fewer only at its end; one call gives 2 GiB at most."""
    while start < end:
        data = os.pread(handle, end - start, start)
        if not data:
            return
        yield data
        start += len(data)
