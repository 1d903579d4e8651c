"""A process that has made itself ready, and of which copies are started in milliseconds.

A caged process needs its decoder's libraries, which take a quarter of a second of a processor to
load. Cages serve one file each, so a service that reads many short recordings would spend most of
its time on that. A fork server loads them once; each cage is a fork of it.

It has none of the service's secrets and reads nothing from outside: it only forks, and tells how
its forks have ended. Forks of one server have their code at the same addresses.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec

_MOST_FDS = 8

NO_STATUS = -int(signal.SIGKILL)
"""What is said of a fork whose server has gone with it: only the system ends both."""


Run = Callable[[Sequence[int], Sequence[int]], None]
"""What a fork does, with the arguments and open files that the service gives it."""


class ForkServerError(Exception):
    """A fork server does not start, or has ended."""


class _Fork(msgspec.Struct, tag=True):
    """Start a fork, with the file descriptors that come along."""

    arguments: tuple[int, ...]


class _Reap(msgspec.Struct, tag=True):
    """Wait for a fork that has ended, or is about to."""

    pid: int


class ForkServer:
    """The service's end of a fork server. For several threads.

    The process starts with the first fork, and again where it has ended.

    Args:
        module: Runs in it; its main loads what forks need, and calls `serve_forks`.
        environment: All that it gets of one.
        start_seconds: Wall time until it has to be ready.
    """

    def __init__(
        self, module: str, environment: Mapping[str, str], *, start_seconds: float
    ) -> None:
        self.module = module
        self._environment = environment
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._seat: socket.socket | None = None

    def fork(self, arguments: Sequence[int], fds: Sequence[int]) -> ForkedProcess:
        """Start a fork.

        Args:
            arguments: For what it runs.
            fds: Open files that it gets, at most eight; the service keeps its own.

        Raises:
            ForkServerError: None starts.
        """
        with self._lock:
            pid = self._asked(_Fork(tuple(arguments)), fds)
            try:
                return ForkedProcess(self, pid)
            except OSError as error:
                message = f"a fork of {self.module} cannot be watched: {error}"
                raise ForkServerError(message) from error

    def status(self, pid: int) -> int:
        """Return the exit status of a fork that has ended: of a signal, its negative number."""
        with self._lock:
            if self._seat is None:
                return NO_STATUS
            try:
                return self._asked(_Reap(pid), ())
            except ForkServerError:
                return NO_STATUS

    def close(self) -> None:
        """End the server; its forks go on."""
        with self._lock:
            self._end()

    def _asked(self, order: _Fork | _Reap, fds: Sequence[int]) -> int:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        seat = self._seat or self._start()
        try:
            socket.send_fds(seat, [msgspec.msgpack.encode(order)], fds)
            answer = seat.recv(64)
            if answer:
                return msgspec.msgpack.decode(answer, type=int)
            why = "it has ended"
        except ConnectionError:
            why = "it has ended"
        except TimeoutError:
            why = f"nothing was heard of it for {self._start_seconds:g} seconds"
        except OSError as error:
            why = str(error)
        self._end()
        raise ForkServerError(f"the process {self.module} does not start: {why}")

    def _start(self) -> socket.socket:
        # Messages keep their borders.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(self._start_seconds)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", self.module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C is for the service, which ends its processes when it has answered.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise ForkServerError(
                f"the process {self.module} does not start: {error.strerror}"
            ) from error
        finally:
            theirs.close()
        self._seat = ours
        return ours

    def _end(self) -> None:
        if self._seat is not None:
            self._seat.close()
            self._seat = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class ForkedProcess:
    """A fork of a server. For one thread at a time."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._status: int | None = None
        # Its number is its own until the server has told its status: nobody else waits for it.
        self._watch = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return its exit status once it has ended: of a signal, its negative number."""
        return self.wait(0)

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait until it has ended, and return its exit status; None if it has not in time."""
        if self._status is None and self._has_ended(seconds):
            self._status = self._server.status(self.pid)
            os.close(self._watch)
        return self._status

    def _has_ended(self, seconds: float | None) -> bool:
        ended = select.poll()
        ended.register(self._watch, select.POLLIN)
        return bool(ended.poll(None if seconds is None else 1000 * seconds))

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._status is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._watch, signal.SIGKILL)


def serve_forks(number: int, run: Run) -> None:
    """Fork whenever the service asks for it, until it goes. For after all imports.

    Args:
        number: Of the socket to the service, which stands on the command line.
        run: What forks do.
    """
    _require_one_thread()
    seat = socket.socket(fileno=number)
    gc.freeze()  # forks share the pages of what is loaded, until one of them writes there
    while True:
        data, fds, _, _ = socket.recv_fds(seat, 1024, _MOST_FDS)
        if not data:
            return
        order = msgspec.msgpack.decode(data, type=_Fork | _Reap)
        if isinstance(order, _Reap):
            _, status = os.waitpid(order.pid, 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if not answer:
                seat.close()
                _run(run, order.arguments, fds)
        for fd in fds:
            os.close(fd)
        seat.send(msgspec.msgpack.encode(answer))


def _run(run: Run, arguments: Sequence[int], fds: Sequence[int]) -> NoReturn:
    """Run a fork; it must not come back to where its server forks."""
    status = 1
    try:
        os.setsid()
        run(arguments, fds)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(status)


def _require_one_thread() -> None:
    """A fork has one thread only; a lock that another one holds would never be released in it."""
    number = len(list(Path("/proc/self/task").iterdir()))
    if number > 1:
        raise RuntimeError(f"{number} threads run here: what was imported started them")
