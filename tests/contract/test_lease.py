"""`Lease` on a real server, between processes."""

from __future__ import annotations

import asyncio
import sys
import uuid
from datetime import timedelta

import pytest

from homeward.matching.sightings.leases import ReviewLeases
from homeward.servicekit.clock import Clock
from homeward.servicekit.lease import Lease
from homeward.servicekit.nats import connection

LIMIT = timedelta(seconds=2)
REPLICA = """
import asyncio, sys
from datetime import timedelta
from homeward.servicekit.lease import Lease
from homeward.servicekit.nats import connection

async def main(url, bucket):
    async with connection(url, "replica") as bus:
        store = await bus.open_bucket(bucket, limit=timedelta(seconds=2), replicas=1)
        lease = Lease(store, "s", "r")
        for _ in sys.stdin:
            print(int(await lease.held()), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_of_two_processes_one_has_it_until_it_is_killed(nats_url: str) -> None:
    bucket = f"TEST-{uuid.uuid4().hex}"
    replica = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", REPLICA, nats_url, bucket),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert replica.stdin
    assert replica.stdout

    async def other_holds() -> bool:
        assert replica.stdin
        assert replica.stdout
        replica.stdin.write(b"?\n")
        return await replica.stdout.readline() == b"1\n"

    async with connection(nats_url, "test") as bus:
        store = await bus.open_bucket(bucket, limit=LIMIT, replicas=1)
        ours = Lease(store, "s", "ours")
        async with asyncio.timeout(60):
            assert await other_holds()
            for _ in range(10):  # renewed for longer than its limit
                assert [await other_holds(), await ours.held()] == [True, False]
                await asyncio.sleep(LIMIT.total_seconds() / 8)
            replica.kill()
            await replica.wait()
            while not await ours.held():  # the server decides when
                pass


async def test_of_many_reviewers_who_are_handed_a_sighting_at_once_one_gets_it(
    nats_url: str, clock: Clock
) -> None:
    async with connection(nats_url, "test") as bus:
        store = await bus.open_bucket(f"TEST-{uuid.uuid4().hex}", limit=LIMIT, replicas=1)
        leases, names = ReviewLeases(store, clock), [f"reviewer {number}" for number in range(5)]
        async with asyncio.timeout(60):
            taken = await asyncio.gather(*(leases.take("s", name) for name in names))
            (has_it,) = [name for name, one in zip(names, taken, strict=True) if one is not None]
            other = next(name for name in names if name != has_it)
            await leases.give_back("s", other)  # not theirs
            assert await leases.holders() == {"s": has_it}
            await leases.give_back("s", has_it)
            assert await leases.holders() == {}
            assert await leases.take("s", other) is not None
            while await leases.take("s", has_it) is None:  # the server decides when it lapses
                pass


@pytest.mark.parametrize("replicas", [5])
async def test_of_many_who_ask_at_once_one_gets_it(nats_url: str, replicas: int) -> None:
    async with connection(nats_url, "test") as bus:
        store = await bus.open_bucket(f"TEST-{uuid.uuid4().hex}", limit=LIMIT, replicas=1)
        answers = await asyncio.gather(
            *(Lease(store, "s", str(number)).held() for number in range(replicas))
        )

    assert sorted(answers) == [False, False, False, False, True]
