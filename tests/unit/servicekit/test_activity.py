"""Counts by day: what is repeated counts once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from homeward.servicekit import activity
from homeward.servicekit.activity import ActivityCounts
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class At:
    """A clock that is set."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def store() -> InMemoryKeyValueStore:
    return InMemoryKeyValueStore()


@pytest.fixture
def counts(store: InMemoryKeyValueStore) -> ActivityCounts:
    return ActivityCounts(store, At(NOON))


async def figures(counts: ActivityCounts, first: date = DAY, last: date = DAY) -> list[Any]:
    return [one.figures for one in await counts.totals("searches", first, last)]


async def test_what_is_stated_again_replaces_what_was_stated(counts: ActivityCounts) -> None:
    await counts.state("searches", "a", NOON, {"n": 1, "awaited": 1})
    await counts.state("searches", "b", NOON, {"n": 1})
    await counts.state("searches", "a", NOON, {"n": 1, "authorised": 1})
    await counts.state("searches", "a", NOON, {"n": 1, "authorised": 1})

    assert await figures(counts) == [{"n": 2, "authorised": 1}]


async def test_days_and_kinds_are_apart_and_a_span_has_its_days_alone(
    counts: ActivityCounts,
) -> None:
    for day in (0, 1, 30, 31):
        await counts.state("searches", f"{day}", NOON - timedelta(days=day), {"n": day})
    await counts.state("candidates", "x", NOON, {"n": 100})

    assert await figures(counts, date(2026, 10, 21), DAY) == [{"n": 30}, {"n": 1}, {"n": 0}]


async def test_two_replicas_that_write_at_once_both_count(store: InMemoryKeyValueStore) -> None:
    first, second = ActivityCounts(store, At(NOON)), ActivityCounts(store, At(NOON))
    for number in range(200):
        await (first, second)[number % 2].state("searches", f"{number}", NOON, {"n": 1})

    assert await figures(first) == [{"n": 200}]


async def test_sums_stay_when_tokens_go(store: InMemoryKeyValueStore) -> None:
    clock = At(NOON)
    counts = ActivityCounts(store, clock)
    await counts.state("searches", "a", NOON, {"n": 1})
    await counts.state("searches", "b", NOON, {"n": 2})
    clock.time += activity.TOKENS_KEPT + timedelta(days=2)

    await counts.forget_tokens()
    await counts.state("searches", "a", NOON, {"n": 1})

    assert await figures(counts) == [{"n": 3}]
    written = [entry.value for entry in await store.entries("searches.>")]
    assert all(b'"stated":{}' in value for value in written)


async def test_no_token_goes_while_something_may_be_stated_under_it(
    store: InMemoryKeyValueStore,
) -> None:
    clock = At(NOON)
    counts = ActivityCounts(store, clock)
    await counts.state("searches", "a", NOON, {"n": 1})
    clock.time += activity.TOKENS_KEPT

    await counts.forget_tokens()
    await counts.state("searches", "a", NOON, {"n": 5})

    assert await figures(counts) == [{"n": 5}]


async def test_tokens_go_too_where_nothing_ran_for_months(store: InMemoryKeyValueStore) -> None:
    clock = At(NOON)
    counts = ActivityCounts(store, clock)
    await counts.begin()
    for months in (0, 4):  # nothing in between
        clock.time = NOON + timedelta(days=31 * months)
        await counts.state("candidates", "a", clock.time, {"n": 1})
    clock.time += timedelta(days=200)

    await counts.forget_tokens()

    written = [entry.value for entry in await store.entries("candidates.>")]
    assert [b'"stated":{}' in value for value in written] == [True, True]


async def test_an_id_is_not_kept(store: InMemoryKeyValueStore, counts: ActivityCounts) -> None:
    name = "8c41f7d2-0f3a-4b52-8f63-5a1f0a0d2b11"
    await counts.state("searches", name, NOON, {"n": 1})

    [entry] = await store.entries()
    assert name.encode() not in entry.value
    assert name[:8].encode() not in entry.value


async def test_a_day_with_more_than_is_counted_says_so(
    monkeypatch: pytest.MonkeyPatch, counts: ActivityCounts
) -> None:
    monkeypatch.setattr(activity, "MOST_TOKENS", 1)
    for number in range(40):
        await counts.state("searches", f"{number}", NOON, {"n": 1})

    [day] = await counts.totals("searches", DAY, DAY)
    assert day.incomplete
    assert day.figures["n"] == activity.PARTS


async def test_since_when_it_is_counted_is_noted_once(store: InMemoryKeyValueStore) -> None:
    assert await ActivityCounts(store, At(NOON)).since() is None
    await ActivityCounts(store, At(NOON)).begin()
    await ActivityCounts(store, At(NOON + timedelta(days=3))).begin()

    assert await ActivityCounts(store, At(NOON)).since() == NOON
