"""`SightingFeed`: the fake and NATS, held to the same rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from engines import running
from homeward.embedded.files import make_private_folder
from homeward.embedded.nats import nats_spec
from homeward.embedded.nats import nats_url as url_of_nats
from homeward.matching.adapters.feed import NatsSightingFeed
from homeward.matching.adapters.memory_feed import InMemorySightingFeed
from homeward.matching.sightings.feed import Change, ChangeKind, SightingFeed, Told
from homeward.matching.sightings.model import SightingState
from homeward.servicekit.errors import FailedPreconditionError, InvalidArgumentError, Reason
from homeward.servicekit.nats import Nats, connection

RECORDED = Change(
    ChangeKind.RECORDED, "sighting-1", "subject-1", SightingState.UNREVIEWED, "a case"
)
CONFIRMED = replace(RECORDED, kind=ChangeKind.REVIEWED, state=SightingState.CONFIRMED)
ERASED = replace(RECORDED, kind=ChangeKind.ERASED, state=None)
OTHER = replace(RECORDED, sighting_id="sighting-2", subject_id="subject-2", case_digest="")
KEEP = timedelta(days=31)


@dataclass
class Feed:
    """A feed, and how it forgets its oldest change."""

    feed: SightingFeed
    forget: Callable[[], Awaitable[None]]


@pytest.fixture(params=["memory", "nats"])
async def held(request: pytest.FixtureRequest) -> AsyncIterator[Feed]:
    opened = {"memory": _memory, "nats": _nats}[request.param]
    async with opened(request) as feed:
        yield feed


@pytest.fixture
def feed(held: Feed) -> SightingFeed:
    return held.feed


@asynccontextmanager
async def _memory(_: pytest.FixtureRequest) -> AsyncIterator[Feed]:
    feed = InMemorySightingFeed()

    async def forget() -> None:
        feed.forget(1)

    yield Feed(feed, forget)


@asynccontextmanager
async def _nats(request: pytest.FixtureRequest) -> AsyncIterator[Feed]:
    async with connection(request.getfixturevalue("nats_url"), "test") as bus:
        stream = f"FEED-{uuid4()}"
        feed = await NatsSightingFeed.open(bus, stream, keep=KEEP, replicas=1, prefix=stream)

        async def forget() -> None:
            await bus.jetstream.purge_stream(stream, keep=1)

        yield Feed(feed, forget)


async def read(feed: SightingFeed, count: int, after: str = "") -> list[Told | str]:
    """Return the first changes after a place, and places among them."""
    async with aclosing(feed.follow(after, from_oldest=not after)) as following:
        return [await asyncio.wait_for(anext(following), 10) for _ in range(count)]


async def told(feed: SightingFeed, count: int, after: str = "") -> list[Told]:
    """Return the first changes after a place."""
    async with aclosing(feed.follow(after, from_oldest=not after)) as following:
        found: list[Told] = []
        async with asyncio.timeout(10):
            async for one in following:
                found += [] if isinstance(one, str) else [one]
                if len(found) == count:
                    break
        return found


@pytest.mark.parametrize(
    "changes",
    [(RECORDED, ERASED), (ERASED, RECORDED), (ERASED,) * 100 + (RECORDED,) * 100],
    ids=["erased", "recorded again", "many"],
)
async def test_changes_come_as_they_were_told_and_in_their_order(
    feed: SightingFeed, changes: Sequence[Change]
) -> None:
    async with aclosing(feed.follow()) as following:
        place = await anext(following)
        for change in changes:
            await feed.publish(change)

        came = [(await asyncio.wait_for(anext(following), 10)) for _ in changes]

    assert isinstance(place, str)
    assert [one.change for one in came if isinstance(one, Told)] == list(changes)


async def test_a_change_is_told_when_it_comes(feed: SightingFeed) -> None:
    async with aclosing(feed.follow()) as following:
        await anext(following)
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)

        await feed.publish(RECORDED)

        came = await asyncio.wait_for(waiting, 2)  # and not after `LOOK_SECONDS`
    assert isinstance(came, Told)
    assert came.change == RECORDED
    assert abs(came.time - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_follower_goes_on_after_each_place_it_was_told(feed: SightingFeed) -> None:
    changes = [RECORDED, OTHER, CONFIRMED, ERASED]
    for change in changes:
        await feed.publish(change)

    every = await told(feed, 4)

    assert [one.change for one in every] == changes
    assert len({one.place for one in every}) == len(changes)
    assert [await told(feed, 3 - at, one.place) for at, one in enumerate(every[:3])] == [
        every[1:],
        every[2:],
        every[3:],
    ]
    assert await read(feed, 1, every[3].place) == [every[3].place]


async def test_a_place_is_refused_once_a_change_after_it_is_gone(held: Feed) -> None:
    for change in (RECORDED, CONFIRMED):
        await held.feed.publish(change)
    every = await told(held.feed, 2)
    async with aclosing(held.feed.follow(every[0].place)) as following:
        assert await anext(following) == every[1]
    await held.feed.publish(ERASED)
    await held.forget()
    await held.forget()  # one of the three is left

    with pytest.raises(FailedPreconditionError) as refused:
        await read(held.feed, 1, every[0].place)

    assert refused.value.reason is Reason.RESUME_TOKEN_EXPIRED
    assert [one.change for one in await told(held.feed, 1, every[1].place)] == [ERASED]


async def test_a_place_of_another_feed_or_of_its_future_is_refused(feed: SightingFeed) -> None:
    await feed.publish(RECORDED)
    (one,) = await told(feed, 1)
    name, number = one.place.split("-")

    for place in (f"{name}0-{number}", f"{name}-{int(number) + 1}"):
        with pytest.raises(FailedPreconditionError) as refused:
            await read(feed, 1, place)
        assert refused.value.reason is Reason.RESUME_TOKEN_EXPIRED


@pytest.mark.parametrize("place", ["-", "1", "a-b", "a b-1", "a-1-2", "a" * 100 + "-1"])
async def test_what_is_no_place_is_refused(feed: SightingFeed, place: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await read(feed, 1, place)


async def test_the_last_change_of_each_is_known(feed: SightingFeed) -> None:
    for change in (RECORDED, OTHER, CONFIRMED):
        await feed.publish(change)

    assert await feed.last() == {"sighting-1": CONFIRMED, "sighting-2": OTHER}
    assert [await feed.count(name) for name in ("subject-1", "nobody")] == [1, 0]
    assert [await feed.case_digest(name) for name in ("subject-1", "subject-2", "nobody")] == [
        "a case",
        "",
        "",
    ]


async def _made_anew(bus: Nats, stream: str) -> None:
    await bus.jetstream.delete_stream(stream)
    feed = await NatsSightingFeed.open(bus, stream, keep=KEEP, replicas=1, prefix=stream)
    await feed.publish(ERASED)


async def _forgotten(bus: Nats, stream: str) -> None:
    feed = await NatsSightingFeed.open(bus, stream, keep=KEEP, replicas=1, prefix=stream)
    for _ in range(3):
        await feed.publish(ERASED)
    await bus.jetstream.purge_stream(stream, keep=1)


@pytest.mark.parametrize("happens", [_made_anew, _forgotten])
async def test_in_nats_who_follows_meanwhile_passes_over_no_gap(
    nats_url: str, monkeypatch: pytest.MonkeyPatch, happens: Callable[..., Awaitable[None]]
) -> None:
    monkeypatch.setattr("homeward.matching.adapters.feed.LOOK_SECONDS", 0.05)
    stream = f"FEED-{uuid4()}"
    async with connection(nats_url, "test") as bus:
        feed = await NatsSightingFeed.open(bus, stream, keep=KEEP, replicas=1, prefix=stream)
        await feed.publish(RECORDED)
        await feed.publish(CONFIRMED)
        async with aclosing(feed.follow(from_oldest=True)) as following:
            told = [await anext(following) for _ in range(3)]
            await happens(bus, stream)
            with pytest.raises(FailedPreconditionError) as ended:
                await asyncio.wait_for(anext(following), 5)

    assert isinstance(told[2], str)
    assert ended.value.reason is Reason.RESUME_TOKEN_EXPIRED


async def test_in_nats_a_follower_goes_on_after_a_restart_of_the_server(
    tmp_path: Path, ports: Mapping[str, int]
) -> None:
    make_private_folder(tmp_path / "secrets")
    spec = nats_spec(tmp_path, port=ports["nats"], token="a-token")
    url = url_of_nats(port=ports["nats"], token="a-token")
    with running(spec, logs=tmp_path / "logs"):
        async with connection(url, "test") as bus:
            feed = await NatsSightingFeed.open(bus, "FEED", keep=KEEP, replicas=1)
            await feed.publish(RECORDED)
            (first,) = await told(feed, 1)
            await feed.publish(CONFIRMED)

    with running(spec, logs=tmp_path / "logs"):
        async with connection(url, "test") as bus:
            feed = await NatsSightingFeed.open(bus, "FEED", keep=KEEP, replicas=1)
            await feed.publish(ERASED)

            came = await told(feed, 2, first.place)

    assert [one.change for one in came] == [CONFIRMED, ERASED]
