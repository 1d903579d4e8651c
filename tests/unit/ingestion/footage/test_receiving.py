from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from homeward.ingestion.footage.receiving import (
    LeastProgress,
    PartBuffer,
    UploadSlots,
    first_of,
    progressing,
)
from homeward.servicekit.errors import DeadlineExceededError, Reason, ResourceExhaustedError


def test_as_many_slots_as_there_are_can_be_held() -> None:
    slots = UploadSlots(2)

    with slots.slot(), slots.slot(), pytest.raises(ResourceExhaustedError) as refused:
        slots.slot().__enter__()

    assert refused.value.reason is Reason.QUEUE_FULL
    assert refused.value.retry_seconds


def test_a_slot_is_free_again_after_an_error() -> None:
    slots = UploadSlots(1)
    with pytest.raises(ValueError, match="broke off"), slots.slot():
        raise ValueError("broke off")

    with slots.slot():
        pass


def test_a_part_takes_bytes_up_to_its_size_and_gives_the_rest_back() -> None:
    with PartBuffer(b"ab", size=4) as part:
        assert part.add(b"c") == b""
        assert not part.full
        assert part.add(b"def") == b"ef"
        assert part.full
        assert bytes(part.data) == b"abcd"


def test_a_part_that_was_cleared_takes_the_next_bytes() -> None:
    with PartBuffer(b"abcd", size=4) as part:
        part.clear()

        assert not part
        assert part.add(b"e") == b""
        assert bytes(part.data) == b"e"


def test_a_part_holds_no_memory_when_its_block_has_ended() -> None:
    with PartBuffer(b"abcd", size=4) as part:
        pass

    assert bytes(part.data) == b""


def test_bytes_that_are_still_sent_outlive_the_part() -> None:
    with PartBuffer(b"abcd", size=4) as part:
        sent = part.data

    assert bytes(sent) == b"abcd"


async def chunks(*data: bytes, ends: bool) -> AsyncIterator[bytes]:
    for one in data:
        yield one
    if not ends:
        await asyncio.Event().wait()


async def test_chunks_pass_until_they_end() -> None:
    passed = progressing(chunks(b"a", b"b", ends=True), LeastProgress(timedelta(minutes=1), 100))

    assert [one async for one in passed] == [b"a", b"b"]


async def test_chunks_that_stop_to_come_end_in_an_error() -> None:
    passed = progressing(chunks(b"a", ends=False), LeastProgress(timedelta(milliseconds=1)))

    assert await anext(passed) == b"a"
    with pytest.raises(DeadlineExceededError) as refused:
        await anext(passed)
    assert refused.value.reason is Reason.DEADLINE_EXCEEDED


async def dripping(loop: TurningLoop, *, size: int, every: float) -> AsyncIterator[bytes]:
    while True:
        await loop.passes(every)
        yield bytes(size)


class TurningLoop:
    """Lets time pass at once, for the one who waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._ahead = 0.0
        real = self._loop.time
        monkeypatch.setattr(self._loop, "time", lambda: real() + self._ahead)

    async def passes(self, seconds: float) -> None:
        self._ahead += seconds
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("size", "every", "passes"),
    [(1000, 6.1, 10), (999, 6.1, 9), (10_000, 59, None), (10_000, 61, 0), (1, 1, 60)],
    ids=["just enough", "just too slow", "seldom", "too seldom", "a drip"],
)
async def test_an_upload_ends_that_comes_too_slowly(
    monkeypatch: pytest.MonkeyPatch, size: int, every: float, passes: int | None
) -> None:
    loop = TurningLoop(monkeypatch)
    least = LeastProgress(timedelta(minutes=1), 10_000)
    come = 0
    passed = progressing(dripping(loop, size=size, every=every), least)
    try:
        async for _ in passed:
            come += 1
            if come == 100:
                break
    except DeadlineExceededError:
        assert passes is not None
        assert abs(come - passes) <= 1
    else:
        assert passes is None


async def test_time_in_which_nobody_waits_for_the_uploader_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = TurningLoop(monkeypatch)
    least = LeastProgress(timedelta(minutes=1), 10_000)
    passed = progressing(dripping(loop, size=5000, every=20), least)
    for _ in range(20):
        await anext(passed)
        await loop.passes(300)  # the store takes its time


async def test_a_call_that_never_begins_is_ended() -> None:
    with pytest.raises(DeadlineExceededError):
        await first_of(chunks(ends=False), timedelta(milliseconds=1))
    assert await first_of(chunks(b"a", ends=False), timedelta(minutes=1)) == b"a"
    assert await first_of(chunks(ends=True), timedelta(minutes=1)) is None
