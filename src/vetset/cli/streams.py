"""Both streams of a command: a result that cannot be printed is an error, a remark that cannot be printed is lost.

Python writes what it still holds when the process ends, and fails without words there. So what is printed is written
while there is somebody who can say that it was not.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

from vetset.model.errors import OutputError


class _Results:
    """Standard output, which once refused stays so; all but writing is the stream's own.

    Args:
        stream: what is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._refusal: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write some text.

        Raises:
            OutputError: it cannot be written.
        """
        self._tried(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what waits.

        Raises:
            OutputError: it cannot be written.
        """
        self._tried(self._stream.flush)

    def _tried(self, step: Callable[[], object]) -> None:
        if self._refusal is None:
            try:
                step()
            except OSError as error:
                self._refusal = error
                _let_go(self._stream)
        if self._refusal is not None:
            self._refused(self._refusal)

    def _refused(self, error: OSError) -> None:
        raise OutputError(
            f"what the command has to say cannot be written ({error.strerror or type(error).__name__})",
            where="standard output",
            todo="What it did otherwise is done. Run the same command with its output going somewhere else.",
        ) from None


class _Remarks(_Results):
    """Standard error: what nobody reads must not end a run that goes on for days."""

    def _refused(self, error: OSError) -> None:
        del error


def _let_go(stream: TextIO) -> None:
    """Let what still waits in a stream go nowhere, so that it does not fail once more when Python ends."""
    with suppress(OSError, ValueError):
        handle = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, handle)
        os.close(nowhere)


def _keep_numbers() -> None:
    """Open nowhere in the place of streams that were closed, here and in workers.

    A file of the store would get their numbers otherwise, and what a library has to say would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one


@contextmanager
def both() -> Iterator[None]:
    """Print through these streams. A name that is no text of the stream's encoding is printed escaped.

    A stream that was closed before the command began, which Python calls None, goes nowhere.
    """
    _keep_numbers()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  what every system calls so
        out: Any = _Results(sys.stdout or nowhere)
        err: Any = _Remarks(sys.stderr or nowhere)
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        with redirect_stdout(out), redirect_stderr(err):
            yield
