"""Runs a command that cannot outlive its supervisor: `python -m homeward.embedded.child`.

On Linux the kernel kills the command when the supervisor ends, however it ends. Elsewhere this
process stays between the two and watches a pipe that closes with the supervisor. Imports little: it
runs before every child.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_SUPERVISOR_IS_GONE = 1


def wrap(command: Sequence[str], *, supervisor: int, pipe: int) -> list[str]:
    """Return the command line that runs `command` under the supervisor's care.

    Args:
        command: Program and arguments.
        supervisor: Its process id, which must be the new process's parent.
        pipe: Descriptor of the reading end of a pipe that only the supervisor can write to.
    """
    module = [sys.executable, "-P", "-m", "homeward.embedded.child"]
    return [*module, str(supervisor), str(pipe), *command]


def main(arguments: Sequence[str]) -> NoReturn:
    """Become, or run, the command."""
    supervisor, pipe, command = int(arguments[0]), int(arguments[1]), list(arguments[2:])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold faces
    os.umask(0o077)
    if sys.platform == "linux":
        os.close(pipe)
        _become(command, supervisor)
    _watch(command, pipe)


def _become(command: list[str], supervisor: int) -> NoReturn:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have ended before the kernel was told to tell us.
    if os.getppid() != supervisor:
        sys.exit(_SUPERVISOR_IS_GONE)
    os.execvp(command[0], command)  # noqa: S606 - the point of this module


def _watch(command: list[str], pipe: int) -> NoReturn:
    child = subprocess.Popen(command)  # noqa: S603 - the supervisor's own list

    def forward(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    def kill_with_supervisor() -> None:
        os.read(pipe, 1)  # answers when the writing end is closed
        child.kill()

    signal.signal(signal.SIGTERM, forward)
    threading.Thread(target=kill_with_supervisor, daemon=True).start()
    status = child.wait()
    if status < 0:  # end as it ended
        with suppress(OSError):  # SIGKILL's effect is fixed
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
