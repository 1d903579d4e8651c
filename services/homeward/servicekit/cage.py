"""Processes under limits, for bytes that come from outside.

A decoder reads files that anybody may have made. It runs in a cage: a process with bounds on its
memory and processor time, which can open no file, start no program and reach no network. A file
that crashes, exhausts or takes over a decoder ends its cage, and nothing else.

The bound on processor time is for one task, and a cage may have many. So the service moves the
limit with each task. A decoder that was taken over cannot change it, but it can block the signal
that comes with it: so the service also reads the processor time while it waits for the cage, and
ends the process itself.

A cage ends with its service, however that ends.

The service and the cage talk over a socket pair, in messages of declared types: nothing that comes
out of a cage is unpickled. Pictures come out through memory that both have mapped; it has no name
in any file system, and is gone with the last of the two processes.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from homeward.core.seccomp import forbid_calls
from homeward.servicekit.fork_server import ForkServer, ForkServerError, serve_forks
from homeward.servicekit.hardening import forbid_dumps

_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""What a cage and its server get of the service's environment: none of its secrets."""

_ONE_TASK = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Unused threads, and the memory that is set aside for each, count as address space: with many
processors they alone would reach the limit."""

_PR_SET_NO_NEW_PRIVS = 38

_PROCESS_CLOCK = 2
"""CPUCLOCK_SCHED of the kernel: with a process's number, the clock of its processor time."""

_LOOK_SECONDS = 0.5
"""How often the service reads that clock while it waits."""

_SIGNAL_SECONDS = 1.0
"""Processor time after which a process that the system has not ended by signal is killed."""

START_SECONDS = 60.0
"""Wall time until the server of cages has loaded what they need, and until a cage is locked in;
without other work it takes half a second and some milliseconds."""


@dataclass(frozen=True, slots=True)
class CageLimits:
    """What a cage may use."""

    memory_bytes: int
    """Address space, shared memory included."""
    cpu_seconds: int
    """Processor time for one task."""
    silence_seconds: float
    """Wall time without a message while the service waits for one."""
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


def cause_of(breakage: Breakage, limits: CageLimits) -> str:
    """Return what is said of a broken cage, in words that follow "decoding was ended: "."""
    causes = {
        Breakage.CRASH: "its decoder crashed",
        Breakage.MEMORY: (
            f"its decoder needs more than {limits.memory_bytes / 2**30:.1f} GiB of memory"
        ),
        Breakage.PROCESSOR_TIME: (
            f"its decoder used more than {limits.cpu_seconds} seconds of a processor"
        ),
        Breakage.SILENCE: (
            f"nothing was heard of its decoder for {limits.silence_seconds:g} seconds"
        ),
        Breakage.KILLED: "the system ended its decoder, as it does when memory is short",
        Breakage.ANSWER: "its decoder's answer made no sense",
    }
    return causes[breakage]


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


