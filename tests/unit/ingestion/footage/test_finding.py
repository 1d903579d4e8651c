"""Finding recordings: what is asked for is found, and no more is asked of the store than needed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from footage_filling import HOUR, CountingStore, fill

from homeward.ingestion.footage import finding
from homeward.ingestion.footage.finding import REACH, FootageFilter, FootageFinder, FootagePage
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.limits import MAX_SPAN
from homeward.ingestion.footage.model import Footage, HeldFootage
from homeward.ingestion.footage.records import FootageRecords
from homeward.servicekit.keyvalue import InMemoryKeyValueStore


@pytest.fixture
def store(clock: Any) -> CountingStore:
    return CountingStore(clock)


@pytest.fixture
def finder(store: CountingStore, erasures: InMemoryKeyValueStore, clock: Any) -> FootageFinder:
    return FootageFinder(store, FootageRecords(erasures), clock)


async def all_of(finder: FootageFinder, wanted: FootageFilter) -> list[Footage]:
    return [footage async for footage in finder.each(wanted)]


async def test_recordings_are_found_by_camera_and_start(
    finder: FootageFinder, store: CountingStore, make: Any
) -> None:
    held = await fill(store, make, cameras=3, days=2, hours=2)

    assert await all_of(finder, FootageFilter()) == held


async def test_a_folder_that_is_no_camera_is_passed_over(
    finder: FootageFinder, store: CountingStore, make: Any
) -> None:
    held = await fill(store, make, cameras=2, days=1, hours=1)
    layout = FootageLayout(held[0].footage_id)
    for key in (layout.manifest, layout.file):
        copied = key.replace(held[0].header.camera_id, "a copy", 1)
        await store.put(copied, b"{}", content_type="text/plain")

    assert await all_of(finder, FootageFilter()) == held
    first = await finder.page(FootageFilter(), size=1)
    assert (await finder.page(FootageFilter(), size=2, after=first.next_place)).footage == (
        held[1],
    )
    assert len(await finder.camera_ids()) == 2


async def test_an_hour_of_a_camera_costs_the_same_however_much_else_is_held(
    finder: FootageFinder, store: CountingStore, make: Any
) -> None:
    held = await fill(store, make, cameras=20, days=9, hours=4)
    start = held[-2].header.start_time
    store.requests.clear()

    found = await all_of(finder, FootageFilter(("cam-019",), start, start + HOUR))

    assert found == [held[-2]]
    # Year, month and days of the camera; the days that a recording may reach from; of these, what
    # begins before the window ends and may last until it begins.
    assert store.requests == Counter(level=3 + 9, get=1 + 7 * 4 + 3, stat=1)


async def test_a_manifest_whose_recording_is_known_to_end_earlier_is_not_read(
    finder: FootageFinder, store: CountingStore, erasures: InMemoryKeyValueStore, make: Any
) -> None:
    held = await fill(store, make, days=9, hours=4)
    for one in held[:-4]:  # those of the last day came before this was written down
        known = HeldFootage(one.footage_id, one.receive_time, one.delete_time, "", one.end_time)
        await FootageRecords(erasures).remember(known)
    start = held[-2].header.start_time
    store.requests.clear()

    found = await all_of(finder, FootageFilter(("cam-000",), start, start + HOUR))

    assert found == [held[-2]]
    assert store.requests == Counter(level=3 + 9, get=3, stat=1)


@pytest.mark.parametrize(("late", "found"), [(timedelta(), 0), (timedelta(microseconds=1), 1)])
async def test_a_recording_is_read_that_may_last_into_the_window(
    *,
    finder: FootageFinder,
    store: CountingStore,
    erasures: InMemoryKeyValueStore,
    make: Any,
    late: timedelta,
    found: int,
) -> None:
    (one,) = await fill(store, make, hours=1)
    known = HeldFootage(one.footage_id, one.receive_time, one.delete_time, "", one.end_time)
    await FootageRecords(erasures).remember(known)

    await all_of(finder, FootageFilter((), one.end_time - late, None))

    assert store.requests["get"] == found


@pytest.mark.parametrize("before", [timedelta(), MAX_SPAN - timedelta(seconds=1)])
async def test_a_recording_that_began_days_before_a_window_is_found(
    finder: FootageFinder, store: CountingStore, make: Any, before: timedelta
) -> None:
    (footage,) = await fill(store, make, hours=1, length=MAX_SPAN.total_seconds())
    start = footage.header.start_time + before

    assert await all_of(finder, FootageFilter((), start, start + HOUR)) == [footage]


async def test_a_day_that_no_recording_of_a_window_can_begin_on_is_not_looked_at(
    finder: FootageFinder, store: CountingStore, make: Any
) -> None:
    (footage,) = await fill(store, make, hours=1)
    start = footage.header.start_time + REACH + timedelta(days=1)

    assert await all_of(finder, FootageFilter(("cam-000",), start, None)) == []
    assert store.requests == Counter(level=3)


async def test_a_window_that_begins_with_time_itself_finds_all(
    finder: FootageFinder, store: CountingStore, make: Any
) -> None:
    held = await fill(store, make, hours=2)

    assert await all_of(finder, FootageFilter((), finding._EARLIEST, None)) == held


async def pages_of(finder: FootageFinder, wanted: FootageFilter, size: int) -> list[FootagePage]:
    pages = [await finder.page(wanted, size=size)]
    while pages[-1].next_place:
        pages.append(await finder.page(wanted, size=size, after=pages[-1].next_place))
    return pages


@pytest.mark.parametrize("size", [1, 3, 7, 11, 12, 13])
async def test_pages_make_up_the_list(
    finder: FootageFinder, store: CountingStore, make: Any, size: int
) -> None:
    held = await fill(store, make, cameras=3, days=2, hours=2)

    pages = await pages_of(finder, FootageFilter(), size)

    assert [one for page in pages for one in page.footage] == held
    assert {len(page.footage) for page in pages[:-1]} <= {size}
    assert len(pages[-1].footage) > 0


async def test_any_page_costs_the_same_however_much_is_held(
    finder: FootageFinder, store: CountingStore, make: Any
) -> None:
    held = await fill(store, make, cameras=10, days=10, hours=24)
    first = await finder.page(FootageFilter(), size=100)
    before = sum(store.requests.values())
    place = await place_of(finder, 1500)
    store.requests.clear()

    later = await finder.page(FootageFilter(), size=100, after=place)

    assert list(first.footage) == held[:100]
    assert list(later.footage) == held[1500:1600]
    assert before < 320
    assert sum(store.requests.values()) < 320


async def place_of(finder: FootageFinder, number: int) -> str:
    """Return where a page ends that has so many recordings."""
    return (await finder.page(FootageFilter(), size=number)).next_place


async def test_a_page_that_finds_little_ends_and_the_next_one_goes_on(
    finder: FootageFinder, store: CountingStore, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "PAGE_MISSES", 4)
    held = await fill(store, make, cameras=5, hours=2)
    wanted = FootageFilter((), held[1].header.start_time, held[1].end_time)

    pages = await pages_of(finder, wanted, 100)

    # Of each camera a recording is not asked for, and the day ends.
    assert [len(page.footage) for page in pages] == [2, 2, 1]


async def test_a_recording_that_was_deleted_between_two_pages_ends_no_list(
    finder: FootageFinder, store: CountingStore, make: Any
) -> None:
    held = await fill(store, make, days=2, hours=2)
    first = await finder.page(FootageFilter(), size=2)
    await store.purge(FootageLayout(held[1].footage_id).folder)

    rest = await finder.page(FootageFilter(), size=2, after=first.next_place)

    assert list(rest.footage) == held[2:]


@pytest.mark.parametrize("left", ["manifest", "file"])
async def test_what_broke_off_is_no_recording(
    finder: FootageFinder, store: CountingStore, make: Any, left: str
) -> None:
    held = await fill(store, make, hours=2)
    await store.delete(getattr(FootageLayout(held[0].footage_id), left))

    assert await all_of(finder, FootageFilter()) == held[1:]


@pytest.mark.parametrize("count", [0, 1])
async def test_it_tells_whether_there_is_any_recording(
    finder: FootageFinder, store: CountingStore, make: Any, count: int
) -> None:
    await fill(store, make, hours=count)

    assert await finder.holds_any() is bool(count)
