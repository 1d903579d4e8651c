from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import pytest

from homeward.servicekit.errors import Reason, ResourceExhaustedError
from homeward.servicekit.executor import BoundedExecutor


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


async def started(threads: BoundedExecutor, gate: threading.Event) -> asyncio.Task[bool]:
    """Return a call that has begun, and ends when the gate opens."""
    begun = threading.Event()

    def wait() -> bool:
        begun.set()
        return gate.wait(10)

    task = asyncio.create_task(threads.run(wait))
    await asyncio.to_thread(begun.wait, 10)
    return task


async def settled() -> None:
    """Let what other threads have told the loop happen."""
    await asyncio.to_thread(lambda: None)


async def test_a_call_gives_what_it_returns() -> None:
    async with BoundedExecutor("t", workers=1, queue=0) as threads:
        assert await threads.run(divmod, 7, 2) == (3, 1)


async def test_a_call_raises_what_it_raises() -> None:
    async with BoundedExecutor("t", workers=1, queue=0) as threads:
        with pytest.raises(ZeroDivisionError):
            await threads.run(divmod, 7, 0)


async def test_calls_run_in_threads_of_its_name() -> None:
    async with BoundedExecutor("qdrant", workers=1, queue=0) as threads:
        name = await threads.run(lambda: threading.current_thread().name)

    assert name.startswith("qdrant")


async def test_a_full_queue_refuses(gate: threading.Event) -> None:
    async with BoundedExecutor("s3", workers=1, queue=1) as threads:
        running = await started(threads, gate)
        waiting = asyncio.create_task(threads.run(int))
        await settled()

        with pytest.raises(ResourceExhaustedError) as refused:
            await threads.run(int)

        gate.set()
        assert await asyncio.gather(running, waiting) == [True, 0]
    assert refused.value.reason is Reason.QUEUE_FULL
    assert refused.value.metadata == {"component": "s3"}
    assert refused.value.message == (
        "all threads for s3 are busy and its queue is full (2 calls in all); try again in 1 s"
    )


async def test_a_call_that_ended_makes_room(gate: threading.Event) -> None:
    async with BoundedExecutor("s3", workers=1, queue=0) as threads:
        running = await started(threads, gate)
        gate.set()
        await running
        await settled()

        assert await threads.run(int) == 0


async def test_a_call_that_failed_makes_room() -> None:
    async with BoundedExecutor("s3", workers=1, queue=0) as threads:
        with pytest.raises(ZeroDivisionError):
            await threads.run(divmod, 1, 0)
        await settled()

        assert await threads.run(int) == 0


async def test_a_caller_that_gave_up_keeps_its_place_until_the_call_ends(
    gate: threading.Event,
) -> None:
    async with BoundedExecutor("s3", workers=1, queue=0) as threads:
        running = await started(threads, gate)
        running.cancel()
        await settled()

        with pytest.raises(ResourceExhaustedError):
            await threads.run(int)

        gate.set()


async def test_closing_waits_for_the_call_under_way_and_drops_those_that_wait(
    gate: threading.Event,
) -> None:
    async with BoundedExecutor("s3", workers=1, queue=1) as threads:
        running = await started(threads, gate)
        waiting = asyncio.create_task(threads.run(int))
        await settled()
        waiting.add_done_callback(lambda _: gate.set())

    assert await running is True
    assert waiting.cancelled()


async def test_closing_does_not_stop_the_loop_that_a_call_needs() -> None:
    loop = asyncio.get_running_loop()

    def needs_the_loop(call: Callable[[], None]) -> str:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(10)
        call()
        return "done"

    async with BoundedExecutor("s3", workers=1, queue=0) as threads:
        begun = asyncio.Event()
        task = asyncio.create_task(
            threads.run(needs_the_loop, partial(loop.call_soon_threadsafe, begun.set))
        )
        await asyncio.sleep(0)

    assert await task == "done"
