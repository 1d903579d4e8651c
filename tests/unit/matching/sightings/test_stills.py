from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sighting_calls import seconds, with_stills

from homeward.matching.sightings.model import Decision, Finding, Sighting, SightingStill
from homeward.matching.sightings.stills import Stills, sighting_in


async def recorded(matching: Any, found: Finding) -> Sighting:
    _, sighting = await matching.recording.record(found)
    assert sighting is not None
    return sighting


async def keys(matching: Any) -> list[str]:
    return [one.key for one in await matching.evidence.objects("")]


async def decide(matching: Any, sighting: Sighting, decision: Decision) -> Sighting:
    return await matching.review.review(
        sighting.sighting_id, decision=decision, reason="", reviewer="R. Viewer"
    )


async def test_a_sighting_has_the_stills_of_its_finding(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, with_stills(finding(), {11: 0.9, 10: 0.8, 12.5: 0.7}))

    assert [one.offset for one in sighting.stills] == [seconds(10), seconds(11), seconds(12.5)]
    assert await matching.review.stills(sighting) == [b"10", b"11", b"12.5"]
    assert await matching.review.still(sighting) == b"11"
    assert await matching.review.get(sighting.sighting_id) == sighting


async def test_what_joins_leaves_the_six_best_of_both(matching: Any, finding: Any) -> None:
    early = dict.fromkeys((10, 11, 12, 13), 0.5)
    late = {15: 0.9, 16: 0.8, 17: 0.2, 18: 0.7}
    await recorded(matching, with_stills(finding(10, 14, score=0.5), early))

    joined = await recorded(matching, with_stills(finding(15, 19, score=0.6), late))

    told = [one.offset.total_seconds() for one in joined.stills]
    assert told == [10, 11, 12, 15, 16, 18]
    assert await matching.review.stills(joined) == [b"10", b"11", b"12", b"15", b"16", b"18"]
    assert await matching.review.still(joined) == b"15"
    assert len(await keys(matching)) == 6


async def test_the_still_that_was_best_stays_beside_the_one_that_is(
    matching: Any, finding: Any
) -> None:
    await recorded(matching, with_stills(finding(10, 14, score=0.5), {10: 0.9, 11: 0.4}))

    joined = await recorded(matching, with_stills(finding(15, 19, score=0.6), {15: 0.1, 16: 0.3}))

    assert joined.best_shot_offset == seconds(15)
    assert await matching.review.stills(joined) == [b"10", b"11", b"15", b"16"]
    assert await matching.review.still(joined) == b"15"


async def test_a_repeated_search_changes_no_still(matching: Any, finding: Any) -> None:
    first = await recorded(matching, with_stills(finding(), {10: 0.5, 12: 0.5}))
    again = with_stills(finding(), {10.2: 0.53, 12.4: 0.53}, name="again ")

    joined = await recorded(matching, again)

    assert joined == first
    assert await matching.review.stills(joined) == [b"10", b"12"]


async def test_times_of_stills_are_by_the_clock_of_the_best_one(
    matching: Any, finding: Any
) -> None:
    first = await recorded(matching, with_stills(finding(10, 14, score=0.5), {10: 0.5}))
    found = with_stills(finding(15, 19, score=0.6), {15: 0.5})
    late = seconds(90)
    (still,) = found.sighting.stills
    corrected = replace(
        found.sighting,
        best_shot_time=found.sighting.best_shot_time + late,
        stills=(replace(still, time=still.time + late),),
    )

    joined = await recorded(matching, replace(found, sighting=corrected))

    assert [one.time for one in joined.stills] == [
        first.best_shot_time + late,
        joined.best_shot_time,
    ]


async def test_a_bridge_takes_over_the_stills_of_what_it_joins(matching: Any, finding: Any) -> None:
    await recorded(matching, with_stills(finding(10, 14, score=0.5), {10: 0.5, 12: 0.5}))
    await recorded(matching, with_stills(finding(20, 24, score=0.6), {20: 0.5, 22: 0.5}))

    joined = await recorded(matching, with_stills(finding(13, 21, score=0.4), {16: 0.5}))

    assert joined.best_shot_offset == seconds(20)
    assert await matching.review.stills(joined) == [b"10", b"12", b"16", b"20", b"22"]
    assert {sighting_in(key) for key in await keys(matching)} == {joined.sighting_id}
    assert len(await keys(matching)) == 5


