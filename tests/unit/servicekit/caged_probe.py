"""What test_cage.py runs in a cage: does what it is asked to, and says what became of it."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence

import pyseccomp

from homeward.servicekit.cage import OUT_OF_MEMORY, CageDoor, locked_in
from homeward.servicekit.fork_server import serve_forks


def attempt(act: Callable[[], object]) -> str:
    try:
        return f"done: {act()}"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def system_call(call: str | int, *arguments: int) -> int:
    """Make a call that Python has no name for; arguments may be no addresses."""
    number = (
        pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call) if isinstance(call, str) else call
    )
    answer = LIBC.syscall(number, *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), "")
    return int(answer)


def command(number: int, argument: int | bytes) -> object:
    return fcntl.fcntl(CHANNEL, number, argument)


def control(number: int) -> object:
    return fcntl.ioctl(CHANNEL, number, struct.pack("i", os.getppid()))


def limit_parent() -> None:
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))


def limits_of_parent() -> tuple[int, int]:
    return resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)


def allow_itself_more(pid: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.prlimit(pid, resource.RLIMIT_CPU, (hard, hard))


def spin() -> None:
    while True:
        pass


def work(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def spin_and_ignore() -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    spin()


def spin_and_talk(door: CageDoor) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXCPU])
    while True:
        work(0.01)
        door.send("still here")


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
    os.write(CHANNEL, b"\x00\x00\x00\xffhalf")
    time.sleep(60)


def endless_message() -> None:
    os.write(CHANNEL, b"\x7f\xff\xff\xff")
    time.sleep(60)


CHANNEL = -1
"""The socket to the service."""

OPEN = os.memfd_create("open before it is locked in")
LIBC = ctypes.CDLL(None, use_errno=True)
SETXATTRAT = 463

ASKED, ANSWERED, EARLIER = threading.Event(), threading.Event(), list[str]()

ATTEMPTS: dict[str, Callable[[], object]] = {
    "open a file to read": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "open a file to write": lambda: os.open("/tmp/caged", os.O_WRONLY | os.O_CREAT),
    "make a folder": lambda: os.mkdir("/tmp/caged"),  # noqa: PTH102 - the call itself
    "open a socket": lambda: socket.socket(socket.AF_INET),
    "open a local socket": lambda: socket.socket(socket.AF_UNIX),
    "start a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "become a program": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "end its parent": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "limit its parent": limit_parent,
    "read the limits of its parent": limits_of_parent,
    "limit itself": lambda: resource.prlimit(0, resource.RLIMIT_NOFILE, (32, 32)),
    "allow itself more": lambda: allow_itself_more(0),
    "allow itself more by its number": lambda: allow_itself_more(os.getpid()),
    "allow itself more by the older call": lambda: system_call("setrlimit", 0, 0),
    "read its own limits": lambda: resource.getrlimit(resource.RLIMIT_NOFILE),
    "name an owner of its socket": lambda: command(fcntl.F_SETOWN, os.getppid()),
    "name an owner by kind": lambda: command(15, struct.pack("ii", 1, os.getppid())),
    "name a signal for its socket": lambda: command(10, signal.SIGKILL),
    "name an owner by ioctl": lambda: control(0x8901),
    "name a group by ioctl": lambda: control(0x8902),
    "be signalled by ioctl": lambda: control(0x5452),
    "bind its parent to a processor": lambda: os.sched_setaffinity(os.getppid(), {0}),
    "schedule its parent": lambda: os.sched_setscheduler(
        os.getppid(), os.SCHED_BATCH, os.sched_param(0)
    ),
    "set how its parent is scheduled": lambda: os.sched_setparam(os.getppid(), os.sched_param(0)),
    "set all of how its parent is scheduled": lambda: system_call(
        "sched_setattr", os.getppid(), 0, 0
    ),
    "slow its parent down": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
    "slow the disk of its parent down": lambda: system_call("ioprio_set", 1, os.getppid(), 0),
    "mark a file": lambda: os.setxattr("/tmp", "user.cage", b""),
    "mark a link": lambda: os.setxattr("/tmp", "user.cage", b"", follow_symlinks=False),
    "take a mark off a file": lambda: os.removexattr("/tmp", "user.cage"),
    "date a file": lambda: os.utime("/tmp"),
    "date a file by name": lambda: system_call("utimes", 0, 0),
    "date a file in a folder": lambda: system_call("futimesat", 0, 0, 0),
    "open /dev/null to nobody": lambda: os.fchmod(0, 0o666),
    "make a call that is newer than the filter": lambda: system_call(SETXATTRAT, -1, 0, 0, 0, 0, 0),
    "have an open file grow": lambda: os.ftruncate(OPEN, 1),
    "make a file in memory": lambda: os.memfd_create("more"),
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
    "spin and ignore the signal": lambda _: spin_and_ignore(),
    "spin and talk": spin_and_talk,
    "work": lambda door: (work(0.8), door.send("done")),
    "sleep": lambda _: time.sleep(60),
    "say so and sleep": lambda door: (door.send("sleeping"), time.sleep(60)),
    "crash": lambda _: ctypes.string_at(0),
    "abort": lambda _: os.abort(),
    "end": lambda _: sys.exit(3),
    "answer nonsense": lambda door: door.send({"no": "text"}),
    "answer no message": lambda _: os.write(CHANNEL, b"\x00\x00\x00\x01\xc1"),
    "answer half a message": lambda _: half_a_message(),
    "answer without end": lambda _: endless_message(),
    "write shared": write_shared,
    "calls forbidden": lambda door: door.send(str(door.calls_forbidden)),
}


def main() -> None:
    serve_forks(int(sys.argv[1]), serve)


def serve(arguments: Sequence[int], fds: Sequence[int]) -> None:
    global CHANNEL  # noqa: PLW0603 - a number that is known only here
    CHANNEL = fds[0]
    threading.Thread(target=wait_and_open, daemon=True).start()
    door = locked_in(arguments, fds)
    while True:
        task = door.receive(str)
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
