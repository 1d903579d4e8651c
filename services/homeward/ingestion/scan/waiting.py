"""What a search waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """An engine, a service or a free thread that a search waits for."""

    component: str
    """Its name, such as `embedding`; empty if that is not known."""
    address: str
    """Empty for a thread, and where the address is not known."""
    since: datetime
    problem: str
    """Why the search waits, for people."""
