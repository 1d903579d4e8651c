from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest
from scan_office import AT_ONCE, EVERYTHING, Office

from homeward.ingestion.scan.model import ScanScope, ScanState
from homeward.servicekit import errors
from homeward.servicekit.identity.caller import Caller, acting_for


@pytest.fixture
def restricted(matcher: Any) -> Any:
    """A caller of one case, which subject-1 is of; subject-2 is of another."""
    matcher.cases = {"subject-1": "MP/1", "subject-2": "MP/2"}
    return lambda: acting_for(Caller("somebody", frozenset(), cases=frozenset({"MP/1"})))


OWN, OTHERS = ScanScope(subject_ids=("subject-1",)), ScanScope(subject_ids=("subject-2",))


async def test_a_watch_tells_no_candidates_of_a_subject_who_was_moved_to_another_case(
    office: Office, restricted: Any
) -> None:
    await office.record(length=200)
    scan_id = await office.create(OWN)
    office.matcher.held = {name: office.make.candidate(name) for name in ("a", "b")}
    with restricted():
        async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
            await anext(changes)
            await office.finish(scan_id, 0, sighting_ids=("a",))
            before = await anext(changes)
            await office.finish(scan_id, 1, sighting_ids=("b",))
            office.matcher.cases["subject-1"] = "MP/2"
            with pytest.raises(errors.NotFoundError) as refused:
                _ = [change async for change in changes]

    assert [one.sighting_id for one in before.candidates] == ["a"]
    assert refused.value.reason is errors.Reason.SCAN_NOT_FOUND


BOTH = ScanScope(subject_ids=("subject-1", "subject-2"))


@pytest.mark.parametrize("scope", [OTHERS, BOTH, EVERYTHING], ids=["theirs", "both", "everybody"])
async def test_a_scan_for_others_is_not_there(
    office: Office, restricted: Any, scope: ScanScope
) -> None:
    await office.record()
    scan_id = await office.create(scope)

    async def watched() -> None:
        async with aclosing(office.scans.watch(scan_id)) as changes:
            await anext(changes)

    calls = [
        office.scans.get(scan_id),
        office.scans.recordings(scan_id),
        office.scans.cancel(scan_id),
        watched(),
    ]
    reasons = []
    with restricted():
        for call in calls:
            with pytest.raises(errors.NotFoundError) as refused:
                await call
            reasons.append(refused.value.reason)
        listed = await office.scans.find()

    assert reasons == [errors.Reason.SCAN_NOT_FOUND] * 4
    assert listed == []
    assert (await office.scans.get(scan_id))[1].state is not ScanState.CANCELLED


async def test_a_scan_for_the_callers_subjects_is_there(office: Office, restricted: Any) -> None:
    await office.record()
    await office.create(OTHERS)
    with restricted():
        scan_id = await office.create(OWN)
        listed = await office.scans.find()
        async with aclosing(office.scans.watch(scan_id)) as changes:
            first = await anext(changes)
        await office.scans.cancel(scan_id)

    assert [scan.scan_id for scan, _ in listed] == [scan_id]
    assert first.scan.scan_id == scan_id


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (OTHERS, errors.Reason.SUBJECT_NOT_FOUND),
        (BOTH, errors.Reason.SUBJECT_NOT_FOUND),
        (ScanScope(subject_ids=("subject-3",)), errors.Reason.SUBJECT_NOT_FOUND),
        (EVERYTHING, errors.Reason.CASE_NOT_ASSIGNED),
    ],
)
async def test_nobody_searches_for_others(
    office: Office, restricted: Any, scope: ScanScope, reason: errors.Reason
) -> None:
    await office.record()
    with restricted(), pytest.raises(errors.DomainError) as refused:
        await office.create(scope)

    assert refused.value.reason is reason
    assert await office.scans.find() == []
