"""Waiting for a service that does not answer, or whose queue is full."""

from __future__ import annotations

import time

from homeward.cli import terminal
from homeward.cli.errors import CallError

LONGEST_TURN_SECONDS = 3600.0
"""How long a command waits in all for a service whose queue is full."""
_TURN_SECONDS = 5.0
"""Time between two attempts, where the service does not state it."""
_LONGEST_WAIT_SECONDS = 8.0


def pause(failures: int, problem: str) -> None:
    """Say what is wrong, and wait before another attempt: a second at first, then ever longer."""
    seconds = min(_LONGEST_WAIT_SECONDS, 2.0 ** (failures - 1))
    terminal.tell_lines(["", f"{problem}; trying again in {seconds:g} s"], err=True)
    time.sleep(seconds)


class Turn:
    """A command's wait for a service that is busy, or that one asks too much of for now.

    `QUEUE_FULL` and `QUOTA_EXCEEDED` say so.
    """

    def __init__(self) -> None:
        self._waited = 0.0

    def wait(self, refusal: CallError) -> None:
        """Wait for the time that the service states; the first time, print that.

        Raises:
            CallError: The refusal, if it has another reason, or `LONGEST_TURN_SECONDS` are over.
        """
        seconds = refusal.retry_seconds or _TURN_SECONDS
        waits = refusal.reason in ("QUEUE_FULL", "QUOTA_EXCEEDED")
        if not waits or self._waited + seconds > LONGEST_TURN_SECONDS:
            raise refusal
        if not self._waited:
            hours = f"{LONGEST_TURN_SECONDS / 3600:g} h"
            by_itself = f"This command tries again by itself, for up to {hours}."
            terminal.tell_lines(["", f"{refusal.message}.", by_itself], err=True)
        self._waited += seconds
        time.sleep(seconds)
