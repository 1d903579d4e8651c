"""Processes under limits, for bytes that come from outside.

A decoder reads files that anybody may have made. It runs in a cage: a process with bounds on its
memory, processor time and open files, which can open no file, start no program and reach no
network. A file that crashes, exhausts or takes over a decoder ends its cage, and nothing else.

A decoder that was taken over can still raise its own bound of processor time, and ignore the signal
that comes with it: the bound of each task is a soft one, as a cage may have many. It then uses one
processor until the service closes its cage.

A cage ends with its service, however that ends.

The service and the cage talk over a socket pair, in messages of declared types: nothing that comes
out of a cage is unpickled. Pictures come out through memory that both have mapped; it has no name
in any file system, and is gone with the last of the two processes.
"""

from __future__ import annotations

import ctypes
import errno
import math
import mmap
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from homeward.servicekit.hardening import forbid_dumps

_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""What a cage gets of the service's environment: none of its secrets."""

_ONE_TASK = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Threads that nobody uses, and memory set aside for each, count as address space: with many
processors the limit would be reached by those alone."""

_PR_SET_NO_NEW_PRIVS = 38
_CLONE_THREAD = 0x00010000

FORBIDDEN_CALLS = (
    # No network, by whichever call.
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "io_uring_setup"),
    # No other program, no other process; `clone` for threads alone, see `forbid_calls`.
    *("execve", "execveat", "fork", "vfork", "kill", "tkill", "ptrace", "pidfd_open"),
    *("process_vm_readv", "process_vm_writev", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("pidfd_send_signal", "shmget", "shmat", "msgget", "semget", "mq_open"),
    # No memory or message that is found by its number.
    *("shmctl", "msgctl", "msgsnd", "msgrcv", "semctl", "semop", "semtimedop"),
    # No change to how another process runs; its limits are `prlimit64`, see `forbid_calls`.
    *("setpriority", "ioprio_set", "sched_setaffinity", "sched_setscheduler", "sched_setparam"),
    *("sched_setattr", "migrate_pages", "move_pages", "process_madvise", "process_mrelease"),
    "pidfd_getfd",
    # No file by name: what a cage needs is open before it is locked.
    *(
        "open",
        "openat",
        "openat2",
        "creat",
        "unlink",
        "unlinkat",
        "rename",
        "renameat",
        "renameat2",
    ),
    *(
        "mkdir",
        "mkdirat",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
        "truncate",
        "chmod",
        "fchmodat",
    ),
    *("rmdir", "mknod", "mknodat", "chown", "lchown", "fchownat", "open_by_handle_at"),
    *("setxattr", "lsetxattr", "removexattr", "lremovexattr"),
    *("utime", "utimes", "futimesat", "utimensat"),
    # Nor of one that is open: `/dev/null` is, and is everybody's.
    *("fchmod", "fchown", "fsetxattr", "fremovexattr"),
    # No way around all this.
    *("mount", "unshare", "setns", "chroot", "bpf", "keyctl", "add_key", "userfaultfd"),
    *("fsopen", "open_tree", "move_mount", "perf_event_open", "request_key"),
)
"""System calls that fail with EPERM in a cage."""

_NEW_CALLS = range(451, 512)
"""Numbers of system calls that are newer than Linux 6.4: what they do is not known here, or is not
needed, as `fchmodat2` and `setxattrat`. They fail with ENOSYS, as in an older system. All
processors have the same numbers for them."""

_FCNTL_OWNER = (8, 10, 15)
"""F_SETOWN, F_SETSIG and F_SETOWN_EX: which signal what process gets for a file."""

_IOCTL_OWNER = (0x8901, 0x8902, 0x5452, 0x5412)
"""FIOSETOWN, SIOCSPGRP and FIOASYNC, which are the same by another call; TIOCSTI, which types."""

_COMMAND = 0xFFFF_FFFF
"""The kernel looks at these bits of a command alone."""

START_SECONDS = 60.0
"""Wall time until a cage is locked in; without other work it takes one."""


@dataclass(frozen=True, slots=True)
class CageLimits:
    """What a cage may use."""

    memory_bytes: int
    """Address space, shared memory included."""
    cpu_seconds: int
    """Processor time for one task."""
    silence_seconds: float
    """Wall time without a message while the service waits for one."""
    open_files: int = 64
    message_bytes: int = 64 * 1024 * 1024
    """Most bytes of one message, or of the bytes after it, that the service takes from it."""


class Breakage(Enum):
    """How a cage broke."""

    CRASH = auto()
    MEMORY = auto()
    """It ran into its own bound."""
    PROCESSOR_TIME = auto()
    SILENCE = auto()
    KILLED = auto()
    """From outside: as a rule by a system short of memory, which may be no fault of the file."""
    ANSWER = auto()
    """It was no message, or one of impossible values."""


class CageBrokenError(Exception):
    """A cage ended, or was ended, before it had answered.

    Args:
        cause: What happened, in words that follow "decoding was ended: ": "its decoder crashed".
        breakage: The same for a program.
    """

    def __init__(self, cause: str, breakage: Breakage = Breakage.CRASH) -> None:
        super().__init__(cause)
        self.cause = cause
        self.breakage = breakage


class CageNotStartedError(Exception):
    """A cage was not ready for its first task, which is no fault of any file's.

    No `CageBrokenError`: for the caller a service is unavailable.
    """


class Ready(msgspec.Struct, tag=True):
    """The first message of each cage: it is locked in."""

    calls_forbidden: bool
    """As `CageDoor.calls_forbidden`."""


class Cage:
    """The service's end of a cage. For one thread at a time.

    The first use of a cage waits until it is ready; that may raise `CageNotStartedError`.

    Args:
        module: Runs in the cage; its main calls `locked_in`.
        limits: What it may use.
        shared_bytes: Size of the memory that both ends have mapped; its pages are taken only when
            something is written to them.

    Raises:
        CageNotStartedError: The system starts no process.
    """

    def __init__(self, module: str, limits: CageLimits, *, shared_bytes: int = 0) -> None:
        self._module = module
        self._limits = limits
        self._ready: Ready | None = None
        self._broken_by: CageBrokenError | None = None
        ours, theirs = socket.socketpair()
        memory = os.memfd_create("cage") if shared_bytes else -1
        try:
            if shared_bytes:
                os.ftruncate(memory, shared_bytes)
            self.shared: mmap.mmap | None = (
                mmap.mmap(memory, shared_bytes) if shared_bytes else None
            )
            """What both ends have mapped."""
            numbers = [theirs.fileno(), memory, shared_bytes, limits.memory_bytes]
            numbers += [limits.cpu_seconds, limits.open_files]
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", module, *map(str, numbers)],
                pass_fds=[fd for fd in (theirs.fileno(), memory) if fd >= 0],
                env={
                    **{name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                    **_ONE_TASK,
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C is for the service, which ends its cages when it has answered.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            message = f"the caged process {module} did not start: {error.strerror}"
            raise CageNotStartedError(message) from error
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            if memory >= 0:
                os.close(memory)
        # A cage that reads nothing, or stops within a message, must not hold its service up.
        seconds = struct.pack("ll", math.ceil(limits.silence_seconds), 0)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        self._connection = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """Of the caged process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def calls_forbidden(self) -> bool:
        """Whether the system refuses it `FORBIDDEN_CALLS`, or the limits stand alone.

        Raises:
            CageNotStartedError: As `ready`.
        """
        return self._started().calls_forbidden

    def ready(self) -> None:
        """Wait until it is locked in; return at once if it has been.

        Raises:
            CageNotStartedError: It ended before, or took longer than `START_SECONDS`.
        """
        self._started()

    def _started(self) -> Ready:
        if self._ready is None:
            try:
                ready: Ready = self._decoded(self._next(START_SECONDS), Ready)
            except CageBrokenError as error:
                message = f"the caged process {self._module} did not start: {error.cause}"
                raise CageNotStartedError(message) from error
            self._ready = ready
        return self._ready

    def send(self, message: object, payload: bytes | None = None) -> None:
        """Send a message, and bytes after it.

        Raises:
            CageBrokenError: It has ended, or takes nothing for `silence_seconds`.
            CageNotStartedError: As `ready`.
        """
        self.send_bytes(msgspec.msgpack.encode(message))
        if payload is not None:
            self.send_bytes(payload)

    def send_bytes(self, data: bytes | memoryview) -> None:
        """Send the bytes that follow a message; raises as `send`."""
        self.ready()
        try:
            self._connection.send_bytes(data)
        except BlockingIOError as error:
            raise self._silent(self._limits.silence_seconds) from error
        except OSError as error:
            raise self._broken() from error

    def receive(self, kind: Any) -> Any:  # noqa: ANN401 - as msgspec's own decode has it
        """Return the next message, of a declared type.

        Raises:
            CageBrokenError: It has ended, says nothing for `silence_seconds`, or what it says is no
                such message.
            CageNotStartedError: As `ready`.
        """
        return self._decoded(self.receive_bytes(), kind)

    def receive_bytes(self) -> bytes:
        """Return the bytes that follow a message; raises as `receive`."""
        self.ready()
        return self._next(self._limits.silence_seconds)

    def refused(self) -> CageBrokenError:
        """End the process for an answer of impossible values; return the error to raise."""
        return self._ended("its decoder's answer made no sense", Breakage.ANSWER)

    def _decoded(self, data: bytes, kind: Any) -> Any:  # noqa: ANN401 - as `receive`
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except msgspec.DecodeError as error:
            raise self.refused() from error

    def _next(self, patience_seconds: float) -> bytes:
        try:
            if not self._connection.poll(patience_seconds):
                raise self._silent(patience_seconds)
            return self._connection.recv_bytes(self._limits.message_bytes)
        except BlockingIOError as error:
            raise self._silent(self._limits.silence_seconds) from error
        except (OSError, EOFError) as error:
            raise self._broken() from error

    def _silent(self, seconds: float) -> CageBrokenError:
        cause = f"nothing was heard of its decoder for {seconds:g} seconds"
        return self._ended(cause, Breakage.SILENCE)

    def _broken(self) -> CageBrokenError:
        """Return why the process has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        status = self._process.poll()
        if status is None:  # it has not: what it sends is longer than a message may be
            return self.refused()
        limits = self._limits
        causes = {
            -signal.SIGKILL: (
                "the system ended its decoder, as it does when memory is short",
                Breakage.KILLED,
            ),
            -signal.SIGXCPU: (
                f"its decoder used more than {limits.cpu_seconds} seconds of a processor",
                Breakage.PROCESSOR_TIME,
            ),
            OUT_OF_MEMORY: (
                f"its decoder needs more than {limits.memory_bytes / 2**30:.1f} GiB of memory",
                Breakage.MEMORY,
            ),
        }
        return self._ended(*causes.get(status, ("its decoder crashed", Breakage.CRASH)))

    def _ended(self, cause: str, breakage: Breakage) -> CageBrokenError:
        """End the process, and return why: what broke it first, however often it is asked."""
        self.close()
        if self._broken_by is None:
            self._broken_by = CageBrokenError(cause, breakage)
        return CageBrokenError(self._broken_by.cause, self._broken_by.breakage)

    def close(self) -> None:
        """End the process, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._connection.close()
        if self.shared is not None:
            with suppress(BufferError):  # a picture of it is still held: freed with that
                self.shared.close()


