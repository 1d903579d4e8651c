"""Writing down what is done without a call, as use cases ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

ALTERATION = "ALTERATION"
ERASURE = "ERASURE"
COMBINATION = "COMBINATION"
"""Categories of processing, as `homeward.api.common.v1.Operation` has them."""


class Acts(Protocol):
    """Writes down what is done without a call."""

    async def record(self, act: str, operation: str, resources: Sequence[str]) -> None:
        """Write down that something was done.

        Args:
            act: What, such as `EraseFootage`.
            operation: Category of processing, such as `ERASURE`.
            resources: To what, as `KIND/ID`.

        Raises:
            UnavailableError: It cannot be written.
        """


class InMemoryActs:
    """`Acts` of one process, for tests.

    Attributes:
        recorded: Act and resources of each, in order.
    """

    def __init__(self) -> None:
        self.recorded: list[tuple[str, tuple[str, ...]]] = []

    async def record(self, act: str, operation: str, resources: Sequence[str]) -> None:
        """Remember that something was done."""
        del operation
        self.recorded.append((act, tuple(resources)))
