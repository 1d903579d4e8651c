"""What test_cage.py runs in a cage: does what it is asked to, and says what became of it."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from homeward.servicekit.cage import OUT_OF_MEMORY, CageDoor, locked_in


def attempt(act: Callable[[], object]) -> str:
    try:
        return f"done: {act()}"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def spin() -> None:
    while True:
        pass


def thread() -> str:
    said: list[str] = []
    one = threading.Thread(target=said.append, args=["ran"])
    one.start()
    one.join()
    return said[0]


def earlier_thread() -> str:
    ASKED.set()
    ANSWERED.wait()
    return EARLIER[0]


def wait_and_open() -> None:
    ASKED.wait()
    EARLIER.append(attempt(lambda: os.open("/etc/passwd", os.O_RDONLY)))
    ANSWERED.set()


def use_memory(door: CageDoor) -> None:
    try:
        bytearray(2**31)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    door.send("done")


def write_shared(door: CageDoor) -> None:
    assert door.shared is not None
    answer = bytes(door.shared[:4])
    door.shared[:4] = b"back"
    door.send("done", answer)


def half_a_message() -> None:
    os.write(int(sys.argv[1]), b"\x00\x00\x00\xffhalf")
    time.sleep(60)


def endless_message() -> None:
    os.write(int(sys.argv[1]), b"\x7f\xff\xff\xff")
    time.sleep(60)


ASKED, ANSWERED, EARLIER = threading.Event(), threading.Event(), list[str]()

ATTEMPTS: dict[str, Callable[[], object]] = {
    "open a file to read": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "open a file to write": lambda: os.open("/tmp/caged", os.O_WRONLY | os.O_CREAT),
    "make a folder": lambda: os.mkdir("/tmp/caged"),  # noqa: PTH102 - the call itself
    "open a socket": lambda: socket.socket(socket.AF_INET),
    "open a local socket": lambda: socket.socket(socket.AF_UNIX),
    "start a program": lambda: subprocess.run(["/bin/true"], check=False),
    "become a program": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "end its parent": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "have an open file grow": lambda: os.ftruncate(os.memfd_create("more"), 1),
}

ANSWERS: dict[str, Callable[[], object]] = {
    "dump size": lambda: str(resource.getrlimit(resource.RLIMIT_CORE)),
    "dumpable": lambda: str(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)),
    "environment": lambda: " ".join(sorted(os.environ)),
    "run a thread": thread,
    "open a file in an earlier thread": earlier_thread,
}

ACTS: dict[str, Callable[[CageDoor], object]] = {
    "use memory": use_memory,
    "spin": lambda _: spin(),
    "sleep": lambda _: time.sleep(60),
    "crash": lambda _: ctypes.string_at(0),
    "abort": lambda _: os.abort(),
    "end": lambda _: sys.exit(3),
    "answer nonsense": lambda door: door.send({"no": "text"}),
    "answer no message": lambda _: os.write(int(sys.argv[1]), b"\x00\x00\x00\x01\xc1"),
    "answer half a message": lambda _: half_a_message(),
    "answer without end": lambda _: endless_message(),
    "write shared": write_shared,
    "calls forbidden": lambda door: door.send(str(door.calls_forbidden)),
}


def main() -> None:
    threading.Thread(target=wait_and_open, daemon=True).start()
    door = locked_in(sys.argv[1:])
    while True:
        task = door.receive(str)
        door.begin_task()
        if task in ATTEMPTS:
            door.send(attempt(ATTEMPTS[task]))
        elif task in ANSWERS:
            door.send(ANSWERS[task]())
        elif task in ACTS:
            ACTS[task](door)
        else:
            time.sleep(60)  # reads nothing any more


if __name__ == "__main__":
    main()
