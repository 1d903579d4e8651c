"""Commands that run until they are stopped, for which that is no error."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from homeward.cli.errors import StoppedError


@contextmanager
def until_stopped(how_to_go_on: Callable[[], str]) -> Iterator[None]:
    """Let a command end when it is told to, and say how to go on.

    Args:
        how_to_go_on: Returns a sentence, when the command is stopped.

    Raises:
        StoppedError: By Ctrl-C, or as the system stops a program.
    """
    with interrupted_by_signals():
        try:
            yield
        except KeyboardInterrupt:
            raise StoppedError(how_to_go_on()) from None


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Have the end of a connection, or of the system, interrupt as Ctrl-C does.

    Otherwise the process would end at once, and leave on the disk what it works on. As the first
    process of a container it would not end at all: it gets no signal that it has no handler for.
    A signal that is ignored, as under `nohup`, stays so.
    """
    numbers = [getattr(signal, name) for name in ("SIGHUP", "SIGTERM") if hasattr(signal, name)]
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, signal.default_int_handler) for number in heeded]
    try:
        yield
    finally:
        for number, handler in zip(heeded, before, strict=True):
            signal.signal(number, handler)
