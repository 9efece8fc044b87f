"""Processes on this machine. A worker that dies costs the item it held, not the run.

Python's pool forgets which item killed a worker and gives up every other one. Here every worker has a pool of its own,
so that a death is the death of one known item and disturbs no other. Such an item runs again when all others are done,
and at last alone. A worker whose parent was killed ends itself: Python's pool would leave it waiting for work for ever.

A worker can be held to a time for each item and to an amount of memory. It ends itself when an item takes longer, by a
thread of C's own, since a decoder that hangs may never give Python its lock back; the item then runs again, because a
machine that was busy for a while looks the same.
"""

import faulthandler
import os
import resource
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from vetset.engine.outcome import Done, Failed, Item, Result
from vetset.engine.worker import WorkerContext, become_worker, end_workers, uninterrupted
from vetset.model.errors import EngineError, UsageError, VetsetError
from vetset.seal.dumps import forbid_core_dumps

_LONGEST, _LARGEST = 10**9, 1 << 62
"""Greatest limits that the system's own numbers hold: seconds, bytes."""
_FILES, _FILES_OF_POOL = 256, 9
"""Files that are open for other things, and for a pool of one worker."""


def _attempt(
    task: Callable[[Item], Result], index: int, item: Item, seconds: float | None = None
) -> Done[Result] | Failed:
    try:
        if seconds is None:
            return Done(index, task(item))
        return Done(index, _in_time(task, item, seconds))
    except VetsetError as error:
        return Failed(index, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001  reported as an outcome: nothing is swallowed
        return _foreign(index, error)


def _in_time(task: Callable[[Item], Result], item: Item, seconds: float) -> Result:
    """What a task returns, unless it takes longer: then this process ends."""
    with open(os.devnull, "w", encoding="ascii") as nowhere:  # noqa: PTH123  a file number is needed, for the traces
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            return task(item)
        finally:
            faulthandler.cancel_dump_traceback_later()


def _foreign(index: int, error: BaseException) -> Failed:
    """The outcome of an error that is not vetset's own, by class only: its text may hold data."""
    return Failed(index, EngineError(f"a task failed with {type(error).__name__}"))


def _outcome(future: Future[Done[Result] | Failed], index: int) -> Done[Result] | Failed:
    """What became of an item; an item or a result that cannot travel between processes is a failure of its own.

    Raises:
        BrokenProcessPool: a worker died.
    """
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise error
    return future.result() if error is None else _foreign(index, error)


def _quiet_worker(memory: int | None) -> None:
    """No more memory than allowed, and what every worker is."""
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    become_worker()


def _allow_files(workers: int) -> None:
    """Let this process open the files that so many pools need, where its soft limit is what forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FILES + _FILES_OF_POOL * workers
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
        )


def _started() -> None:
    """The task that any worker can do."""


class _Pool(ProcessPoolExecutor):
    """A pool of one worker. An interrupt does not wait for what is in hand: a shard may take an hour."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            end_workers()
        return super().__exit__(kind, error, trace)


class LocalEngine:
    """A pool of processes.

    Args:
        workers: number of processes; 0 runs tasks in this process, one after the other, without protection against a
            decoder that crashes.
        seconds: longest time for one item, the start of its worker not included; an item that takes longer is tried
            again, at last alone, and fails then. None sets no limit: items are shards of any size on disks of any
            speed, so that only whoever knows both can choose one.
        memory: bytes of private memory that a worker may have, its libraries included (at least 512 MiB are sensible).
            None sets no limit: how much is there is known to the machine's owner, not here.

    Raises:
        UsageError: a number is out of range, or limits are given without a worker to hold to them.
    """

    def __init__(self, workers: int | None = None, *, seconds: float | None = None, memory: int | None = None) -> None:
        self.workers = len(os.sched_getaffinity(0)) if workers is None else workers
        self.seconds = seconds
        self.memory = memory
        self._proved = False
        """Whether a worker did anything since the last one died."""
        if self.workers < 0:
            raise UsageError("the number of workers is negative", expected="0 or more", seen=str(workers))
        for what, limit, most in (("seconds of an item", seconds, _LONGEST), ("memory of a worker", memory, _LARGEST)):
            if limit is not None and not 0 < limit <= most:
                expected = f"above 0, at most {most}; or no limit"
                raise UsageError(f"the limit on {what} is none", expected=expected, seen=str(limit))
            if limit is not None and self.workers == 0:
                raise UsageError(
                    f"a limit on {what} needs workers", expected="1 or more", seen="0", todo="Leave out the limit."
                )

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Result] | Failed]:
        """Yield one outcome for each item as they come.

        Args:
            task: a function of module level.
            items: what to run it on.

        Raises:
            EngineError: workers cannot be started at all.
            SealError: core dumps cannot be switched off, of this process and so of its workers.
        """
        forbid_core_dumps()  # here it would be told as a task of its own; without workers, pictures are decoded here
        if self.workers == 0:
            for index, item in enumerate(items):
                yield _attempt(task, index, item)
            return
        _allow_files(self.workers)
        lost = yield from self._together(task, items, range(len(items)))
        if len(lost) > 1:
            lost = yield from self._together(task, items, lost)  # one after the other would keep one worker busy
        for index in lost:
            yield self._alone(task, index, items[index])

    def _pool(self) -> _Pool:
        try:
            return _Pool(1, WorkerContext(), _quiet_worker, (self.memory,))
        except OSError as error:
            raise _refused(error) from error

    def _together(
        self, task: Callable[[Item], Result], items: Sequence[Item], indexes: Sequence[int]
    ) -> Generator[Done[Result] | Failed, None, list[int]]:
        """Run some items, as many at once as there are workers; return those whose worker died, sorted."""
        waiting, lost = list(indexes)[::-1], []
        running: dict[Future[Done[Result] | Failed], tuple[int, _Pool]] = {}
        with ExitStack() as pools:
            idle = [pools.enter_context(self._pool()) for _ in range(min(self.workers, len(waiting)))]
            while waiting or running:
                while waiting and idle:
                    pool, index = idle.pop(), waiting.pop()
                    running[_submitted(pool, _attempt, task, index, items[index], self.seconds)] = index, pool
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index, pool = running.pop(future)
                    try:
                        outcome = _outcome(future, index)
                    except BrokenProcessPool:
                        pool.shutdown()  # its files are open until then, and many workers may die
                        lost.append(index)
                        if not self._proved:
                            self._require_workers()
                        self._proved = False
                        idle.append(pools.enter_context(self._pool()))
                        continue
                    idle.append(pool)
                    self._proved = True
                    yield outcome
        return sorted(lost)

    def _require_workers(self) -> None:
        """Tell a machine on which no worker starts from an item that kills its worker.

        Raises:
            EngineError: not even an empty task can be done.
        """
        with self._pool() as pool:
            try:
                _submitted(pool, _started).result()
            except BrokenProcessPool as error:
                raise EngineError(
                    "workers cannot be started",
                    todo="In a script, call vetset below `if __name__ == '__main__':`. Otherwise look at the machine's "
                    "memory and its limit on processes.",
                ) from error

    def _alone(self, task: Callable[[Item], Result], index: int, item: Item) -> Done[Result] | Failed:
        began = time.monotonic()
        with self._pool() as pool:
            try:
                return _outcome(_submitted(pool, _attempt, task, index, item, self.seconds), index)
            except BrokenProcessPool:
                took = time.monotonic() - began
        if self.seconds is not None and took >= self.seconds:
            error = EngineError("an item took too long", expected=f"at most {self.seconds:g} seconds")
        else:
            error = EngineError("a worker died at this item", todo="Look at the machine's memory first.")
        return Failed(index, error, lost=True)


def _refused(error: OSError) -> EngineError:
    return EngineError(
        f"workers cannot be started ({error.strerror or type(error).__name__})",
        todo="Look at the machine's memory and its limits on processes and open files.",
    )


def _submitted(pool: _Pool, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """A task on its way to a worker, which may have to be started for it.

    Raises:
        EngineError: no process can be started.
    """
    try:
        with uninterrupted():
            return pool.submit(function, *arguments)
    except BrokenProcessPool as error:  # somebody ended a worker that had nothing to do
        broken: Future[Any] = Future()
        broken.set_exception(error)
        return broken
    except OSError as error:
        raise _refused(error) from error
