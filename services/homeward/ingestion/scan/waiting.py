"""What keeps a search from going on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """An engine or a service that a search waits for."""

    component: str
    """Its name, such as `embedding`; empty if that is not known."""
    address: str
    since: datetime
    problem: str
    """The same, in words."""
