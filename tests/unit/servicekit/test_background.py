from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from homeward.servicekit import background, errors
from homeward.servicekit.background import AGAIN_AFTER, again_and_again, end

HOUR = timedelta(hours=1)


class EnoughError(Exception):
    """Ends what would go on for ever."""


async def waits(
    monkeypatch: pytest.MonkeyPatch, work: Any, *, rounds: int, every: timedelta = HOUR
) -> list[float]:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == rounds:
            raise EnoughError

    monkeypatch.setattr(background.asyncio, "sleep", sleep)
    with pytest.raises(EnoughError):
        await again_and_again(work, every=every)
    return waited


async def test_what_could_not_be_done_is_soon_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = iter(
        [
            None,
            errors.unavailable("S3", "http://s3:1", "start it"),
            RuntimeError("a fault"),
            False,
            3,
        ]
    )

    async def work() -> object:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    soon = AGAIN_AFTER.total_seconds()
    assert await waits(monkeypatch, work, rounds=5) == [3600, soon, soon, soon, 3600]


async def test_failure_never_makes_a_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> bool:
        return False

    second = timedelta(seconds=1)
    assert await waits(monkeypatch, work, rounds=1, every=second) == [1]


async def test_a_task_that_loses_its_cancellation_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "CANCELLED_AGAIN_SECONDS", 0.01)
    lost = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:  # as `asyncio.wait_for` of Python 3.11 may
            lost.append(cancelled)
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)

    await asyncio.wait_for(end([task]), timeout=5)

    assert task.cancelled()
    assert len(lost) == 1


async def test_what_a_task_failed_with_is_raised_when_it_is_ended() -> None:
    async def fail() -> None:
        raise RuntimeError("a fault")

    async def wait() -> None:
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(wait()), asyncio.create_task(fail())]
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="a fault"):
        await end(tasks)

    assert tasks[0].cancelled()
