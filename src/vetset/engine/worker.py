"""What a process is that works for an engine, and what a task may ask of it.

A task that goes through many steps, any of which may crash or hang in native code, can hold each of them to a time
(`begin_step`), and can try one of them in a process of its own (`apart`).

An interrupt from the keyboard reaches every process of the terminal's group. It ends a worker without a word, also one
that is still starting (`uninterrupted`); what is to be said of it, the parent says.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait as wait_for_end
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import TypeVar

from vetset.engine.collector import collect_rarely
from vetset.seal.dumps import forbid_core_dumps

Item = TypeVar("Item")

_IS_WORKER = threading.Event()
TOO_LONG = -signal.SIGALRM
"""Exit code of a process that ended since a step took too long."""
KILLED = -signal.SIGKILL
"""Exit code of a process that was killed: by somebody, or by a system that ran out of memory."""


class Worker(SpawnProcess):
    """A process that works for an engine. Spawned: threads of NumPy or Arrow make a forked child unsafe."""


class WorkerContext(SpawnContext):
    """Where a pool of Python's gets its processes."""

    Process = Worker


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Start workers within: an interrupt comes to them in `become_worker`, and to this thread when it is over.

    Python would tell an interrupt's place in a process that is not a worker yet, and leave half-started what the
    interrupted thread was about to start. The mask is inherited; the handler is for what another thread may take.
    """
    resource_tracker.ensure_running()  # lifts the mask if it has to be started
    handler, came = signal.getsignal(signal.SIGINT), threading.Event()
    held = callable(handler) and threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        if held:
            signal.signal(signal.SIGINT, lambda *_: came.set())
        yield
    finally:
        if held:
            signal.signal(signal.SIGINT, handler)
        if came.is_set():
            signal.raise_signal(signal.SIGINT)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_workers() -> None:
    """Kill every worker of this process, whatever it does: nobody wants that any more."""
    for process in multiprocessing.active_children():
        if isinstance(process, Worker):
            process.kill()


def become_worker() -> None:
    """Let this process be a worker: one thread, ended by a step that takes too long, no life after its parent's.

    It leaves no core dump: a decoder that crashes has the picture that made it crash in memory, and others.
    An interrupt ends it too, unless the parent was told to ignore them, as a job in the background is.
    """
    forbid_core_dumps()
    collect_rarely()
    # the engine owns the cores
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # what the parent does about alarms is inherited, and must not keep a step from ending
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM, signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _IS_WORKER.set()


def is_worker() -> bool:
    """Whether this process may die without harm to anything but its task."""
    return _IS_WORKER.is_set()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_end([parent.sentinel])
        os._exit(1)


def begin_step(seconds: float) -> None:
    """End this process, which must be a worker, unless `end_step` or another `begin_step` comes within this time.

    By an alarm of the system's, which needs nothing of Python: native code that hangs may hold Python's lock.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


def end_step() -> None:
    """The step came to its end."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def apart(task: Callable[[Item], None], item: Item) -> int:
    """Run a task in a process of its own, for which it is a worker, and wait for its end.

    Args:
        task: a function of module level.
        item: what to run it on; it must be picklable.

    Returns:
        The exit code: 0 if the task returned, negative for the signal that ended it, 1 if it raised.

    Raises:
        OSError: no process can be started.
    """
    process = Worker(target=_apart, args=(task, item), daemon=True)
    with uninterrupted():
        process.start()
    process.join()
    code = process.exitcode
    process.close()
    return 1 if code is None else code


def _apart(task: Callable[[Item], None], item: Item) -> None:
    become_worker()
    try:
        task(item)
    except Exception:  # noqa: BLE001  told by the exit code; Python would print it, and its text may hold data
        sys.exit(1)