def cage_server(module: str) -> ForkServer:
    """Return what starts cages.

    Args:
        module: Runs in them; its main loads what they need, and calls `serve_cages`.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return ForkServer(module, environment | _ONE_TASK, start_seconds=START_SECONDS)


class Cage:
    """The service's end of a cage; one thread at a time may use it.

    The first use of a cage waits until it is ready; that may raise `CageNotStartedError`.

    Args:
        server: Of `cage_server`; the cage is a fork of it.
        limits: What it may use.
        shared_bytes: Size of the memory that both ends have mapped; its pages are taken only when
            something is written to them.

    Raises:
        CageNotStartedError: The system starts no process.
    """

    def __init__(self, server: ForkServer, limits: CageLimits, *, shared_bytes: int = 0) -> None:
        self._module = server.module
        self._limits = limits
        self._ready: Ready | None = None
        self._broken_by: CageBrokenError | None = None
        self._allowed_seconds = math.inf  # until its first task it runs our own code
        self._task_limits = limits
        ours, theirs = socket.socketpair()
        memory = os.memfd_create("cage") if shared_bytes else -1
        try:
            if shared_bytes:
                os.ftruncate(memory, shared_bytes)
            self.shared: mmap.mmap | None = (
                mmap.mmap(memory, shared_bytes) if shared_bytes else None
            )
            """What both ends have mapped."""
            self._process = server.fork(
                [shared_bytes, limits.memory_bytes],
                [fd for fd in (theirs.fileno(), memory) if fd >= 0],
            )
        except (ForkServerError, OSError) as error:
            ours.close()
            raise CageNotStartedError(f"no caged process starts: {error}") from error
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            if memory >= 0:
                os.close(memory)
        # A cage that does not read, or stops inside a message, must not block its service.
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
        """Whether the system refuses it the calls of `seccomp`, or the limits stand alone.

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

    def send_task(self, message: object, payload: bytes | None = None, *, times: int = 1) -> None:
        """Allow it the processor time of one more task, and send that; raises as `send`.

        Args:
            message: The task.
            payload: Bytes after it.
            times: Factor on the processor time that a task is allowed.
        """
        self.ready()
        self._task_limits = replace(self._limits, cpu_seconds=self._limits.cpu_seconds * times)
        used = self._used_seconds()
        if used is not None:
            self._allowed_seconds = used + self._task_limits.cpu_seconds + 1
            with suppress(ProcessLookupError):  # it has ended, as `send` will find
                _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_CPU)
                soft = int(self._allowed_seconds)
                if hard != resource.RLIM_INFINITY:
                    soft = min(soft, hard)
                resource.prlimit(self._process.pid, resource.RLIMIT_CPU, (soft, hard))
        self.send(message, payload)

    def _used_seconds(self) -> float | None:
        """Return the processor time that it has used; None if it has ended."""
        if not self.alive:
            return None
        try:
            return time.clock_gettime(~self._process.pid << 3 | _PROCESS_CLOCK)
        except OSError as error:
            if not self.alive:
                return None
            self.close()
            message = f"the system does not tell how long {self._module} has run: {error}"
            raise CageNotStartedError(message) from error

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
        return self._ended(Breakage.ANSWER, self._limits)

    def _decoded(self, data: bytes, kind: Any) -> Any:  # noqa: ANN401 - as `receive`
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except msgspec.DecodeError as error:
            raise self.refused() from error

    def _next(self, patience_seconds: float) -> bytes:
        try:
            self._wait(patience_seconds)
            return self._connection.recv_bytes(self._limits.message_bytes)
        except BlockingIOError as error:
            raise self._silent(self._limits.silence_seconds) from error
        except (OSError, EOFError) as error:
            raise self._broken() from error

    def _wait(self, patience_seconds: float) -> None:
        """Wait for a message, and watch the processor time meanwhile.

        Of each message too: one that sends many must not get around it.
        """
        until = time.monotonic() + patience_seconds
        while True:
            left = until - time.monotonic()
            heard = self._connection.poll(max(0.0, min(left, _LOOK_SECONDS)))
            used = self._used_seconds()
            if used is not None and used > self._allowed_seconds + _SIGNAL_SECONDS:
                raise self._ended(Breakage.PROCESSOR_TIME, self._task_limits)
            if heard:
                return
            if left <= 0:
                raise self._silent(patience_seconds)

    def _silent(self, seconds: float) -> CageBrokenError:
        return self._ended(Breakage.SILENCE, replace(self._limits, silence_seconds=seconds))

    def _broken(self) -> CageBrokenError:
        """Return why the process has ended."""
        status = self._process.wait(1)
        if status is None:  # it has not: what it sends is longer than a message may be
            return self.refused()
        breakages = {
            -signal.SIGKILL: Breakage.KILLED,
            -signal.SIGXCPU: Breakage.PROCESSOR_TIME,
            OUT_OF_MEMORY: Breakage.MEMORY,
        }
        return self._ended(breakages.get(status, Breakage.CRASH), self._task_limits)

    def _ended(self, breakage: Breakage, limits: CageLimits) -> CageBrokenError:
        """End the process, and return why: what broke it first, however often it is asked."""
        self.close()
        if self._broken_by is None:
            self._broken_by = CageBrokenError(cause_of(breakage, limits), breakage)
        return CageBrokenError(self._broken_by.cause, self._broken_by.breakage)

    def close(self) -> None:
        """End the process, whatever it does."""
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
        *,
        calls_forbidden: bool = False,
    ) -> None:
        self._connection = connection
        self.shared = shared
        """What both ends have mapped."""
        self.calls_forbidden = calls_forbidden
        """Whether the system refuses the calls of `seccomp`, or the limits stand alone."""

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


def serve_cages(serve: Callable[[CageDoor], None]) -> None:
    """Start a cage whenever the service asks for one, until it goes.

    Call it after all imports: a cage opens nothing.

    Args:
        serve: What a cage does; it ends with it.
    """
    number = int(sys.argv[1])  # as `ForkServer` wrote it
    serve_forks(number, lambda arguments, fds: serve(locked_in(arguments, fds)))


def locked_in(arguments: Sequence[int], fds: Sequence[int]) -> CageDoor:
    """Lock this process in, and return the door.

    Args:
        arguments: Of the fork, as `Cage` gave them.
        fds: The channel, and the shared memory if there is any.
    """
    shared_bytes, memory_bytes = arguments
    channel, *memory = fds
    watch = select.epoll()
    watch.register(channel, 0)  # for a hang-up alone, which needs no asking
    threading.Thread(target=_end_with_service, args=[watch], name="service", daemon=True).start()
    forbid_dumps()
    shared = mmap.mmap(memory[0], shared_bytes) if memory else None
    for one in memory:
        os.close(one)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    # It opens nothing more: that keeps it from files and sockets where calls cannot be forbidden.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    forbidden = forbid_calls()
    door = CageDoor(Connection(channel), shared, calls_forbidden=forbidden)
    door.send(Ready(forbidden))
    return door


def _end_with_service(watch: select.epoll) -> None:
    """Wait until the service's end of the channel is closed, and end this process.

    In a thread, as the main one may be busy in a decoder for long; decoders release the GIL. One
    that does not is ended by its bound of processor time. The system's own
    PR_SET_PDEATHSIG would not do: it follows the thread that started the process, which may end
    long before the service.

    Args:
        watch: Of the channel. The system's `poll` refuses to work for who may open no files.
    """
    watch.poll()
    os._exit(0)