OUT_OF_MEMORY = 77
"""Exit status of a cage that ran into its bound."""


class CageDoor:
    """The caged process's end: what its main reads tasks from and answers by."""

    def __init__(
        self,
        connection: Connection,
        shared: mmap.mmap | None,
        cpu_seconds: int,
        *,
        calls_forbidden: bool = False,
    ) -> None:
        self._connection = connection
        self._cpu_seconds = cpu_seconds
        self.shared = shared
        """What both ends have mapped."""
        self.calls_forbidden = calls_forbidden
        """Whether the system refuses `FORBIDDEN_CALLS`, or the limits stand alone."""

    def send(self, message: object, payload: bytes | memoryview | None = None) -> None:
        """Send a message, and bytes after it."""
        self.send_bytes(msgspec.msgpack.encode(message))
        if payload is not None:
            self.send_bytes(payload)

    def send_bytes(self, data: bytes | memoryview) -> None:
        """Send the bytes that follow a message; the process ends where the service has gone."""
        try:
            self._connection.send_bytes(data)
        except OSError:
            os._exit(0)

    def receive(self, kind: Any) -> Any:  # noqa: ANN401 - as msgspec's own decode has it
        """Wait for the next message; the process ends where the service has gone."""
        return msgspec.msgpack.decode(self.receive_bytes(), type=kind)

    def receive_bytes(self) -> bytes:
        """Wait for the bytes that follow a message."""
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            os._exit(0)

    def begin_task(self) -> None:
        """Allow the processor time of one more task."""
        used = time.process_time()
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + self._cpu_seconds + 1, hard))


