"""Bytes from afar: tried again with back-off, read ahead within a bound, or read in exact ranges.

Every answer is held against the version that was seen first; bytes of two versions of an object are never mixed.
"""

import errno
import io
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from blake3 import blake3
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from vetset.storage.remote import Backend, ChangedError, Remote, RemoteError, Seen, TransientError

T = TypeVar("T")

BLOCK = 8 << 20
"""Bytes of one request of a pass."""
AHEAD = 3
"""Blocks that are on their way or waiting while one is used: a pass holds at most (AHEAD + 1) × BLOCK = 32 MiB."""
NEAR = 1 << 18
"""Bytes that are fetched at least where a file is read here and there; doubled as long as reading goes forward."""
MAX_EXTENT = 4 << 30
"""Bytes that one read may ask for: a chunk of a column, or a table beside a tar."""
TOGETHER = 8
"""Small objects that are on their way at once."""
MAX_TOGETHER = 32 << 20
"""Bytes that they may have together; one alone may have more."""
ATTEMPTS = 5
FIRST_WAIT = 0.5
LONGEST_WAIT = 20.0


def retrying() -> Retrying:
    """Tries five times, with random waits that grow from half a second; only what may pass is tried again."""
    return Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        retry=retry_if_exception_type(TransientError),
        reraise=True,
    )


def _lost() -> TransientError:
    return TransientError(errno.EIO, "the connection ended before the object did")


def fetched(place: Remote, start: int, end: int) -> bytes:
    """The bytes [start, end) of an object, by one request at a time.

    Raises:
        OSError: they cannot be had.
    """
    if start == end:
        return b""

    def once() -> bytes:
        data = place.backend.fetch(place, place.require(), start, end)
        if len(data) != end - start:
            raise _lost()
        return data

    return retrying()(once)


class _OneAnswer:
    """One pass over an object by one long answer, asked for again from where it broke off."""

    def __init__(self, backend: Backend, place: Remote, seen: Seen, start: int, end: int) -> None:
        self._backend = backend
        self._place = place
        self._seen = seen
        self._position = start
        self._end = end
        self._pieces: Iterator[bytes] | None = None
        self._rest = b""

    def block(self) -> bytes:
        """The next `BLOCK` bytes; fewer at the end, none behind it."""
        held = bytearray()
        want = min(BLOCK, self._end - self._position)
        return bytes(retrying()(partial(self._fill, held, want))) if want else b""

    def _fill(self, held: bytearray, want: int) -> bytearray:
        try:
            while len(held) < want:
                if self._pieces is None:
                    self._pieces = self._backend.begin(self._place, self._seen, self._position)
                piece = self._rest or next(self._pieces, b"")
                if not piece:
                    raise _lost()
                taken = piece[: want - len(held)]
                self._rest = piece[len(taken) :]
                held += taken
                self._position += len(taken)
        except OSError:
            self._pieces, self._rest = None, b""
            raise
        return held


class Ahead(io.RawIOBase):
    """One pass over an object, or over one stretch of it, the next blocks being fetched while one is used.

    Args:
        place: the object.
        ahead: how many blocks are fetched ahead; 0 fetches a block when it is asked for.
        start: where the pass begins.
        end: where it ends; None for the end of the object.
    """

    def __init__(self, place: Remote, ahead: int | None = None, *, start: int = 0, end: int | None = None) -> None:
        super().__init__()
        seen = place.require()
        ahead = AHEAD if ahead is None else ahead
        self.size = seen.size
        last = seen.size if end is None else min(end, seen.size)
        cuts = range(start, last, BLOCK)
        streams = place.backend.streams
        if streams:
            answer = _OneAnswer(place.backend, place, seen, start, last)
            jobs: Iterator[Callable[[], bytes]] = (answer.block for _ in cuts)
        else:
            jobs = (partial(fetched, place, cut, min(cut + BLOCK, last)) for cut in cuts)
        self._jobs = jobs
        self._depth = ahead
        # One answer is read by one thread; ranges may be asked for side by side.
        self._pool = ThreadPoolExecutor(1 if streams else max(1, ahead), "vetset-ahead")
        self._waiting: deque[Future[bytes]] = deque()
        self._block = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def _next_block(self) -> bytes:
        while len(self._waiting) <= self._depth and (job := next(self._jobs, None)) is not None:
            self._waiting.append(self._pool.submit(job))
        return self._waiting.popleft().result() if self._waiting else b""

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """As many bytes as there are at hand; 0 at the end."""
        if not len(self._block):
            self._block = memoryview(b"")  # let go of before the next one is waited for
            self._block = memoryview(self._next_block())
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def close(self) -> None:
        """Ask for no more; requests on their way are waited for."""
        if not self.closed:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._block = memoryview(b"")
        super().close()


