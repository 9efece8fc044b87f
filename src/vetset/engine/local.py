"""Processes on this machine. A worker that dies costs the item it held, not the run.

Python's pool forgets which item killed a worker and gives up every other one. Here at most as many items are in flight
as there are workers; when the pool breaks, those few run again one at a time in a pool of their own, and the item that
breaks that one is the culprit. A worker whose parent was killed ends itself: Python's pool would leave it waiting for
work for ever.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_end
from typing import Any

from vetset.engine.outcome import Done, Failed, Item, Result
from vetset.model.errors import EngineError, VetsetError


def _attempt(task: Callable[[Item], Result], index: int, item: Item) -> Done[Result] | Failed:
    try:
        return Done(index, task(item))
    except VetsetError as error:
        return Failed(index, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001  reported as an outcome: nothing is swallowed
        return _foreign(index, error)


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


def _quiet_worker() -> None:
    """One thread a worker, since the engine owns the cores; and no life after the parent's."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
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
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = len(os.sched_getaffinity(0)) if workers is None else workers
        if self.workers < 0:
            raise EngineError("the number of workers is negative", expected="0 or more", seen=str(workers))

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
        return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_quiet_worker)

    def _until_broken(
        self, task: Callable[[Item], Result], items: Sequence[Item], waiting: list[int]
    ) -> Generator[Done[Result] | Failed, None, list[int]]:
        """Work through `waiting` (from its end) until it is empty or a worker dies; return the items in flight then."""
        running: dict[Future[Done[Result] | Failed], int] = {}
        with self._pool(min(self.workers, len(waiting))) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < self.workers:
                        running[_submitted(pool, _attempt, task, waiting[-1], items[waiting[-1]])] = waiting[-1]
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
        with self._pool(1) as pool:
            try:
                return _outcome(_submitted(pool, _attempt, task, index, item), index)
            except BrokenProcessPool:
                return Failed(
                    index, EngineError("a worker died at this item", todo="Look at the machine's memory first.")
                )


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
