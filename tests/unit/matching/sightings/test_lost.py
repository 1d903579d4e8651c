from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homeward.matching.sightings.lost import Lost
from homeward.matching.sightings.model import Decision, Disposition, Finding, Sighting
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.subjects.model import SubjectDetails
from homeward.servicekit.errors import UnavailableError, unavailable
from homeward.servicekit.identity.caller import Caller, Role, acting_for

CONFIRM, REJECT = Decision.CONFIRM, Decision.REJECT
Make = Callable[..., Finding]
EVERYTHING = SightingFilter()


@pytest.fixture
async def recorded(matching: Any, finding: Make) -> Sighting:
    _, sighting = await matching.recording.record(finding(10, 14))
    assert sighting is not None
    return sighting


async def review(matching: Any, sighting: Sighting, decision: Decision) -> None:
    await matching.review.review(
        sighting.sighting_id, decision=decision, reason="", reviewer="R. Viewer"
    )


async def lose(matching: Any, *, but: tuple[str, ...] = ()) -> None:
    """The index comes back with an older state."""
    matching.index._held = {name: one for name, one in matching.index._held.items() if name in but}


async def lost(matching: Any, which: SightingFilter = EVERYTHING) -> list[str]:
    return [one.sighting_id for one in (await matching.review.lost(which)).sightings]


async def test_nothing_is_lost_of_what_is_there(matching: Any, recorded: Sighting) -> None:
    assert await matching.index.holding([recorded.sighting_id])
    assert await matching.review.lost(EVERYTHING) == Lost()


async def test_a_sighting_that_was_recorded_and_is_not_there_is_lost(
    matching: Any, recorded: Sighting
) -> None:
    await lose(matching)

    (one,) = (await matching.review.lost(EVERYTHING)).sightings

    assert (one.sighting_id, one.subject_id, one.footage_id, one.start, one.end, one.confirmed) == (
        recorded.sighting_id,
        recorded.subject_id,
        recorded.footage_id,
        recorded.start_offset,
        recorded.end_offset,
        False,
    )


async def test_of_several_those_are_lost_that_an_older_state_lacks(
    matching: Any, finding: Make, recorded: Sighting
) -> None:
    _, later = await matching.recording.record(finding(60, 64))
    assert later is not None
    await lose(matching, but=(recorded.sighting_id,))

    assert await lost(matching) == [later.sighting_id]


@pytest.mark.parametrize(
    ("which", "count"),
    [
        (SightingFilter(footage_ids=["footage-1"]), 1),
        (SightingFilter(footage_ids=["another"]), 0),
        (SightingFilter(subject_ids=["another"]), 0),
        (SightingFilter(camera_ids=["another"]), 1),
    ],
)
@pytest.mark.usefixtures("recorded")
async def test_a_filter_by_subject_and_recording_counts(
    matching: Any, which: SightingFilter, count: int
) -> None:
    await lose(matching)

    assert len(await lost(matching, which)) == count


async def test_a_lost_sighting_is_found_again_with_its_decision(
    matching: Any, finding: Make, recorded: Sighting
) -> None:
    await review(matching, recorded, CONFIRM)
    await lose(matching)
    assert [one.confirmed for one in (await matching.review.lost(EVERYTHING)).sightings] == [True]

    _, again = await matching.recording.record(finding(10, 14))

    assert again is not None
    assert (again.sighting_id, again.state.name) == (recorded.sighting_id, "CONFIRMED")
    assert await lost(matching) == []


async def _rejected(matching: Any, recorded: Sighting) -> None:
    await review(matching, recorded, REJECT)


async def _footage_removed(matching: Any, recorded: Sighting) -> None:
    await matching.upkeep.erase_footage(recorded.footage_id)


async def _closed(matching: Any, recorded: Sighting) -> None:
    await matching.closing.close(recorded.subject_id)


@pytest.mark.parametrize("remove", [_rejected, _footage_removed, _closed])
async def test_what_somebody_had_removed_is_not_lost(
    matching: Any, recorded: Sighting, remove: Callable[..., Awaitable[None]]
) -> None:
    await remove(matching, recorded)

    assert await matching.index.count() == 0
    assert await matching.review.lost(EVERYTHING) == Lost()


async def test_what_was_due_is_not_lost(
    matching: Any, recorded: Sighting, pass_time: Callable[[timedelta], None]
) -> None:
    pass_time(recorded.delete_time - matching.clock.now())

    assert await matching.upkeep.sweep()
    assert await matching.review.lost(EVERYTHING) == Lost()


async def test_a_sighting_that_another_took_in_is_not_lost(
    matching: Any, finding: Make, recorded: Sighting
) -> None:
    _, second = await matching.recording.record(finding(20, 24))
    assert second is not None
    _, joined = await matching.recording.record(finding(14, 20))
    assert joined is not None

    assert joined.sighting_id == recorded.sighting_id
    assert await matching.index.count() == 1
    assert await lost(matching) == []


