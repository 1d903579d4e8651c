"""What test_fork_server.py has forks of: each does what its first argument says."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from homeward.servicekit.fork_server import serve_forks

ANSWER, END, CRASH, SLEEP, RAISE = range(5)


def run(arguments: Sequence[int], fds: Sequence[int]) -> None:
    order, *more = arguments
    if order == ANSWER:
        os.write(fds[0], f"{os.getpid()} {os.getppid()} {more}".encode())
    elif order == END:
        sys.exit(more[0])
    elif order == CRASH:
        os.kill(os.getpid(), signal.SIGABRT)
    elif order == SLEEP:
        time.sleep(60)
    elif order == RAISE:
        raise ValueError("no such order")


if __name__ == "__main__":
    if "THREADED" in os.environ:
        threading.Thread(target=time.sleep, args=[60], daemon=True).start()
    serve_forks(int(sys.argv[1]), run)
