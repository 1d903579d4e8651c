"""How much one caller may ask for: calls a second, and calls at a time.

A caller is who `identity` has found out, else the address that the call comes from. Homeward's own
services have no quota: what they ask for follows from what people ask for.

Rates are kept by the generic cell rate algorithm, a token bucket that is one number a caller: when
the bucket will be full. `limits` and `pyrate-limiter` keep every call of a window, and `aiolimiter`
has callers wait instead of telling them for how long.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import unquote

from homeward.servicekit import errors
from homeward.servicekit.identity.caller import Role, current_caller
from homeward.servicekit.interceptors import Call

LEAST_FORGOTTEN = 1000
"""Callers that are known before those are forgotten who have asked for nothing lately."""

IPV6_PREFIX = 64
"""Bits of an IPv6 address that tell one caller from another: whoever has one address has all of its
network."""

_RETRY_SECONDS = 1
_ROUNDING_SECONDS = 1e-9
"""Within which sums of times are equal."""
_IPV4 = 4


@dataclass(frozen=True, slots=True)
class Quota:
    """What one caller may ask of one server; None is no limit."""

    calls_per_second: float | None = None
    """On average, more than 0."""
    burst: int = 1
    """Calls that may come at once after a while without any, at least 1."""
    concurrent_calls: int | None = None
    """Calls that may be under way at a time, streams included, at least 1."""


@dataclass(slots=True)
class _Usage:
    full_at: float = 0.0
    """When as many calls may come at once again as may at most."""
    under_way: int = 0


class Quotas:
    """Refuses calls of those who ask for more than their quota; see `interceptors.Around`.

    It belongs inside of what finds out who calls. Health and reflection have no quota.

    Args:
        quota: Of each caller.
        clock: Tells seconds from any beginning.
    """

    def __init__(self, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        self._quota = quota
        self._clock = clock
        self._used: dict[str, _Usage] = {}
        self._forget_at = LEAST_FORGOTTEN

    @asynccontextmanager
    async def __call__(self, call: Call) -> AsyncIterator[None]:
        """Run a call, or refuse it.

        Raises:
            ResourceExhaustedError: `QUOTA_EXCEEDED`, with the time after which to try again.
        """
        caller = current_caller()
        if call.routine or (caller is not None and Role.SERVICE in caller.roles):
            yield
            return
        name = f"caller {caller.name}" if caller is not None else address_of(call.context.peer())
        usage = self._usage(name)
        self._take(usage)
        usage.under_way += 1
        try:
            yield
        finally:
            usage.under_way -= 1

    def _take(self, usage: _Usage) -> None:
        most = self._quota.concurrent_calls
        if most is not None and usage.under_way >= most:
            raise _exceeded(
                f"{most} calls of the caller are under way, as many as may be at a time",
                limit="concurrent_calls",
                most=str(most),
                retry_seconds=_RETRY_SECONDS,
            )
        rate = self._quota.calls_per_second
        if rate is None:
            return
        now = self._clock()
        full_at = max(now, usage.full_at) + 1 / rate
        wait = full_at - now - self._quota.burst / rate
        if wait > _ROUNDING_SECONDS:
            raise _exceeded(
                f"the caller has made as many calls as may be: {rate:g} a second, and"
                f" {self._quota.burst} at once",
                limit="calls_per_second",
                most=f"{rate:g}",
                retry_seconds=max(_RETRY_SECONDS, math.ceil(wait)),
            )
        usage.full_at = full_at

    def _usage(self, name: str) -> _Usage:
        if name not in self._used and len(self._used) >= self._forget_at:
            now = self._clock()
            self._used = {
                key: one for key, one in self._used.items() if one.under_way or one.full_at > now
            }
            # Looking through them costs as much for each new caller as one look-up, on average.
            self._forget_at = max(LEAST_FORGOTTEN, 2 * len(self._used))
        return self._used.setdefault(name, _Usage())


def quotas(quota: Quota) -> list[Quotas]:
    """Return what keeps callers to a quota; nothing where there is no limit."""
    limited = quota.calls_per_second is not None or quota.concurrent_calls is not None
    return [Quotas(quota)] if limited else []


def address_of(peer: str) -> str:
    """Return what tells callers apart by a peer as gRPC names it: `ipv4:10.0.0.7:41234`."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return peer
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.version == _IPV4:
        return f"address {mapped}"
    return f"address {ip_network((address, IPV6_PREFIX), strict=False)}"


def _exceeded(
    message: str, *, limit: str, most: str, retry_seconds: int
) -> errors.ResourceExhaustedError:
    return errors.ResourceExhaustedError(
        f"{message}; try again in {retry_seconds} s",
        reason=errors.Reason.QUOTA_EXCEEDED,
        metadata={"limit": limit, "most": most},
        retry_seconds=retry_seconds,
    )