class Ranged(io.RawIOBase):
    """An object that is read here and there.

    Each thread has a position of its own: Arrow seeks and reads from several at once.

    Args:
        place: the object.
        exact: fetch precisely what is asked for and keep a digest of it (for tables, whose readers know what they
            need); otherwise small reads share a request.
    """

    def __init__(self, place: Remote, *, exact: bool = False) -> None:
        super().__init__()
        self.size = place.require().size
        self._place = place
        self._exact = exact
        self._local = threading.local()
        self._held: tuple[int, bytes] = (0, b"")
        self._step = NEAR

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where this thread reads next."""
        return int(getattr(self._local, "position", 0))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Where this thread reads next: from the beginning, from here, or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self.size}[whence]
        self._local.position = max(0, base + offset)
        return self.tell()

    def read(self, count: int | None = -1) -> bytes:
        """The next `count` bytes, fewer only at the end; all that are left if it is negative."""
        start = min(self.tell(), self.size)
        end = self.size if count is None or count < 0 else min(self.size, start + count)
        data = self._in_parts(start, end) if self._exact else self._shared(start, end)
        self._local.position = end
        return data

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """The next bytes, as many as fit."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """All that are left."""
        return self.read(-1)

    def _in_parts(self, start: int, end: int) -> bytes:
        if end - start > MAX_EXTENT:
            raise RemoteError(errno.EFBIG, f"more than {MAX_EXTENT} bytes would be held at once")
        cuts = range(start, end, BLOCK)
        if len(cuts) <= 1:
            data = fetched(self._place, start, end)
        else:
            with ThreadPoolExecutor(AHEAD, "vetset-range") as pool:
                pieces = pool.map(lambda cut: fetched(self._place, cut, min(cut + BLOCK, end)), cuts)
                data = b"".join(pieces)
        if self._exact and start < end:
            self._place.digests[start, end] = blake3(data).digest()
        return data

    def _shared(self, start: int, end: int) -> bytes:
        first, held = self._held
        last = first + len(held)
        if first <= start and end <= last:
            return held[start - first : end - first]
        forward = first <= start <= last + self._step
        self._step = min(2 * self._step, BLOCK) if forward else NEAR
        if end - start >= self._step:
            return self._in_parts(start, end)
        held = self._in_parts(start, min(start + self._step, self.size))
        self._held = (start, held)
        return held[: end - start]


def together(jobs: Iterable[tuple[int, Callable[[], T]]]) -> Iterator[T]:
    """Results of many small reads in their order, some of them being made ahead.

    Args:
        jobs: how many bytes each will hold, and the read.
    """
    waiting: deque[tuple[int, Future[T]]] = deque()
    pool = ThreadPoolExecutor(TOGETHER, "vetset-together")
    try:
        held = 0
        for size, job in jobs:
            while waiting and (len(waiting) >= TOGETHER or held + size > MAX_TOGETHER):
                done, future = waiting.popleft()
                held -= done
                yield future.result()
            waiting.append((size, pool.submit(job)))
            held += size
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def require_unchanged(place: Remote) -> None:
    """Look again, where the store itself does not refuse to hand out another version.

    Raises:
        ChangedError: the object is not the one that was opened.
    """
    if not place.backend.conditional and retrying()(partial(place.backend.stat, place)) != place.seen:
        raise ChangedError
