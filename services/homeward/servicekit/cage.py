"""Processes under limits, for bytes that come from outside.

A decoder reads files that anybody may have made. It runs in a cage: a process with bounds on its
memory, processor time and open files, which can open no file, start no program and reach no
network. A file that crashes, exhausts or takes over a decoder ends its cage, and nothing else.

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
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
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
    # No way around all this.
    *("mount", "unshare", "setns", "chroot", "bpf", "keyctl", "add_key", "userfaultfd"),
    *("fsopen", "open_tree", "move_mount", "perf_event_open", "request_key"),
)
"""System calls that fail with EPERM in a cage."""


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


class CageBrokenError(Exception):
    """A cage ended, or was ended, before it had answered.

    Args:
        cause: What happened, as part of a sentence: "it ran out of memory".
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Cage:
    """The service's end of a cage. For one thread at a time.

    Args:
        module: Runs in the cage; its main calls `locked_in`.
        limits: What it may use.
        shared_bytes: Size of the memory that both ends have mapped; its pages are taken only when
            something is written to them.
    """

    def __init__(self, module: str, limits: CageLimits, *, shared_bytes: int = 0) -> None:
        self._limits = limits
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
            )
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

    def send(self, message: object, payload: bytes | None = None) -> None:
        """Send a message, and bytes after it.

        Raises:
            CageBrokenError: It has ended, or takes nothing for `silence_seconds`.
        """
        self.send_bytes(msgspec.msgpack.encode(message))
        if payload is not None:
            self.send_bytes(payload)

    def send_bytes(self, data: bytes | memoryview) -> None:
        """Send the bytes that follow a message; raises as `send`."""
        try:
            self._connection.send_bytes(data)
        except BlockingIOError as error:
            raise self._silent() from error
        except OSError as error:
            raise self._broken() from error

    def receive(self, kind: Any) -> Any:  # noqa: ANN401 - as msgspec's own decode has it
        """Return the next message, of a declared type.

        Raises:
            CageBrokenError: It has ended, says nothing for `silence_seconds`, or what it says is no
                such message.
        """
        data = self._next()
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except msgspec.DecodeError as error:
            self.close()
            raise CageBrokenError("it answered nonsense") from error

    def receive_bytes(self) -> bytes:
        """Return the bytes that follow a message; raises as `receive`."""
        return self._next()

    def _next(self) -> bytes:
        try:
            if not self._connection.poll(self._limits.silence_seconds):
                raise self._silent()
            return self._connection.recv_bytes(self._limits.message_bytes)
        except BlockingIOError as error:
            raise self._silent() from error
        except (OSError, EOFError) as error:
            raise self._broken() from error

    def _silent(self) -> CageBrokenError:
        self.close()
        return CageBrokenError(f"it took longer than {self._limits.silence_seconds:g} seconds")

    def _broken(self) -> CageBrokenError:
        """Return why the process has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        status = self._process.poll()
        self.close()
        if status is None:  # it has not: what it sends is longer than a message may be
            return CageBrokenError("it answered nonsense")
        gigabytes = self._limits.memory_bytes / 2**30
        causes = {
            -9: "it was killed, as a system short of memory does",
            -24: f"it used more than {self._limits.cpu_seconds} seconds of a processor",
            OUT_OF_MEMORY: f"it needs more than {gigabytes:.1f} GB of memory",
        }
        return CageBrokenError(causes.get(status or 0, "it crashed the decoder"))

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
    return door


def forbid_calls() -> bool:
    """Have the system refuse `FORBIDDEN_CALLS`; return whether it does.

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
    # A thread is a clone with this flag. The flags of clone3 are out of a filter's sight: libraries
    # that are told that there is none take clone.
    no_thread = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "clone", no_thread)
    calls.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    # A signal to this process alone, which is how it aborts.
    other = pyseccomp.Arg(0, pyseccomp.NE, os.getpid())
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "tgkill", other)
    try:
        calls.load()
    except OSError:
        return False
    return True
