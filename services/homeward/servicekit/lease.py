"""Leases: one of several replicas does work that need not be done twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from homeward.servicekit import errors
from homeward.servicekit.background import AGAIN_AFTER, again_and_again
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore

RENEWED_EVERY = timedelta(seconds=10)
"""Time between two renewals: a sixth of the time after which an unrenewed lease is lost."""

Proceed = Callable[[], Awaitable[bool]]
"""Work under a lease calls this from time to time and stops when it returns False; the next holder
goes on from there."""


class Lease:
    """The right of one replica to do some work, as long as the replica renews it.

    A lease saves double work and is no lock: a holder whose process was suspended may believe for a
    moment that it still holds the lease. Work under a lease must be safe to do twice.

    Args:
        store: Holds the record of the lease. The store removes a record that was not renewed
            (`inventory.LEASES`) by its own clock, not by that of a replica.
        name: Names the work.
        holder: Names this replica, for operators.
        monotonic: Returns a clock in seconds that never goes back.
    """

    def __init__(
        self,
        store: KeyValueStore,
        name: str,
        holder: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._name = name
        self._holder = holder.encode()
        self._revision: int | None = None
        self._renewed = 0.0
        self._monotonic = monotonic

    async def still_held(self) -> bool:
        """Tell whether the lease is held, renewing it only when `RENEWED_EVERY` has gone by.

        Raises:
            UnavailableError: As `held`.
        """
        age = self._monotonic() - self._renewed
        if self._revision is not None and age < RENEWED_EVERY.total_seconds():
            return True
        return await self.held()

    async def held(self) -> bool:
        """Take or renew the lease; return False while another replica holds it.

        Raises:
            UnavailableError: The store does not answer, so it is not known who holds the lease.
        """
        try:
            self._revision = (
                await self._store.create(self._name, self._holder)
                if self._revision is None
                else await self._store.update(self._name, self._holder, revision=self._revision)
            )
        except ConflictError:
            lost, self._revision = self._revision is not None, None
            return await self.held() if lost else False
        self._renewed = self._monotonic()
        return True

    async def release(self) -> None:
        """Let another replica have it at once."""
        if self._revision is not None:
            self._revision = None
            await self._store.erase(self._name)


def each_in_turn(
    *works: Callable[[Proceed], Awaitable[object]],
) -> Callable[[Proceed], Awaitable[None]]:
    """Return what does one work after the other under a lease, each also if one before it failed.

    The first failure is raised at the end.
    """

    async def work(proceed: Proceed) -> None:
        failure: errors.DomainError | None = None
        for one in works:
            try:
                await one(proceed)
            except errors.DomainError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    return work


async def regularly(
    work: Callable[[Proceed], Awaitable[object]],
    lease: Lease,
    *,
    every: timedelta,
    after_failure: timedelta = AGAIN_AFTER,
) -> None:
    """Call `work` regularly in one replica at a time, also after it has failed.

    Args:
        work: The work; it is given the `Proceed` to ask.
        lease: Keeps other replicas from doing the same work.
        every: Time between two calls.
        after_failure: Longest time until the next call after a failure, or while another replica
            does the work, which may end before it is done.
    """

    async def under_lease() -> bool:
        if not await lease.held():
            return False
        await work(lease.still_held)
        return True

    try:
        await again_and_again(under_lease, every=every, after_failure=after_failure)
    finally:
        with contextlib.suppress(errors.UnavailableError):  # it runs out by itself then
            await lease.release()
