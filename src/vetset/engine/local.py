"""Processes on this machine. A worker that dies costs the item it held, not the run.

Python's pool forgets which item killed a worker and gives up every other one. Here at most as many items are in flight
as there are workers; when the pool breaks, those few run again one at a time in a pool of their own, and the item that
breaks that one is the culprit.
"""

import multiprocessing
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from vetset.engine.outcome import Done, Failed, Item, Result
from vetset.model.errors import EngineError, VetsetError


def _attempt(task: Callable[[Item], Result], index: int, item: Item) -> Done[Result] | Failed:
    try:
        return Done(index, task(item))
    except VetsetError as error:
        return Failed(index, error)
    except Exception as error:  # noqa: BLE001  reported as an outcome, by class only: the text may hold data
        return Failed(index, EngineError(f"a task failed with {type(error).__name__}"))


def _quiet_worker() -> None:
    """One thread a worker: the engine owns the cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")


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
        """
        if self.workers == 0:
            for index, item in enumerate(items):
                yield _attempt(task, index, item)
            return
        waiting = list(range(len(items)))[::-1]
        while waiting:
            lost = yield from self._until_broken(task, items, waiting)
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
                        running[pool.submit(_attempt, task, waiting[-1], items[waiting[-1]])] = waiting[-1]
                        waiting.pop()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        outcome = future.result()
                        del running[future]
                        yield outcome
            except BrokenProcessPool:
                finished = [future for future in running if future.done() and future.exception() is None]
                for future in finished:
                    del running[future]
                    yield future.result()
                return sorted(running.values())
        return []

    def _alone(self, task: Callable[[Item], Result], index: int, item: Item) -> Done[Result] | Failed:
        with self._pool(1) as pool:
            try:
                return pool.submit(_attempt, task, index, item).result()
            except BrokenProcessPool:
                return Failed(
                    index, EngineError("a worker died at this item", todo="Look at the machine's memory first.")
                )
