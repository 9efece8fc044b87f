"""Atomic commit: write to a temporary name, fsync, rename, fsync the folder.

A reader sees the old content or the new one, never a part. What a killed run leaves behind has the suffix
`.partial` and is ignored by every reader; the next run of the same request clears it.
"""

import fcntl
import glob
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from vetset.model.errors import OutputError, UsageError
from vetset.storage.locks import Held, lock
from vetset.storage.looking import refused, state_at

PARTIAL = ".partial"
_TOKEN = re.compile(r"\.[0-9a-f]{8}\.partial")
_TRIES = 8
"""How often a new folder is begun: each time another run may take it for an abandoned one before it is locked."""


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


def _entries(path: Path) -> list[str] | None:
    """Names of what lies in an output folder, none where nothing is there; None where that is no folder.

    Raises:
        OutputError: it cannot be looked at.
    """
    if state_at(path, OutputError) is None:
        return []
    try:
        return [entry.name for entry in path.iterdir()]
    except NotADirectoryError:
        return None
    except OSError as error:
        raise refused(path, error, OutputError) from None


def is_vacant(path: Path) -> bool:
    """Whether an output folder may be filled: it is absent, or an empty folder.

    Raises:
        OutputError: it cannot be looked at.
    """
    return _entries(path) == []


def _require_vacant(path: Path) -> None:
    if not is_vacant(path):
        raise OutputError(
            "the output place is taken",
            expected="a path that does not exist, or an empty folder",
            where=str(path),
            todo="Name another one; vetset does not overwrite.",
        )


def is_unbegun(path: Path) -> bool:
    """Whether nothing but what a killed run left half-written lies there: absent, empty, or only partial files.

    Raises:
        OutputError: it cannot be looked at.
    """
    entries = _entries(path)
    return entries is not None and all(name.endswith(PARTIAL) for name in entries)


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that becomes `path` when everything in it was written.

    It and all that is in it are for their owner only. What a killed run left of the same folder is removed first,
    unless that run is still alive.

    Raises:
        OutputError: `path` holds something already, or writing failed.
    """
    _require_vacant(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(path)
        building, handle = _begun(path)
    except OSError as error:
        raise _failed(path, error) from error
    try:
        yield building
        _settle(building)
        if not _is_of(building, handle):
            raise _taken_away(path)
        _require_vacant(path)  # still: another run for the same place may have ended first
        building.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
        os.close(handle)


def _begun(path: Path) -> tuple[Path, int]:
    """A new folder beside a path, and the handle whose lock keeps other runs from clearing it away.

    Between being made and being locked it looks abandoned: one that another run took is begun again.

    Raises:
        OSError: it cannot be made or locked.
        OutputError: others took it every time.
    """
    for _ in range(_TRIES):
        building = temporary_beside(path)
        building.mkdir(mode=0o700)
        try:
            handle, held = _locked(building)
        except FileNotFoundError:
            continue
        except OSError:
            building.rmdir()
            raise
        if held is not Held.ANOTHERS and _is_of(building, handle):
            return building, handle
        os.close(handle)
    raise _taken_away(path)


def _is_of(path: Path, handle: int) -> bool:
    """Whether what lies at a path now is what the handle was opened on."""
    state = state_at(path, OutputError)
    return state is not None and os.path.samestat(state, os.fstat(handle))


def _taken_away(path: Path) -> OutputError:
    return OutputError(
        "the new folder was taken away while it was made",
        expected="one run at a time for this place",
        where=str(path),
        todo="Nothing was half-written. See that no other run writes there, then run the same command.",
    )


def _settle(building: Path) -> None:
    """Make what lies in a new folder durable, and its owner's only."""
    for folder, _, names in os.walk(building):
        for name in names:
            handle = os.open(Path(folder, name), os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fchmod(handle, 0o600)
                os.fsync(handle)
            finally:
                os.close(handle)
        Path(folder).chmod(0o700)
        sync_folder(Path(folder))


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only run that writes into a folder; where the file system has no locks, that cannot be told.

    Raises:
        UsageError: another run is at work there.
        OutputError: the folder cannot be opened.
    """
    try:
        handle, held = _locked(folder)
    except OSError as error:
        raise _failed(folder, error) from error
    try:
        if held is Held.ANOTHERS:
            raise UsageError(
                "another run is at work in this folder", where=str(folder), todo="Wait for it, or name another folder."
            )
        yield
    finally:
        os.close(handle)


def _locked(folder: Path) -> tuple[int, Held]:
    """A handle whose lock says that somebody is at work in this folder, and whose the lock is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return handle, lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise


def _clear_abandoned(path: Path) -> None:
    """Remove half-written folders of this name whose run is gone: a lock dies with its process.

    One that may not be looked at is another's, and one that is gone by now was finished: both are left alone.
    """
    for entry in path.parent.iterdir():
        if entry.name.startswith(path.name) and _TOKEN.fullmatch(entry.name, len(path.name)):
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                handle, held = _locked(entry)
                if held is Held.OURS:
                    shutil.rmtree(entry, ignore_errors=True)
                os.close(handle)


def clear_partials(folder: Path, of: str = "") -> None:
    """Remove the files that a killed run left half-written in a folder (not below it).

    What may not be removed stays, as in a folder of somebody else's: every reader ignores it.

    Args:
        folder: where they lie.
        of: name of the one file whose leavings are meant; empty for those of all.
    """
    with suppress(OSError):
        for path in folder.glob(f"{glob.escape(of)}.*{PARTIAL}" if of else f"*{PARTIAL}"):
            with suppress(OSError):
                path.unlink()
