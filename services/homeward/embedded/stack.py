"""The supervisor: starts the children in order, watches them, stops them all."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from homeward.embedded.errors import StackError
from homeward.embedded.files import make_private_folder
from homeward.embedded.process import Child
from homeward.embedded.spec import ChildSpec

_WATCH_SECONDS = 0.2
_FIRST_POLL_SECONDS = 0.05
_SLOWEST_POLL_SECONDS = 0.2
_BACKOFF = 1.3
TELL_SECONDS = 10.0
"""After which the user is told which children are not ready; again after twice that, and so on."""

_STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


class StopRequest:
    """Whether the user wants the stack to stop, and whether at once."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.insisted = threading.Event()

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal; the second one means now."""
        if self.asked.is_set():
            self.insisted.set()
        self.asked.set()


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Let SIGINT, SIGTERM and SIGHUP ask for a stop while the block runs."""
    request = StopRequest()
    before = {number: signal.signal(number, request) for number in _STOPPING_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stack:
    """The children of one data folder.

    Args:
        specs: What to run; each one after those that it waits for.
        logs: Folder of the logs.
        stop: Ends the start and the watch.
        say: Tells the user what happens.
    """

    def __init__(
        self, specs: Sequence[ChildSpec], *, logs: Path, stop: StopRequest, say: Say
    ) -> None:
        self._specs = tuple(specs)
        self._logs = make_private_folder(logs)
        self._stop = stop
        self._say = say
        self._children: list[Child] = []
        # Never written to: its closing tells the children, where the kernel cannot.
        self._pipe, self._pipe_held = os.pipe()

    def start(self, *, timeout_seconds: float) -> bool:
        """Start all children and return True once they are ready, False if asked to stop.

        Raises:
            StackError: A child died, or was not ready in time; with the end of its log.
        """
        started = time.monotonic()
        ready: set[str] = set()
        pause = _FIRST_POLL_SECONDS
        tell_at = TELL_SECONDS
        while len(ready) < len(self._specs):
            self._start_those_due(ready)
            waiting = self._poll(ready)
            self._refuse_dead()
            if waiting and time.monotonic() - started > timeout_seconds:
                raise self._late(waiting, timeout_seconds)
            if time.monotonic() - started > tell_at:
                self._report(waiting, tell_at)
                tell_at *= 2
            if self._stop.asked.wait(pause if waiting else 0):
                return False
            pause = min(pause * _BACKOFF, _SLOWEST_POLL_SECONDS)
        return True

    def watch(self) -> None:
        """Return when asked to stop.

        Raises:
            StackError: A child died; with the end of its log.
        """
        while not self._stop.asked.wait(_WATCH_SECONDS):
            self._refuse_dead()

    def close(self) -> None:
        """Stop all children, the last started first, each within its grace."""
        for child in reversed(self._children):
            if child.ended() is None:
                child.terminate()
                self._await_end(child)
            child.finish()
        self._children.clear()
        os.close(self._pipe)
        os.close(self._pipe_held)

    def pids(self) -> dict[str, int]:
        """Return the children's process ids by name."""
        return {child.spec.name: child.pid for child in self._children}

    def _start_those_due(self, ready: set[str]) -> None:
        running = self.pids()
        for spec in self._specs:
            if spec.name not in running and ready.issuperset(spec.after):
                self._say(f"starting {spec.name}")
                self._children.append(Child(spec, logs=self._logs, pipe=self._pipe))

    def _poll(self, ready: set[str]) -> dict[str, str]:
        """Add those that became ready, and return what the others wait for."""
        waiting = {}
        for child in self._children:
            name = child.spec.name
            if name in ready:
                continue
            missing = child.spec.ready()
            if missing is None:
                ready.add(name)
                self._say(f"{name} is ready")
            else:
                waiting[name] = missing
        return waiting

    def _report(self, waiting: dict[str, str], seconds: float) -> None:
        """Say which children are not ready, and why, as far as their logs say."""
        for child in self._children:
            missing = waiting.get(child.spec.name)
            if missing is not None:
                problem = child.problem()
                why = f": {problem}" if problem else ""
                self._say(
                    f"waiting for {child.spec.name} {missing}, {seconds:g} s after the start{why}"
                )

    def _await_end(self, child: Child) -> None:
        until = time.monotonic() + child.spec.grace_seconds
        while not child.wait(_WATCH_SECONDS):
            if time.monotonic() > until or self._stop.insisted.is_set():
                return

    def _refuse_dead(self) -> None:
        for child in self._children:
            end = child.ended()
            if end is not None:
                raise _failed(f"{child.spec.name} {end}", child)

    def _late(self, waiting: dict[str, str], seconds: float) -> StackError:
        name, missing = next(iter(waiting.items()))
        child = next(child for child in self._children if child.spec.name == name)
        return _failed(f"{name} was not ready after {seconds:g} s; waited for it {missing}", child)


def _failed(problem: str, child: Child) -> StackError:
    if child.killed():
        told = (
            f"{problem}: somebody killed it, or the system did because memory ran out (`dmesg` says"
            " if so). All other parts are stopped now; the same command starts them again. The log"
            f" of {child.spec.name} is {child.log}"
        )
    else:
        words = "".join(f"\n  {line}" for line in child.last_words()) or "\n  (empty)"
        told = f"{problem}; its log, {child.log}, ends with:{words}"
    return StackError(told, problem=problem, log=child.log, part=child.spec.name)
