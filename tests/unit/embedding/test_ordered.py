from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from homeward.embedding.ordered import in_order


class Gate:
    """Work that ends when the test says so."""

    def __init__(self, count: int) -> None:
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.opened = [asyncio.Event() for _ in range(count)]

    async def work(self, item: int) -> int:
        self.started.append(item)
        try:
            await self.opened[item].wait()
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        return item


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_answers_keep_the_order_of_the_items() -> None:
    gate = Gate(3)
    answers = asyncio.ensure_future(anext(in_order(numbers(3), gate.work, limit=3)))
    await settle()
    gate.opened[2].set()
    gate.opened[1].set()
    await settle()
    assert not answers.done()

    gate.opened[0].set()

    assert await answers == 0


async def test_no_more_than_the_limit_are_in_work() -> None:
    gate = Gate(5)
    first = asyncio.ensure_future(anext(in_order(numbers(5), gate.work, limit=2)))

    await settle()

    assert gate.started == [0, 1]
    gate.opened[0].set()
    await first


async def test_an_answer_comes_before_the_next_item_is_sent() -> None:
    sent: asyncio.Queue[int] = asyncio.Queue()

    async def one_at_a_time() -> AsyncIterator[int]:
        while True:
            yield await sent.get()

    async def double(item: int) -> int:
        return item * 2

    answers = in_order(one_at_a_time(), double, limit=4)
    sent.put_nowait(21)

    assert await anext(answers) == 42
    await answers.aclose()


async def test_an_error_ends_it_in_its_turn_and_stops_the_rest() -> None:
    gate = Gate(3)

    async def fail_second(item: int) -> int:
        if item == 1:
            raise ValueError(item)
        return await gate.work(item)

    answers = in_order(numbers(3), fail_second, limit=3)
    gate.opened[0].set()

    assert await anext(answers) == 0
    with pytest.raises(ValueError, match="1"):
        await anext(answers)
    assert gate.cancelled == [2]


async def test_an_error_of_the_sender_is_raised() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError

    async def same(item: int) -> int:
        return item

    answers = in_order(broken(), same, limit=2)

    assert await anext(answers) == 1
    with pytest.raises(ConnectionError):
        await anext(answers)


async def test_an_empty_stream_has_no_answers() -> None:
    gate = Gate(0)

    assert [answer async for answer in in_order(numbers(0), gate.work, limit=2)] == []
