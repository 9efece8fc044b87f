"""Tasks for the engines, at module level so that they travel to a worker; each takes (what to do, a number)."""

import ctypes
import gc
import multiprocessing
import os
import re
import resource
import signal
import sys
import threading
import time
from pathlib import Path

from vetset.model.errors import DatasetError

ADDRESS = "https://private.example/never-in-an-outcome.jpg"


class Unpicklable:
    def __reduce__(self):
        raise TypeError(ADDRESS)


class PickledButNotBack:
    """Arrives in the parent as an error."""

    def __reduce__(self):
        return _refuse, ()


def _refuse():
    if multiprocessing.parent_process() is None:
        raise ValueError(ADDRESS)


def dumps(_):
    """Greatest size of a core dump of this process, and whether there may be one at all."""
    return resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)


def collector(_):
    """When this process looks for garbage."""
    return gc.get_threshold()


def square(number):
    return number * number


def perform(item):
    """Do what the item says."""
    deed, number = item
    return DEEDS[deed](number)


def _vetset_error(number):
    raise DatasetError("problem", expected="e", seen="s", where=f"shard {number}", todo="t")


def _foreign_error(number):
    raise ValueError(ADDRESS)


def _exit(number):
    sys.exit(0)


def _die(number):
    os._exit(number)


def _kill(number):
    os.kill(os.getpid(), signal.SIGKILL)


def _abort(number):
    os.abort()


def _hang(number):
    time.sleep(60)


def _hold_the_lock(number):
    """Hang as a decoder in C does, without giving Python's lock back: this pattern takes hours on this text."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def _swallow(number):
    """Ask for memory and write to it."""
    return len(bytearray(b"x") * number)


def _count_and_nap(path):
    """Leave a trace of having been run, and take a while."""
    with Path(path).open("a") as file:
        file.write("x")
    time.sleep(1)


DEEDS = {
    "count": _count_and_nap,
    "square": square,
    "vetset": _vetset_error,
    "foreign": _foreign_error,
    "exit": _exit,
    "die": _die,
    "kill": _kill,
    "abort": _abort,
    "unpicklable": lambda number: Unpicklable(),
    "lock": lambda number: threading.Lock(),
    "hang": _hang,
    "hold the lock": _hold_the_lock,
    "nap": time.sleep,
    "swallow": _swallow,
    "not back": lambda number: PickledButNotBack(),
}


def environment(name):
    return os.environ.get(name)


def note_and_sleep(path):
    """Write this process's id into a file, then work for a long time."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)
