"""Looking at a place that somebody named: what may not be looked at, or can be no name, is told and is no crash.

`Path.exists` and its like answer for what is not there, and raise for a folder on the way that may not be entered, or
for a name that is too long.
"""

import errno
import os
import stat
from pathlib import Path

from vetset.model.errors import VetsetError

_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_TODO = "Check its name, and that you may enter every folder on the way to it."


def refused(path: Path, error: OSError, kind: type[VetsetError]) -> VetsetError:
    """The error about a place that cannot be looked at, in the system's words and with the path as it was given."""
    problem = f"the place cannot be looked at ({error.strerror or type(error).__name__})"
    return kind(problem, where=str(path), todo=_TODO)


def state_at(path: Path, kind: type[VetsetError]) -> os.stat_result | None:
    """What the system says of what lies at a path; None where nothing does.

    Args:
        path: as it was given.
        kind: the error, where it cannot be told whether anything lies there.

    Raises:
        VetsetError: of this kind.
    """
    try:
        return path.stat()
    except OSError as error:
        if error.errno in _NOTHING:
            return None
        raise refused(path, error, kind) from None


def is_file_at(path: Path, kind: type[VetsetError]) -> bool:
    """Whether a regular file lies at a path; raises as `state_at`."""
    state = state_at(path, kind)
    return state is not None and stat.S_ISREG(state.st_mode)


def is_folder_at(path: Path, kind: type[VetsetError]) -> bool:
    """Whether a folder lies at a path; raises as `state_at`."""
    state = state_at(path, kind)
    return state is not None and stat.S_ISDIR(state.st_mode)


def resolved(path: Path, kind: type[VetsetError]) -> Path:
    """A path as an absolute one without links, whether or not anything lies there.

    Args:
        path: as it was given.
        kind: the error, where there is no such path.

    Raises:
        VetsetError: of this kind; the links go round in a circle, or the working folder is gone.
    """
    try:
        return path.resolve()
    except OSError as error:
        raise refused(path, error, kind) from None
    except RuntimeError:
        raise refused(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)), kind) from None
