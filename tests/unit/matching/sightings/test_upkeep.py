from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sighting_calls import CONFIRM, INCONCLUSIVE, followed, found, recorded, review, stills


async def test_a_still_goes_with_its_footage_however_late_it_was_found(
    matching: Any, finding: Any
) -> None:
    # Of a recording that the store removes tomorrow; the still is of today.
    until = matching.clock.now() + timedelta(hours=20)
    await recorded(matching, replace(finding(), still_until=until))
    matching.clock.pass_time(timedelta(days=1, hours=12))

    matching.evidence.expire(28, "pending/")

    assert await stills(matching) == []


async def test_a_sighting_whose_still_the_store_removed_is_marked_by_the_sweep(
    matching: Any, finding: Any
) -> None:
    sighting = await recorded(matching, finding())
    other = await recorded(matching, finding(100, 110))
    await matching.evidence.delete(f"pending/{sighting.sighting_id}.jpg")

    async with aclosing(followed(matching)) as updates:
        following = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0)
        assert await matching.upkeep.sweep() == 0
        told = await following

    assert told == replace(sighting, still_gone=True)
    assert await matching.review.get(sighting.sighting_id) == told
    assert await matching.review.get(other.sighting_id) == other
    assert await matching.upkeep.sweep() == 0


async def test_a_sighting_whose_still_is_gone_takes_the_next_one(
    matching: Any, finding: Any
) -> None:
    sighting = await recorded(matching, finding(score=0.6))
    await matching.evidence.delete(f"pending/{sighting.sighting_id}.jpg")
    await matching.upkeep.sweep()

    _, again = await matching.recording.record(finding(score=0.5, still=b"another"))

    assert not again.still_gone
    assert await matching.review.still(again) == b"another"


async def test_no_empty_still_is_written_for_one_that_is_gone(matching: Any, finding: Any) -> None:
    await recorded(matching, finding(10, 14, score=0.5))
    best = await recorded(matching, finding(20, 24, score=0.7))
    await matching.evidence.delete(f"pending/{best.sighting_id}.jpg")

    _, joined = await matching.recording.record(finding(13, 21, score=0.5))

    assert joined.sighting_id != best.sighting_id
    assert joined.still_gone
    assert await matching.review.still(joined) != b""


async def test_erasing_footage_keeps_what_was_confirmed(matching: Any, finding: Any) -> None:
    confirmed = await review(matching, await recorded(matching, finding(10, 14)), CONFIRM)
    await recorded(matching, finding(60, 64))
    await review(matching, await recorded(matching, finding(90, 94)), INCONCLUSIVE)
    other = await recorded(matching, finding(footage_id="footage-2"))

    count = await matching.upkeep.erase_footage("footage-1")

    assert count == 2
    assert {one.sighting_id for one in await found(matching)} == {
        confirmed.sighting_id,
        other.sighting_id,
    }
    assert await stills(matching) == ["confirmed", "pending"]
    assert len(await matching.ledger.entries()) == 1


async def test_erasing_footage_again_finds_nothing(matching: Any, finding: Any) -> None:
    await recorded(matching, finding())
    await matching.upkeep.erase_footage("footage-1")

    assert await matching.upkeep.erase_footage("footage-1") == 0
