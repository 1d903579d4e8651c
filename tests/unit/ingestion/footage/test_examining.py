from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeward.ingestion.footage.examining import Examinations
from homeward.ingestion.footage.limits import MAX_EXAMINED_AT_ONCE
from homeward.ingestion.footage.model import Footage


class Examiner:
    """Examines when it is let, and remembers how many it had at a time."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self.go_on = asyncio.Event()
        self.under_way = 0
        self.most = 0
        self.done: list[str] = []
        self.problem: Exception | None = None

    async def __call__(self, footage_id: str) -> Footage:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.go_on.wait()
            if self.problem is not None:
                raise self.problem
        finally:
            self.under_way -= 1
        self.done.append(footage_id)
        footage: Footage = self._make.footage()
        return footage


@pytest.fixture
def examiner(make: Any) -> Examiner:
    return Examiner(make)


@pytest.fixture
def examinations(examiner: Examiner) -> Examinations:
    return Examinations(examiner)


async def settled() -> None:
    """Let all that can go on do so."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_many_recordings_are_examined_a_few_at_a_time(
    examinations: Examinations, examiner: Examiner
) -> None:
    names = [f"recording-{number}" for number in range(20)]
    waiting = asyncio.gather(*map(examinations.of, names))
    await settled()
    assert examiner.under_way == MAX_EXAMINED_AT_ONCE

    examiner.go_on.set()
    await waiting

    assert sorted(examiner.done) == sorted(names)
    assert examiner.most == MAX_EXAMINED_AT_ONCE


async def test_who_asks_for_the_same_recording_waits_for_the_same_examination(
    examinations: Examinations, examiner: Examiner
) -> None:
    examiner.go_on.set()

    first, second = await asyncio.gather(examinations.of("one"), examinations.of("one"))

    assert first is second
    assert examiner.done == ["one"]


async def test_a_recording_can_be_examined_once_more_later(
    examinations: Examinations, examiner: Examiner
) -> None:
    examiner.go_on.set()

    await examinations.of("one")
    await examinations.of("one")

    assert examiner.done == ["one", "one"]


async def test_an_examination_goes_on_when_the_call_has_ended(
    examinations: Examinations, examiner: Examiner
) -> None:
    call = asyncio.create_task(examinations.of("one"))
    await settled()

    call.cancel()
    await settled()
    examiner.go_on.set()
    await settled()

    assert call.cancelled()
    assert examiner.done == ["one"]


async def test_a_recording_that_cannot_be_examined_keeps_no_other(
    examinations: Examinations, examiner: Examiner
) -> None:
    examiner.problem = ValueError("damaged")
    examiner.go_on.set()

    problems = await asyncio.gather(
        *map(examinations.of, ["one", "two", "three"]), return_exceptions=True
    )
    examiner.problem = None
    await examinations.of("four")

    assert [str(one) for one in problems] == ["damaged"] * 3
    assert examiner.done == ["four"]


async def test_examinations_end_when_they_are_closed(
    examinations: Examinations, examiner: Examiner
) -> None:
    calls = [asyncio.create_task(examinations.of(f"recording-{one}")) for one in range(5)]
    await settled()

    await examinations.close()
    await asyncio.wait(calls)

    assert all(call.cancelled() for call in calls)
    assert (examiner.under_way, examiner.done) == (0, [])
