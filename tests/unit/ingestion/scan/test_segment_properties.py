from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_stage import ALICE, BOB, RATE, FakeSource, Stage, TimesKept, built, seconds

from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.footage.layout import footage_folder
from homeward.ingestion.footage.timeline import Spans
from homeward.ingestion.scan.faces import Frame
from homeward.ingestion.scan.incomparable import IncomparablePerson
from homeward.ingestion.scan.model import Segment
from homeward.ingestion.scan.ports import Piece, Undecodable
from homeward.ingestion.scan.presence_index import StoredPresenceIndex


class OtherTwice(FakeSource):
    """Gives a picture a second time."""

    @asynccontextmanager
    async def frames(
        self, pieces: Sequence[Piece], *, rate: float
    ) -> AsyncGenerator[AsyncIterator[Frame | Undecodable], None]:
        async with super().frames(pieces, rate=rate) as frames:

            async def play() -> AsyncIterator[Frame | Undecodable]:
                async for item in frames:
                    yield item
                    yield item

            yield play()


async def test_a_search_stops_where_a_picture_comes_twice(stage: Stage) -> None:
    source = OtherTwice()
    source.film = [stage.make.frame(tick / RATE) for tick in range(50)]

    with pytest.raises(AssertionError, match="each picture comes once"):
        await stage.search(scanner=stage.scanner_with(source=source))


async def test_a_search_stops_where_a_sighting_would_lie_beyond_the_recording(
    stage: Stage,
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 6, 8)
    stage.media = {"duration": seconds(6.82)}  # the picture at 6.8 s answers until 6.84

    with pytest.raises(AssertionError, match="inside the recording"):
        await stage.search()


async def test_a_search_stops_where_an_earlier_one_would_tell_of_more_than_there_is(
    stage: Stage, bucket: Any
) -> None:
    scanner = stage.scanner_with(presence=StoredPresenceIndex(bucket))
    await bucket.put(
        f"{footage_folder(stage.make.footage().footage_id)}manifest.json", b"{}", content_type=""
    )
    stage.empty(0, 10)
    await stage.search(scanner=scanner)
    stage.timeline = stage.make.timeline(5)

    with pytest.raises(AssertionError, match="no more than the time that pictures answer for"):
        await stage.search(scanner=scanner)


@dataclass(frozen=True)
class Filmed:
    """A recording, who walks through it, and how it is searched; times in microseconds."""

    times: list[int]
    """When its pictures are shown."""
    keys: list[int]
    """Numbers of those that others can be decoded from."""
    large: list[int]
    """Numbers of those that are large in the file."""
    lost: list[int]
    """Numbers of those that do not decode."""
    walks: list[tuple[int, int, int]]
    """Who, from when to when."""
    widths: list[float]
    """How wide the faces of those who walk are."""
    borders: list[int]
    """Where segments end and begin."""
    gated: bool


@st.composite
def films(draw: Any) -> Filmed:
    steady = st.lists(st.just(200_000), min_size=300, max_size=400)
    waits = st.sampled_from([200_000, 210_000, 1_000_000, 2_000_000, 7_000_000, 20_000_000])
    mixed = st.lists(waits, min_size=1, max_size=40)
    times = np.cumsum([0, *draw(st.one_of(steady, steady, mixed))]).tolist()
    numbers = st.integers(0, len(times) - 1)
    instants = st.integers(0, times[-1])
    some = st.lists(numbers, max_size=12)
    pair = st.tuples(instants, st.one_of(instants, st.just(times[-1]))).map(sorted)
    walks = st.tuples(st.sampled_from([ALICE, BOB]), pair).map(lambda one: (one[0], *one[1]))
    often = draw(st.sampled_from([10, 10, 10, 5, 1, 1000]))
    shown = draw(st.lists(walks, max_size=3))
    return Filmed(
        times=times,
        keys=list(range(0, len(times), often)),
        large=[at + more for at in draw(some) for more in range(10) if at + more < len(times)],
        lost=draw(some),
        walks=shown,
        widths=[draw(st.sampled_from([40, 24, 23.9, 12])) for _ in shown],
        borders=sorted({0, *draw(st.lists(instants, max_size=3))}),
        gated=draw(st.sampled_from([True, True, True, False])),
    )


