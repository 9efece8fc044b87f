"""Atomic commit: write to a temporary name, fsync, rename, fsync the folder.

A reader sees the old content or the new one, never a part. What a killed run leaves behind has the suffix
`.partial` and is ignored by every reader; the next run of the same request clears it.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vetset.model.errors import OutputError

PARTIAL = ".partial"


def _failed(path: Path, error: OSError) -> OutputError:
    # The errno text only: str(error) may repeat a file name of the dataset.
    return OutputError(
        f"writing failed ({error.strerror or type(error).__name__})",
        where=path.name,
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
        OutputError: the disk is full or the place cannot be written; nothing is left at `path`.
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
def atomic_file(path: Path, *, mode: int = 0o600) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on leaving without error it becomes `path`, durably.

    Raises:
        OutputError: the disk is full or the place cannot be written; nothing is left at `path`.
    """
    temporary = temporary_beside(path)
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        yield temporary
        commit(temporary, path)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a whole file, durably and at once.

    Raises:
        OutputError: the disk is full or the place cannot be written; nothing is left at `path`.
    """
    with atomic_file(path, mode=mode) as temporary:
        temporary.write_bytes(data)


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner may enter (0700), parents included.

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


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that becomes `path` when everything in it was written.

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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        building.mkdir()
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


def clear_partials(folder: Path) -> None:
    """Remove what a killed run left half-written in a folder (not below it)."""
    for path in folder.glob(f"*{PARTIAL}"):
        path.unlink(missing_ok=True)
