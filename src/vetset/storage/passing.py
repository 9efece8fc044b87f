"""A private folder for what only one process needs, gone when that process is, whatever ended it.

A killed process cannot clean up. So a second one, which knows nothing but the folder's name, waits for the first to end
and removes what it left. Only who stops both at once (a machine that loses power) leaves something: in a folder that
nobody else may enter.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vetset.model.errors import OutputError

PREFIX = "vetset-"
_WATCH = """
import os, shutil, sys, time
os.read(0, 1)
for _ in range(100):
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if not os.path.exists(sys.argv[1]):
        break
    time.sleep(0.1)
"""
"""Reads from a pipe that nobody writes to: it ends with the process that holds the other end. Workers of that process
may live and write a moment longer, so it looks again."""


@contextmanager
def passing_folder(below: Path | None = None) -> Iterator[Path]:
    """Yield a new folder (0700); it is removed on leaving, and if this process dies.

    Args:
        below: where it is made; the place for temporary files if not given.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=below))
    except OSError as error:
        raise OutputError(
            f"no temporary folder can be made ({error.strerror or type(error).__name__})",
            todo="Free space, or name another place with TMPDIR.",
        ) from None
    try:
        with _watching(folder):
            # leaving closes the pipe and waits for the other process, which removes the folder
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _watching(folder: Path) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603  this Python, these few lines
            [sys.executable, "-I", "-S", "-c", _WATCH, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt from the keyboard is for the first process alone
        )
    except OSError as error:
        raise OutputError(f"a process cannot be started ({error.strerror or type(error).__name__})") from None
