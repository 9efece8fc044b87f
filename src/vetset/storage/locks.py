"""Locks that die with their process, and what holds on a file system that has none.

There nobody is told of another run, and nothing is removed that may be another's. Everything else goes on: whoever
keeps such a file system sees to it that runs come one after the other.
"""

import errno
import fcntl
from enum import Enum, auto

_WITHOUT_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})


class Held(Enum):
    """Whose a lock is."""

    OURS = auto()
    ANOTHERS = auto()
    NOBODYS = auto()
    """The file system has no locks."""


def lock(handle: int, how: int) -> Held:
    """Lock what a handle was opened on, as `fcntl.flock` does.

    Args:
        handle: of a file or folder.
        how: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`, with `fcntl.LOCK_NB` where nobody waits for another.

    Raises:
        OSError: it cannot be locked for another reason.
    """
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return Held.ANOTHERS
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        return Held.NOBODYS
    return Held.OURS
