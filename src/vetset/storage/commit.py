"""Atomic commit: write to a temporary name, fsync, rename, fsync the folder.

A reader sees the old content or the new one, never a part. What a killed run leaves behind has the suffix
`.partial` and is ignored by every reader; the next run of the same request clears it.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from vetset.model.errors import OutputError, UsageError

PARTIAL = ".partial"
_TOKEN = re.compile(r"\.[0-9a-f]{8}\.partial")


def _failed(path: Path, error: OSError) -> OutputError:
    # The errno text only: str(error) may repeat a file name of the dataset.
    return OutputError(
        f"writing failed ({error.strerror or type(error).__name__})",
        where=str(path),
        todo="Nothing was half-written. Free space or mend the permissions there, then run the same command.",
    )


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def temporary_beside(path: Path) -> Path:
    """A name in the same folder that every reader ignores."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def commit(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its name, durably.

    Raises:
        OutputError: the disk is full or the place cannot be written; `path` is as it was before (or, where only making
            the rename durable failed, whole and new).
    """
    try:
        handle = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _failed(path, error) from error


@contextmanager
def temporary_file(path: Path, *, mode: int = 0o600) -> Iterator[Path]:
    """Yield an empty file beside `path` under a temporary name; on leaving it is gone, unless `commit` gave it another.

    Raises:
        OutputError: the disk is full or the place cannot be written.
    """
    temporary = temporary_beside(path)
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    except OSError as error:
        raise _failed(path, error) from error
    try:
        yield temporary
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o600) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on leaving without error it becomes `path`, durably.

    Raises:
        OutputError: the disk is full or the place cannot be written; what was at `path` is still there.
    """
    with temporary_file(path, mode=mode) as temporary:
        yield temporary
        commit(temporary, path)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a whole file, durably and at once.

    Raises:
        OutputError: the disk is full or the place cannot be written; what was at `path` is still there.
    """
    with atomic_file(path, mode=mode) as temporary:
        temporary.write_bytes(data)


def write_all(file: FileIO, data: bytes | memoryview) -> None:
    """Write all of it to an unbuffered file, which by itself may take less.

    Raises:
        OSError: the disk is full.
    """
    left = memoryview(data).cast("B")
    while left:
        left = left[file.write(left) :]


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner may enter (0700), and its parents as the umask says.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _failed(path, error) from error
    return path


def is_vacant(path: Path) -> bool:
    """Whether an output folder may be filled: it is absent, or an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def is_unbegun(path: Path) -> bool:
    """Whether nothing but what a killed run left half-written lies there: absent, empty, or only partial files."""
    return not path.exists() or (path.is_dir() and all(entry.name.endswith(PARTIAL) for entry in path.iterdir()))


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that becomes `path` when everything in it was written.

    What a killed run left of the same folder is removed first, unless that run is still alive.

    Raises:
        OutputError: `path` holds something already, or writing failed.
    """
    if not is_vacant(path):
        raise OutputError(
            "the output place is taken",
            expected="a path that does not exist, or an empty folder",
            where=str(path),
            todo="Name another one; vetset does not overwrite.",
        )
    building = temporary_beside(path)
    lock = -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(path)
        building.mkdir()
        lock = _locked(building)
        yield building
        for folder, _, names in os.walk(building):
            for name in names:
                handle = os.open(Path(folder, name), os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
            sync_folder(Path(folder))
        building.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only run that writes into a folder.

    Raises:
        UsageError: another run is at work there.
        OutputError: the folder cannot be opened.
    """
    try:
        lock = _locked(folder)
    except OSError as error:
        raise _failed(folder, error) from error
    if lock < 0:
        raise UsageError(
            "another run is at work in this folder", where=str(folder), todo="Wait for it, or name another folder."
        )
    try:
        yield
    finally:
        os.close(lock)


def _locked(folder: Path) -> int:
    """A handle whose lock says that somebody is at work in this folder; -1 if somebody else is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return -1
    return handle


def _clear_abandoned(path: Path) -> None:
    """Remove half-written folders of this name whose run is gone: a lock dies with its process."""
    for entry in path.parent.iterdir():
        if entry.name.startswith(path.name) and _TOKEN.fullmatch(entry.name, len(path.name)) and entry.is_dir():
            handle = _locked(entry)
            if handle >= 0:
                shutil.rmtree(entry, ignore_errors=True)
                os.close(handle)


def clear_partials(folder: Path) -> None:
    """Remove the files that a killed run left half-written in a folder (not below it)."""
    for path in folder.glob(f"*{PARTIAL}"):
        if not path.is_dir():
            path.unlink(missing_ok=True)
