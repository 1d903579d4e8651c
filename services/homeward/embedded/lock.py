"""One stack per data folder, and files that say where it is or why the last one ended."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from homeward.embedded.errors import AlreadyRunningError
from homeward.embedded.files import PRIVATE_FILE, write_private

LOCK_NAME = "stack.lock"
STATE_NAME = "stack.json"
STARTING_NAME = "stack-starting.json"
"""Read by the command line, which shows it to a user who is faster than the stack."""
END_NAME = "stack-ended.json"
"""Read by the command line, which shows it to a user who finds no stack."""


@contextmanager
def exclusive(data: Path) -> Iterator[None]:
    """Hold the data folder until the block or the process ends.

    Raises:
        AlreadyRunningError: Another stack holds it.
    """
    descriptor = os.open(data / LOCK_NAME, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(_holder(data)) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        clear_state(data)  # of a stack that was killed
        (data / END_NAME).unlink(missing_ok=True)
        yield
    finally:
        # The file stays: removing it would let a third stack lock another file of that name.
        os.close(descriptor)


def write_state(data: Path, state: Mapping[str, Any]) -> None:
    """Write where the stack is, for other programs; only once it is ready."""
    write_private(data / STATE_NAME, json.dumps(state, indent=2) + "\n")


def write_starting(data: Path, *, longest: timedelta) -> None:
    """Write that the stack is starting, for other programs.

    Args:
        data: The stack's folder.
        longest: After which the start fails, so that the file of a stack that was killed counts for
            no longer.
    """
    now = datetime.now(UTC)
    starting = {
        "started": now.isoformat(timespec="seconds"),
        "ready_by": (now + longest).isoformat(timespec="seconds"),
    }
    write_private(data / STARTING_NAME, json.dumps(starting, indent=2) + "\n")


def clear_starting(data: Path) -> None:
    """Remove the file that says that the stack is starting."""
    (data / STARTING_NAME).unlink(missing_ok=True)


def clear_state(data: Path) -> None:
    """Remove the files that say where the stack is, or that it is starting."""
    (data / STATE_NAME).unlink(missing_ok=True)
    clear_starting(data)


def write_end(data: Path, problem: str, *, log: Path | None) -> None:
    """Write why the stack has ended, for other programs.

    Args:
        data: The stack's folder.
        problem: What ended it, such as `nats was ended by SIGKILL`.
        log: The log of the part that failed, if there is one.
    """
    end = {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "problem": problem,
        "log": str(log) if log else "",
    }
    write_private(data / END_NAME, json.dumps(end, indent=2) + "\n")


def _holder(data: Path) -> str:
    pid = "unknown"
    with suppress(OSError):
        pid = (data / LOCK_NAME).read_text(encoding="ascii").strip() or pid
    where = "starting"
    with suppress(OSError, ValueError, KeyError, TypeError):
        state = json.loads((data / STATE_NAME).read_text(encoding="utf-8"))
        where = f"ready at {state['ingestion']}"
    return f"a stack is already running on {data} (pid {pid}, {where})"
