"""Who calls, as the audit trail asks for it."""

from __future__ import annotations

from typing import Protocol


class Caller(Protocol):
    """What an event tells of a caller."""

    @property
    def name(self) -> str:
        """As authenticated."""

    @property
    def purpose(self) -> str:
        """As the caller stated it; empty without one."""

    @property
    def case_reference(self) -> str:
        """As the caller stated it; empty without one."""


def current_caller() -> Caller | None:
    """Return who makes the call under way; None while nobody is authenticated."""
    return None
