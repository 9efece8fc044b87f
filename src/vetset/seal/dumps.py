"""No core dump of a process that holds what was decrypted: a dump would write it to a disk, in the clear.

A limit of 0 keeps the kernel from writing a file. Where dumps are piped to a program instead, that limit is passed
over; so the process also says of itself that it must not be dumped (Linux, prctl(2): PR_SET_DUMPABLE), which keeps
other processes of the same user from its memory as well. Processes that it starts inherit the limit alone.
"""

import ctypes
import os
import resource
import sys

from vetset.model.errors import SealError

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Switch core dumps of this process off, for as long as it lives.

    Raises:
        SealError: the system refuses.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise SealError(
                f"core dumps of this process cannot be switched off ({os.strerror(ctypes.get_errno())})",
                todo="Run where prctl(PR_SET_DUMPABLE) is allowed.",
            )