def locked_in(arguments: Sequence[str]) -> CageDoor:
    """Lock this process in, and return the door.

    Call it after all imports: nothing can be opened afterwards.

    Args:
        arguments: Of the command line, as `Cage` wrote them.
    """
    channel, memory, shared_bytes, memory_bytes, cpu_seconds, open_files = map(int, arguments)
    threading.Thread(target=_end_with_service, args=[channel], name="service", daemon=True).start()
    forbid_dumps()
    shared = mmap.mmap(memory, shared_bytes) if shared_bytes else None
    if memory >= 0:
        os.close(memory)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    forbidden = forbid_calls()
    door = CageDoor(Connection(channel), shared, cpu_seconds, calls_forbidden=forbidden)
    door.begin_task()
    door.send(Ready(forbidden))
    return door


def _end_with_service(channel: int) -> None:
    """Wait until the service's end of the channel is closed, and end this process.

    In a thread, as the main one may be busy in a decoder for long; decoders release the GIL. One
    that does not is ended by its bound of processor time. The system's own
    PR_SET_PDEATHSIG would not do: it follows the thread that started the process, which may end
    long before the service.
    """
    watch = select.poll()
    watch.register(channel, 0)  # for a hang-up alone, which needs no asking
    watch.poll()
    os._exit(0)


