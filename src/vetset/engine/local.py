"""Processes on this machine. A worker that dies costs the item it held, not the run.

Python's pool forgets which item killed a worker and gives up every other one. Here at most as many items are in flight
as there are workers; when the pool breaks, those few run again one at a time in a pool of their own, and the item that
breaks that one is the culprit. A worker whose parent was killed ends itself: Python's pool would leave it waiting for
work for ever.

A worker can be held to a time for each item and to an amount of memory. It ends itself when an item takes longer, by a
thread of C's own, since a decoder that hangs may never give Python its lock back; the item then runs once more, alone,
because a machine that was busy for a while looks the same.
"""

import faulthandler
import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_end
from typing import Any

from vetset.engine.outcome import Done, Failed, Item, Result
from vetset.model.errors import EngineError, VetsetError

_LONGEST, _LARGEST = 10**9, 1 << 62
"""Greatest limits that the system's own numbers hold: seconds, bytes."""


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


def _quiet_worker(memory: int | None = None) -> None:
    """One thread a worker, since the engine owns the cores; no more memory than allowed; no life after the parent's."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_end([parent.sentinel])
        os._exit(1)


def _started() -> None:
    """The task that any worker can do."""


class LocalEngine:
    """A pool of processes.

    Args:
        workers: number of processes; 0 runs tasks in this process, one after the other, without protection against a
            decoder that crashes.
        seconds: longest time for one item, the start of its worker not included; an item that takes longer is tried
            once more, alone, and fails then. None sets no limit: items are shards of any size on disks of any speed,
            so that only whoever knows both can choose one.
        memory: bytes of private memory that a worker may have, its libraries included (at least 512 MiB are sensible).
            None sets no limit: how much is there is known to the machine's owner, not here.

    Raises:
        EngineError: a number is out of range, or limits are given without a worker to hold to them.
    """

    def __init__(self, workers: int | None = None, *, seconds: float | None = None, memory: int | None = None) -> None:
        self.workers = len(os.sched_getaffinity(0)) if workers is None else workers
        self.seconds = seconds
        self.memory = memory
        if self.workers < 0:
            raise EngineError("the number of workers is negative", expected="0 or more", seen=str(workers))
        for what, limit, most in (("seconds", seconds, _LONGEST), ("memory", memory, _LARGEST)):
            if limit is not None and not 0 < limit <= most:
                raise EngineError(f"the limit on {what} is none", expected=f"above 0, at most {most}", seen=str(limit))
            if limit is not None and self.workers == 0:
                raise EngineError(
                    f"a limit on {what} needs workers", expected="1 or more", seen="0", todo="Leave out the limit."
                )

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Result] | Failed]:
        """Yield one outcome for each item as they come.

        Args:
            task: a function of module level.
            items: what to run it on.

        Raises:
            EngineError: workers cannot be started at all.
        """
        if self.workers == 0:
            for index, item in enumerate(items):
                yield _attempt(task, index, item)
            return
        waiting = list(range(len(items)))[::-1]
        while waiting:
            lost = yield from self._until_broken(task, items, waiting)
            if lost:
                self._require_workers()
            for index in lost:
                yield self._alone(task, index, items[index])

    def _pool(self, workers: int) -> ProcessPoolExecutor:
        # spawn: threads of NumPy or Arrow in the parent make a forked child unsafe
        return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _quiet_worker, (self.memory,))

    def _until_broken(
        self, task: Callable[[Item], Result], items: Sequence[Item], waiting: list[int]
    ) -> Generator[Done[Result] | Failed, None, list[int]]:
        """Work through `waiting` (from its end) until it is empty or a worker dies; return the items in flight then."""
        running: dict[Future[Done[Result] | Failed], int] = {}
        with self._pool(min(self.workers, len(waiting))) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < self.workers:
                        index = waiting[-1]
                        running[_submitted(pool, _attempt, task, index, items[index], self.seconds)] = index
                        waiting.pop()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        outcome = _outcome(future, running[future])
                        del running[future]
                        yield outcome
            except BrokenProcessPool:
                for future in [future for future in running if _survived(future)]:
                    yield _outcome(future, running.pop(future))
                return sorted(running.values())
        return []

    def _require_workers(self) -> None:
        """Tell a machine on which no worker starts from an item that kills its worker.

        Raises:
            EngineError: not even an empty task can be done.
        """
        with self._pool(1) as pool:
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
        with self._pool(1) as pool:
            try:
                return _outcome(_submitted(pool, _attempt, task, index, item, self.seconds), index)
            except BrokenProcessPool:
                took = time.monotonic() - began
        if self.seconds is not None and took >= self.seconds:
            return Failed(index, EngineError("an item took too long", expected=f"at most {self.seconds:g} seconds"))
        return Failed(index, EngineError("a worker died at this item", todo="Look at the machine's memory first."))


def _survived(future: Future[Any]) -> bool:
    """Whether a future of a broken pool came to an end before it broke."""
    return future.done() and not isinstance(future.exception(), BrokenProcessPool)


def _submitted(pool: ProcessPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """A task on its way to a worker, which may have to be started for it.

    Raises:
        EngineError: no process can be started.
        BrokenProcessPool: a worker died before.
    """
    try:
        return pool.submit(function, *arguments)
    except OSError as error:
        raise EngineError(
            f"workers cannot be started ({error.strerror or type(error).__name__})",
            todo="Look at the machine's memory and its limit on processes.",
        ) from error
