"""Taking back what a reviewer has decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from homeward.core.inventory import BACKSTOP_DAYS, FOOTAGE_LIMIT
from homeward.matching.sightings.deciding import with_decisions
from homeward.matching.sightings.feed import ChangeKind
from homeward.matching.sightings.kept import KeptSightings, erased, ledger_key
from homeward.matching.sightings.leases import ReviewLeases, SightingLease
from homeward.matching.sightings.model import Sighting, SightingState
from homeward.matching.sightings.taking_back import Withdrawal, review_stands

_GONE = "its recording goes, or has gone, and it would be erased at once"

_BEFORE_DEADLINE = FOOTAGE_LIMIT - timedelta(days=BACKSTOP_DAYS)
"""How long before the deadline of a recording, at most, the store itself may have to remove what
goes with it: when the recording came, its sighting does not say."""


class ReviewWithdrawal:
    """Takes decisions back.

    Args:
        kept: The sightings that are kept.
        leases: Who has been handed which.
        get: Returns a sighting that the caller may see.
    """

    def __init__(
        self,
        kept: KeptSightings,
        leases: ReviewLeases,
        get: Callable[[str], Awaitable[Sighting]],
    ) -> None:
        self._kept = kept
        self._leases = leases
        self._get = get

    async def withdraw(
        self, sighting_id: str, withdrawal: Withdrawal
    ) -> tuple[Sighting, SightingLease | None]:
        """Take a decision back, and hand the sighting to its reviewer again.

        Returns:
            The sighting as it is now, also if the decision did not stand any more; and its lease,
            unless another reviewer has it.

        Raises:
            NotFoundError: `SIGHTING_NOT_FOUND`: it was rejected, among others; or its recording was
                removed at this moment, and took it along.
            FailedPreconditionError: `REVIEW_STANDS`.
        """
        async with self._kept.changing:
            sighting = await self._get(sighting_id)
            if self._kept.clock.now() >= sighting.delete_time:
                raise review_stands(sighting_id, _GONE)
            span = await self._kept.ledger.withdraw(ledger_key(sighting), sighting_id, withdrawal)
            if span is None:  # it goes with the recording
                raise review_stands(sighting_id, _GONE)
            # Before it is listed as open again, or another reviewer could be handed it first.
            lease = await self._leases.take(sighting_id, withdrawal.reviewer)
            now = with_decisions(sighting, span)
            await self._write(sighting, now)
            if await self._kept.ledger.span(ledger_key(sighting), sighting_id) is None:
                # Another replica removed the recording meanwhile, and took it for confirmed.
                if now.state is not SightingState.CONFIRMED:
                    await self._kept.forget([erased(now)])
                await self._get(sighting_id)
            return now, lease

    async def _write(self, before: Sighting, now: Sighting) -> None:
        """Have index and stills follow the ledger; repeated, it goes on where it broke off."""
        if now != before:
            until = max(before.delete_time - _BEFORE_DEADLINE, self._kept.clock.now())
            if not await self._kept.write(before, now, until=until):
                await self._get(now.sighting_id)  # says that it is not there
        if now.state is not SightingState.CONFIRMED:
            await self._kept.stills.delete_confirmed(now.sighting_id)
        if now != before:
            await self._kept.tell(ChangeKind.REVIEWED, now)