async def test_one_whose_recording_broke_off_was_never_there(
    matching: Any, finding: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise unavailable("Qdrant", "nowhere", "start it")

    monkeypatch.setattr(matching.index, "put", broken)
    with pytest.raises(UnavailableError):
        await matching.recording.record(finding())

    assert await lost(matching) == []


@pytest.mark.parametrize("removed", [True, False])
async def test_one_that_is_removed_during_the_look_is_not_lost(
    matching: Any, recorded: Sighting, monkeypatch: pytest.MonkeyPatch, *, removed: bool
) -> None:
    holding = matching.index.holding

    async def meanwhile(names: Any) -> Any:
        if removed:
            await review(matching, recorded, REJECT)
        else:
            await lose(matching)
        return await holding(names)

    monkeypatch.setattr(matching.index, "holding", meanwhile)

    assert await lost(matching) == ([] if removed else [recorded.sighting_id])


async def test_the_still_of_a_confirmed_one_tells_of_it_after_its_recording_is_gone(
    matching: Any, recorded: Sighting
) -> None:
    await review(matching, recorded, CONFIRM)
    await matching.upkeep.erase_footage(recorded.footage_id)
    assert await matching.review.lost(EVERYTHING) == Lost()

    await lose(matching)

    assert await matching.review.lost(EVERYTHING) == Lost(confirmed_stills=1)


@pytest.mark.parametrize(
    "which", [SightingFilter(subject_ids=["another"]), SightingFilter(footage_ids=["another"])]
)
async def test_of_whom_the_ledger_knows_is_not_of_whom_nobody_knows(
    matching: Any, recorded: Sighting, which: SightingFilter
) -> None:
    await review(matching, recorded, CONFIRM)
    await lose(matching)

    assert await matching.review.lost(which) == Lost()


async def test_who_may_not_see_a_subject_does_not_hear_what_is_lost_of_them(
    matching: Any, finding: Make, recorded: Sighting, details: SubjectDetails
) -> None:
    another = replace(details, case_reference="another")
    other = (await matching.subjects.create(another, request_id="")).value.subject_id
    _, theirs = await matching.recording.record(finding(30, 34, subject_id=other))
    assert theirs is not None
    await review(matching, recorded, CONFIRM)
    await review(matching, theirs, CONFIRM)
    await lose(matching)

    with acting_for(Caller("anna", frozenset({Role.INVESTIGATOR}), frozenset({"another"}))):
        told = await matching.review.lost(EVERYTHING)

    assert [one.sighting_id for one in told.sightings] == [theirs.sighting_id]
    assert told.confirmed_stills == 0


async def test_the_report_counts_what_is_lost(matching: Any, recorded: Sighting) -> None:
    await review(matching, recorded, CONFIRM)
    await lose(matching)

    assert (await matching.retention.report()).lost_sightings == 1


async def test_the_report_names_collections_that_came_back(matching: Any) -> None:
    assert (await matching.retention.report()).unknown_files == ()

    matching.index.strays = ("sightings-0a1b2c3d",)

    assert (await matching.retention.report()).unknown_files == ("sightings-0a1b2c3d",)


@pytest.mark.parametrize(
    ("later", "disposition"),
    [
        (-1, Disposition.FOOTAGE_REMOVED),
        (0, Disposition.FOOTAGE_REMOVED),
        (1, Disposition.RECORDED),
    ],
)
async def test_a_finding_that_comes_after_its_recording_was_removed_is_dropped(
    matching: Any, finding: Make, later: int, disposition: Disposition
) -> None:
    """The same file, uploaded again, has the same id, and comes later."""
    received = matching.clock.now() - timedelta(days=1)
    await matching.upkeep.erase_footage("footage-1", received=received)
    found = finding(received=received + timedelta(microseconds=later))

    assert (await matching.recording.record(found))[0] is disposition

    assert await matching.index.count() == (disposition is Disposition.RECORDED)
    assert len(await matching.evidence.objects("")) == (disposition is Disposition.RECORDED)


async def test_a_finding_of_which_nobody_says_when_its_recording_came_is_dropped(
    matching: Any, finding: Make
) -> None:
    await matching.upkeep.erase_footage("footage-1", received=matching.clock.now())

    assert (await matching.recording.record(finding()))[0] is Disposition.FOOTAGE_REMOVED


@pytest.mark.parametrize("step", ["place", "put"])
async def test_a_finding_that_is_recorded_while_its_recording_is_removed_goes_too(
    matching: Any, finding: Make, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    received = matching.clock.now()
    target = {"place": matching.stores.ledger, "put": matching.index}[step]
    call = getattr(target, step)

    async def and_removed(*args: Any) -> Any:
        result = await call(*args)
        matching.recording._kept.changing.release()  # another replica has a lock of its own
        await matching.upkeep.erase_footage("footage-1", received=received)
        await matching.recording._kept.changing.acquire()
        return result

    monkeypatch.setattr(target, step, and_removed)

    result = await matching.recording.record(finding(received=received))

    assert result == (Disposition.FOOTAGE_REMOVED, None)
    assert await matching.index.count() == 0
    assert await matching.evidence.objects("") == []
    assert await matching.stores.ledger.keys() == frozenset()