def filmed(stage: Stage, film: Filmed) -> list[Segment]:
    """Put a recording on stage; return the segments to search."""
    # Key pictures vary, or all of it would look like a constant bit rate.
    key_bytes = dict(zip(film.keys, cycle([50_000, 70_000, 90_000]), strict=False))
    sizes = [
        key_bytes.get(number, 3000 if number in film.large else 1000)
        for number in range(len(film.times))
    ]
    at = [one / 1e6 for one in film.times]
    stage.timeline = stage.make.timeline_at(at, keys=film.keys, sizes=sizes)
    stage.source.timeline = stage.timeline
    shown = [one for number, one in enumerate(film.times) if number not in film.lost]
    stage.source.film = [stage.make.frame(one / 1e6) for one in shown]
    for place, ((who, start, end), width) in enumerate(zip(film.walks, film.widths, strict=True)):
        for one in (one for one in shown if start <= one <= end):
            face = stage.make.face(who=who, x=300 * place, width=width)
            stage.faces.faces.setdefault(timedelta(microseconds=one), []).append(face)
    stage.length = stage.timeline.duration.total_seconds()
    stage.media = {"duration": stage.timeline.duration}
    ends = [*film.borders[1:], stage.timeline.duration // timedelta(microseconds=1)]
    pieces = zip(film.borders, ends, strict=True)
    return [stage.make.segment(start / 1e6, end / 1e6) for start, end in pieces]


@dataclass(frozen=True)
class Told:
    """What searches told of a segment, and the times of the pictures that they were given."""

    segment: Segment
    played: set[timedelta]
    incomparable: tuple[IncomparablePerson, ...]


async def told_of(
    film: Filmed, make: Any, new_matcher: Any, clock: Any
) -> tuple[Stage, list[Told]]:
    """Search a recording for the first time, then for a second one where faces were."""
    async with built(make, new_matcher(), clock) as stage:
        segments = filmed(stage, film)
        store = InMemoryFootageStore(lifecycle_days=29, clock=clock)
        folder = footage_folder(make.footage().footage_id)
        await store.put(f"{folder}manifest.json", b"{}", content_type="")
        presence = StoredPresenceIndex(store)
        times = TimesKept()
        scanner = stage.scanner_with(presence=presence, incomparable=times, gated=film.gated)
        told = []
        for segment in [*segments, *segments]:
            times.found.clear()
            done = await stage.search(segment, scanner=scanner)
            people = tuple(person for found in times.found for person in found.people)
            told.append(Told(done, set(stage.source.played), people))
        return stage, told


some_films = settings(max_examples=30, deadline=None, derandomize=True)
"""As many examples as find something, and the same ones each time."""


@given(film=films())
@some_films
def test_no_search_tells_of_more_time_than_pictures_answer_for(
    make: Any, new_matcher: Any, new_clock: Any, film: Filmed
) -> None:
    stage, told = asyncio.run(told_of(film, make, new_matcher, new_clock()))

    pictured = stage.timeline.pictured
    most = [(pictured & Spans.among([one.segment.stretch])).total for one in told]
    assert all(one.segment.searched <= time for one, time in zip(told, most, strict=True)), told
    assert all(
        one.segment.searched + sum((gap.duration for gap in one.segment.gaps), timedelta())
        == one.segment.duration
        for one in told
    )


@given(film=films())
@some_films
def test_no_search_counts_a_picture_twice(
    make: Any, new_matcher: Any, new_clock: Any, film: Filmed
) -> None:
    stage, told = asyncio.run(told_of(film, make, new_matcher, new_clock()))

    first, again = told[: len(told) // 2], told[len(told) // 2 :]
    counted = [one.segment.counts.frames for one in told]
    assert counted == [
        sum(one.segment.start <= at < one.segment.end for at in one.played) for one in told
    ]
    assert sum(one.segment.counts.frames for one in first) <= len(stage.source.film)
    assert sum(one.segment.counts.frames for one in again) <= len(stage.source.film)
    faces = sum(map(len, stage.faces.faces.values()))
    assert sum(one.segment.counts.faces for one in first) <= faces


@given(film=films())
@some_films
def test_a_second_search_tells_of_the_same_people_who_could_not_be_compared(
    make: Any, new_matcher: Any, new_clock: Any, film: Filmed
) -> None:
    _, told = asyncio.run(told_of(film, make, new_matcher, new_clock()))

    first, again = told[: len(told) // 2], told[len(told) // 2 :]
    counts = [one.segment.counts for one in first]
    assert [one.segment.counts.sizes for one in again] == [one.sizes for one in counts]
    assert [one.segment.counts.incomparable for one in again] == [
        one.incomparable for one in counts
    ]
    assert [one.incomparable for one in again] == [one.incomparable for one in first]
    assert all(one.sizes.too_small + one.sizes.unclear == one.incomparable for one in counts)
    assert all(
        one.segment.start <= person.start < person.end <= one.segment.end
        for one in told
        for person in one.incomparable
    )


@given(film=films())
@some_films
def test_every_sighting_lies_inside_the_recording(
    make: Any, new_matcher: Any, new_clock: Any, film: Filmed
) -> None:
    stage, _ = asyncio.run(told_of(film, make, new_matcher, new_clock()))

    end = stage.timeline.duration
    assert all(
        timedelta() <= one.start <= one.best_shot <= one.end <= end for one in stage.matcher.drafts
    )
