"""Progress on stderr: a bar on a terminal, lines from time to time elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from homeward.cli import terminal

_LINE_EVERY_SECONDS = 10.0
_EVIDENCE_SECONDS = 10.0
"""Of work, before anything is foretold from it."""
_PACE_SECONDS = 60.0
"""How far back the pace is measured."""

Show = Callable[[float, float, str], None]
"""Called with the amount that is done, the total, and a note."""


class Pace:
    """Foretells how long some work takes, once there is something to tell it from."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()
        """Times and what was done by then, of the last minute or so."""

    def left(self, done: float, total: float) -> str:
        """Return how long the rest takes, to read; empty where that is clear or cannot be told."""
        now = self._clock()
        if not self._seen or now - self._seen[-1][0] >= 1:
            self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _PACE_SECONDS:  # noqa: PLR2004 - both ends
            self._seen.popleft()
        if not 0 < done < total:
            return ""
        begun, before = self._seen[0]
        if now - begun < _EVIDENCE_SECONDS or done <= before:
            return "estimating the time left"
        return f"about {_rounded((total - done) * (now - begun) / (done - before))} left"


def _rounded(seconds: float) -> str:
    """Return a time to read that promises no more than it can: `40s`, `12m`, `1h20m`."""
    if seconds < 55:  # noqa: PLR2004 - else it is a minute
        return f"{max(10, round(seconds, -1)):.0f}s"
    if seconds < 3600:  # noqa: PLR2004 - an hour
        return f"{max(1, round(seconds / 60))}m"
    hours, tens = divmod(round(seconds / 600), 6)
    return f"{hours}h{10 * tens:02}m"


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