async def test_all_stills_of_a_confirmed_sighting_are_kept_in_another_place(
    matching: Any, finding: Any
) -> None:
    sighting = await recorded(matching, with_stills(finding(), {11: 0.9, 10: 0.8}))

    confirmed = await decide(matching, sighting, Decision.CONFIRM)

    assert await matching.review.stills(confirmed) == [b"10", b"11"]
    assert {key.partition("/")[0] for key in await keys(matching)} == {"confirmed"}
    assert len(await keys(matching)) == 2


async def test_no_still_of_a_rejected_sighting_stays(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, with_stills(finding(), {11: 0.9, 10: 0.8}))

    await decide(matching, sighting, Decision.REJECT)

    assert await keys(matching) == []


async def test_no_still_outlasts_its_footage(matching: Any, finding: Any) -> None:
    await recorded(matching, with_stills(finding(), {11: 0.9, 10: 0.8}))

    await matching.upkeep.erase_footage("footage-1")

    assert await keys(matching) == []


async def test_all_stills_of_a_subject_go_and_are_counted(matching: Any, finding: Any) -> None:
    found = with_stills(finding(), {11: 0.9, 10: 0.8, 12: 0.7})
    sighting = await decide(matching, await recorded(matching, found), Decision.CONFIRM)

    removed = await matching.upkeep.remove_subject(sighting.subject_id)

    assert (removed.stills, removed.stills_left) == (3, 0)
    assert await keys(matching) == []


async def test_a_sighting_of_an_earlier_version_has_one_still(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, finding(face_height_px=31.0, best_shot_score=0.4))
    earlier = replace(sighting, stills=())
    await matching.index.update(earlier)

    assert earlier.given_stills == (
        SightingStill(sighting.best_shot_offset, sighting.best_shot_time, 0.4, 31.0),
    )
    assert await matching.review.stills(earlier) == [b"a still"]


async def test_a_still_that_is_gone_is_told_as_nothing(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, with_stills(finding(), {11: 0.9, 10: 0.8}))
    await matching.evidence.delete(f"pending/{sighting.sighting_id}/10000000.jpg")

    assert await matching.review.stills(sighting) == [b"", b"11"]


@pytest.mark.parametrize("step", range(1, 5))
async def test_a_join_that_breaks_off_is_finished_by_the_next_one(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    await recorded(matching, with_stills(finding(10, 14, score=0.5), {10: 0.9, 11: 0.4}))
    late = with_stills(finding(15, 19, score=0.6), {15: 0.8, 16: 0.3})
    put, done = matching.evidence.put, 0

    async def breaking(*args: Any, **kwargs: Any) -> None:
        nonlocal done
        done += 1
        if done == step:
            raise ConnectionError
        await put(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(matching.evidence, "put", breaking)
        patched.setattr(matching.index, "put", breaking)
        with pytest.raises(ConnectionError):
            await matching.recording.record(late)

    joined = await recorded(matching, late)

    assert await matching.review.stills(joined) == [b"10", b"11", b"15", b"16"]
    assert await matching.review.still(joined) == b"15"


async def test_a_still_that_no_sighting_names_goes_with_a_later_sweep(
    matching: Any, finding: Any, pass_time: Any
) -> None:
    sighting = await recorded(matching, with_stills(finding(), {11: 0.9, 10: 0.8}))
    stray = f"pending/{sighting.sighting_id}/99000000.jpg"
    await matching.evidence.put(stray, b"of a join that broke off", content_type="image/jpeg")

    await matching.upkeep.sweep()
    assert stray in await keys(matching)
    pass_time(timedelta(days=1, minutes=1))
    await matching.upkeep.sweep()

    assert stray not in await keys(matching)
    assert len(await keys(matching)) == 2


async def test_a_store_that_keeps_stills_is_told_of(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, with_stills(finding(), {11: 0.9, 10: 0.8}))
    stills = Stills(matching.evidence)
    matching.evidence.locked = True

    with pytest.raises(Exception, match="keeps a version"):
        await stills.delete(sighting.sighting_id)

    assert await stills.left(sighting.sighting_id) == 2
