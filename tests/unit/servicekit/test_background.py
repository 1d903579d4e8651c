from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from homeward.servicekit import background, errors
from homeward.servicekit.background import AGAIN_AFTER, again_and_again

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
