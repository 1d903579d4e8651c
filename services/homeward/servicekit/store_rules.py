"""Refusing uploads while the object store would keep what Homeward deletes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from homeward.servicekit import errors
from homeward.servicekit.clock import Clock

RULES_TRUSTED = timedelta(minutes=1)
"""Time for which rules that were found right are not read again."""


class StoreRules:
    """Checks every minute whether the object store is set up to forget what is deleted.

    Args:
        deviations: Returns the settings of the store that keep it from forgetting.
        clock: Tells the time.
        bucket: Name of the bucket, or of the buckets.
        would_keep: Data that the store would keep, to end the sentence of a refusal.
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
        """Refuse an upload that the store would not forget.

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
