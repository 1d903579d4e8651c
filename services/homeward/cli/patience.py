"""Waiting for a service that went away."""

from __future__ import annotations

import time

_LONGEST_WAIT_SECONDS = 8.0


def pause(failures: int) -> None:
    """Wait before another attempt: a second after the first failure, then longer and longer."""
    time.sleep(min(_LONGEST_WAIT_SECONDS, 2.0 ** (failures - 1)))
