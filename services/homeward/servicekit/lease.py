"""Having one of several replicas do what need not be done twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from homeward.servicekit import errors
from homeward.servicekit.background import AGAIN_AFTER, again_and_again
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore

RENEWED_EVERY = timedelta(seconds=10)
"""While something is done under a lease: a sixth of the time after which it is lost."""

Proceed = Callable[[], Awaitable[bool]]
"""Asked now and then by what is done under a lease; False ends it, to be gone on with later."""


class Lease:
    """The right to do something, as long as it is renewed.

    It keeps work from being done twice, and is no lock: a holder that was suspended may believe for
    a moment that it still has it. What is done under it must bear being done twice.

    Args:
        store: Lets go of a record that was not renewed (`inventory.LEASES`): its own limit, so that
            no clock of ours has a say in it.
        name: Of what is to be done.
        holder: Names this replica, for people who look.
        monotonic: Tells how much time goes by, in seconds.
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
        """Take the lease, or renew it; return False while somebody else has it.

        Raises:
            UnavailableError: The store does not answer; whether it is held is not known.
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


async def regularly(
    work: Callable[[Proceed], Awaitable[object]],
    lease: Lease,
    *,
    every: timedelta,
    after_failure: timedelta = AGAIN_AFTER,
) -> None:
    """Do something again and again, in one replica at a time, whatever happens.

    Args:
        work: Takes what it is to ask whether to go on.
        lease: Keeps other replicas from doing it too.
        every: How long to wait in between.
        after_failure: How long, at most, if it could not be done or another replica does it, which
            may die over it.
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
