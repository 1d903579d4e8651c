"""What the supervisor needs to know about a child."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Check = Callable[[], str | None]
"""Returns None when the child is ready, else what it still waits for; answers within seconds."""


def always_ready() -> str | None:
    """Return None: a child that serves nobody cannot be asked, so it is ready while it runs."""
    return None


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A program of the stack."""

    name: str
    """For people, and for its log file."""
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)  # holds secrets
    """All of it; nothing is inherited."""
    folder: Path
    """Working folder."""
    ready: Check = always_ready
    after: tuple[str, ...] = ()
    """Names of the children that must be ready before this one starts."""
    grace_seconds: float = 15.0
    """From SIGTERM to SIGKILL."""
    leftovers: tuple[Path, ...] = ()
    """Files outside of the data folder that it leaves when it is killed."""
