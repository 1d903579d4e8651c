"""Refusing to take anything in that the object store would keep for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from homeward.servicekit import errors
from homeward.servicekit.clock import Clock

RULES_TRUSTED = timedelta(minutes=1)
"""How long the store's rules, once found right, are not read again."""


class StoreRules:
    """Whether the object store forgets as it was told to, asked again every minute.

    Args:
        deviations: Asks the store for what keeps it from that.
        clock: Tells the time.
        bucket: Name of the bucket, or of the buckets.
        would_keep: What the store would do otherwise, to end a sentence about it.
    """

    def __init__(
        self,
        deviations: Callable[[], Awaitable[list[str]]],
        clock: Clock,
        *,
        bucket: str,
        would_keep: str,
    ) -> None:
        self._deviations = deviations
        self._clock = clock
        self._bucket = bucket
        self._would_keep = would_keep
        self._found_right: datetime | None = None

    async def require(self) -> None:
        """Refuse to take anything in that the store would not forget.

        Raises:
            FailedPreconditionError: `RETENTION_UNSAFE`.
        """
        now = self._clock.now()
        if self._found_right and timedelta() <= now - self._found_right < RULES_TRUSTED:
            return
        deviations = await self._deviations()
        if deviations:
            problem = "; ".join(deviations)
            raise errors.FailedPreconditionError(
                "the object store is not set up as it has to be; it would keep"
                f" {self._would_keep}, or not encrypt what is written: {problem}",
                reason=errors.Reason.RETENTION_UNSAFE,
                metadata={"bucket": self._bucket, "problem": problem},
            )
        self._found_right = now
