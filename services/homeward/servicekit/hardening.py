"""What a process that sees faces must not leave behind when it dies."""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def forbid_dumps() -> None:
    """Make this process leave no core dump: the memory of a scan holds strangers' faces.

    On Linux the process is marked as not dumpable too, because a system that pipes dumps to a
    program does not ask for the size limit.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
