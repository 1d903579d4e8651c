from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from homeward.ingestion.footage.receiving import PartBuffer, UploadSlots, until_idle
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
    passed = until_idle(chunks(b"a", b"b", ends=True), timedelta(minutes=1))

    assert [one async for one in passed] == [b"a", b"b"]


async def test_chunks_that_stop_to_come_end_in_an_error() -> None:
    passed = until_idle(chunks(b"a", ends=False), timedelta(milliseconds=1))

    assert await anext(passed) == b"a"
    with pytest.raises(DeadlineExceededError) as refused:
        await anext(passed)
    assert refused.value.reason is Reason.DEADLINE_EXCEEDED