def forbid_calls() -> bool:
    """Have the system refuse `FORBIDDEN_CALLS`, and others by their arguments; return if it does.

    Without libseccomp, or in a kernel without its filters, the limits alone remain: the process
    could then open files and sockets that its user may open. It has no secret in its environment.
    """
    try:
        import pyseccomp  # noqa: PLC0415 - raises where libseccomp is not installed
    except (ImportError, OSError, RuntimeError):
        return False
    calls = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    # For the threads that libraries have started too.
    calls.set_attr(pyseccomp.Attr.CTL_TSYNC, 1)
    for name in FORBIDDEN_CALLS:
        with suppress(OSError, ValueError):  # not of this processor
            calls.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    for number in _NEW_CALLS:
        calls.add_rule(pyseccomp.ERRNO(errno.ENOSYS), number)
    # A thread is a clone with this flag. The flags of clone3 are out of a filter's sight: libraries
    # that are told that there is none take clone.
    no_thread = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "clone", no_thread)
    calls.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    # A signal to this process alone, which is how it aborts.
    other = pyseccomp.Arg(0, pyseccomp.NE, os.getpid())
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "tgkill", other)
    # The limits of others may be read; its own are process 0.
    other, changed = (pyseccomp.Arg(index, pyseccomp.NE, 0) for index in (0, 2))
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "prlimit64", other, changed)
    for name, commands in (("fcntl", _FCNTL_OWNER), ("ioctl", _IOCTL_OWNER)):
        for command in commands:
            same = pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _COMMAND, command)
            calls.add_rule(pyseccomp.ERRNO(errno.EPERM), name, same)
    try:
        calls.load()
    except OSError:
        return False
    return True
