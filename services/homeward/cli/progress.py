"""Progress on stderr: a bar on a terminal, lines from time to time elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from homeward.cli import terminal, times

_LINE_EVERY_SECONDS = 10.0

Show = Callable[[float, float, str], None]
"""Called with the amount that is done, the total, and a note."""


class Pace:
    """Measures the speed of some work, from its first report on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None

    def speed(self, done: float) -> float:
        """Return how much is done a second; 0 while that cannot be told."""
        now = self._clock()
        if self._first is None:
            self._first = (now, done)
        begun, before = self._first
        return (done - before) / (now - begun) if now > begun else 0.0

    def eta(self, done: float, total: float) -> str:
        """Return how long the rest takes, to read; empty while that cannot be told."""
        speed = self.speed(done)
        return f"ETA {times.span((total - done) / speed)}" if speed > 0 and total > done else ""


@contextmanager
def shown(title: str, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Show]:
    """Show how something goes while the context lasts."""
    if sys.stderr.isatty():
        with _bar(title) as show:
            yield show
    else:
        yield _lines(title, clock)


@contextmanager
def _bar(title: str) -> Iterator[Show]:
    from rich.console import Console  # noqa: PLC0415, TID251 - slow to import; all is cleaned
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415 - as above

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(terminal.clean(title), total=None, note="")

        def show(done: float, total: float, note: str) -> None:
            progress.update(task, completed=done, total=total or None, note=terminal.clean(note))

        yield show


def _lines(title: str, clock: Callable[[], float]) -> Show:
    last = clock()

    def show(done: float, total: float, note: str) -> None:
        nonlocal last
        if clock() - last < _LINE_EVERY_SECONDS:
            return
        last = clock()
        share = f"{done / total:.0%}" if total else "waiting"
        terminal.tell(", ".join(part for part in (f"{title}: {share}", note) if part), err=True)

    return show
