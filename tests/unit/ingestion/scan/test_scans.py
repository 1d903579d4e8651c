from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from scan_office import EVERYTHING, Office, seconds

from homeward.ingestion.scan.model import Counts, GapReason, ScanScope, ScanState
from homeward.ingestion.scan.scans import ScanLimits
from homeward.servicekit import errors
from homeward.servicekit.identity.caller import Caller, acting_for
from homeward.servicekit.keyvalue import ConflictError


async def test_every_call_without_a_request_id_makes_a_scan(office: Office) -> None:
    await office.record()

    assert await office.create() != await office.create()


async def test_a_repeated_request_gives_the_same_scan(office: Office) -> None:
    await office.record()

    first, again = await office.create(request_id="r-1"), await office.create(request_id="r-1")

    assert first == again
    assert len(office.queue.waiting) == 1


async def test_a_repeated_request_has_planned_what_the_first_call_did_not(office: Office) -> None:
    await office.record()
    first, _ = await office.scans.create(EVERYTHING, request_id="r-1")
    office.plans.waiting.clear()
    office.plans.came.clear()

    again, _ = await office.scans.create(EVERYTHING, request_id="r-1")

    assert (again.scan_id, office.plans.waiting) == (first.scan_id, [first.scan_id])


async def created_by(office: Office, name: str) -> dict[str, str] | None:
    """Return what keeps somebody from another scan; None when nothing does."""
    try:
        with acting_for(Caller(name, frozenset())):
            await office.create()
    except errors.ResourceExhaustedError as error:
        return error.metadata
    return None


@pytest.mark.parametrize(
    "limits", [ScanLimits(scans=100, segments=1000, scans_per_caller=2)], ids=["two each"]
)
async def test_one_caller_does_not_take_all_scans(office: Office) -> None:
    await office.record(length=250)
    told = [await created_by(office, "anne") for _ in range(3)]

    assert told == [None, None, {"limit": "caller_scans", "under_way": "2", "most": "2"}]
    assert await created_by(office, "bob") is None
    await office.create()  # by nobody who is known
    first = next(one for one, _ in await office.scans.find() if one.requester == "anne")
    await office.scans.cancel(first.scan_id)
    assert await created_by(office, "anne") is None


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        (ScanLimits(scans=100, segments=1000, segments_per_caller=3), True),
        (ScanLimits(scans=100, segments=1000, segments_per_caller=4), False),
        (ScanLimits(scans=100, segments=1000), False),
    ],
    ids=["as many", "one more", "unset"],
)
async def test_one_caller_does_not_take_all_segments(office: Office, *, refused: bool) -> None:
    await office.record(length=250)  # three segments
    await created_by(office, "anne")
    told = await created_by(office, "anne")

    limit = {"limit": "caller_segments", "under_way": "3", "most": "3"}
    assert told == (limit if refused else None)
    assert await created_by(office, "bob") is None


@pytest.mark.parametrize("limits", [ScanLimits(scans=2, segments=1000)])
async def test_so_many_scans_may_be_under_way_and_no_more(office: Office) -> None:
    await office.record()
    first = await office.create()
    await office.create()

    with pytest.raises(errors.ResourceExhaustedError, match="wait until a scan") as refused:
        await office.create()

    assert refused.value.reason is errors.Reason.SCAN_LIMIT
    assert refused.value.metadata == {"limit": "scans", "under_way": "2", "most": "2"}
    await office.finish(first, 0)
    await office.create()


@pytest.mark.parametrize(("segments", "accepted"), [(3, False), (4, True)])
async def test_so_many_segments_may_wait_when_another_scan_is_created(
    office: Office, segments: int, *, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office.scans, "_limits", ScanLimits(scans=100, segments=segments))
    await office.record(length=480)  # four segments
    await office.finish(await office.create(), 0)

    outcome = await asyncio.gather(office.create(), return_exceptions=True)

    refused = [one for one in outcome if isinstance(one, errors.ResourceExhaustedError)]
    assert [one.metadata["limit"] for one in refused] == ([] if accepted else ["segments"])


async def test_a_request_id_belongs_to_one_scope(office: Office) -> None:
    await office.record()
    await office.create(request_id="r-1")

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await office.create(ScanScope(camera_ids=("cam-1",)), request_id="r-1")

    assert refused.value.reason is errors.Reason.REQUEST_ID_REUSED


async def test_an_unknown_scan_is_not_found(office: Office) -> None:
    with pytest.raises(errors.NotFoundError) as refused:
        await office.scans.get("scan-9")

    assert refused.value.reason is errors.Reason.SCAN_NOT_FOUND


async def test_a_scan_tells_what_its_segments_show(office: Office) -> None:
    await office.record(length=250)
    scan_id = await office.create()
    await office.finish(scan_id, 0, counts=Counts(frames=600))

    _, summary = await office.scans.get(scan_id)

    assert (summary.state, summary.segments_done) == (ScanState.RUNNING, 1)
    assert (summary.searched, summary.counts.frames) == (seconds(120), 600)


async def test_an_ended_scan_is_listed_from_its_record(office: Office) -> None:
    await office.record()
    scan_id = await office.create()
    await office.finish(scan_id, 0)
    _, ended = await office.scans.get(scan_id)
    for entry in [
        *await office.store.entries("live.>"),
        *await office.store.entries("recording.>"),
    ]:
        await office.store.erase(entry.key)

    [(_, listed)] = await office.scans.find()

    assert listed == replace(ended, gaps=(), efforts=(), camera_sizes=())
    assert listed.state is ScanState.SUCCEEDED


async def test_scans_are_listed_newest_first(office: Office) -> None:
    await office.record()
    first = await office.create()
    office.clock.advance(seconds(1))
    second = await office.create()

    listed = [scan.scan_id for scan, _ in await office.scans.find()]

    assert listed == [second, first]


async def test_cancelling_ends_what_no_scanner_has_begun(office: Office) -> None:
    await office.record(length=250)
    scan_id = await office.create()
    await office.finish(scan_id, 0, sighting_ids=("sighting-1",))

    scan, told = await office.scans.cancel(scan_id)
    _, summary = await office.scans.get(scan_id)

    assert scan.cancelled
    assert told.state is ScanState.CANCELLED
    assert (told.end_time, told.segments_done) == (office.clock.now(), 3)
    # Two segments that follow each other are one gap.
    assert [(gap.reason, gap.duration) for gap in summary.gaps] == [
        (GapReason.CANCELLED, seconds(130))
    ]
    assert (summary.candidate_count, summary.searched) == (1, seconds(120))


async def test_cancelling_asks_as_much_of_the_store_however_many_segments_there_are(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def calls_to_cancel(scan_id: str) -> list[str]:
        asked.clear()
        with monkeypatch.context() as patched:
            for name in ("get", "put", "create", "update", "erase", "entries"):
                patched.setattr(office.store, name, counted(name, getattr(office.store, name)))
            await office.scans.cancel(scan_id)
        return list(asked)

    def counted(name: str, call: Any) -> Any:
        async def wrapped(*args: Any, **how: Any) -> Any:
            asked.append(name)
            return await call(*args, **how)

        return wrapped

    await office.record(at=0, length=120)
    few = await calls_to_cancel(await office.create())
    await office.record(at=1000, length=120 * 300)
    many = await calls_to_cancel(await office.create())

    assert many == few


async def test_nothing_is_added_to_a_cancelled_scan(office: Office) -> None:
    await office.record()
    scan, _ = await office.scans.create(EVERYTHING, request_id="")
    held = await office.records.plan(scan.scan_id)

    await office.scans.cancel(scan.scan_id)

    assert await office.planner.step(scan.scan_id) is None
    with pytest.raises(ConflictError):  # a planner that had begun before
        await office.records.put_plan(scan.scan_id, held.value, held.revision)
    _, summary = await office.scans.get(scan.scan_id)
    assert (summary.state, summary.planning, summary.total) == (
        ScanState.CANCELLED,
        True,
        seconds(0),
    )


async def test_cancelling_leaves_the_segment_in_hand_to_its_scanner(office: Office) -> None:
    await office.record(length=250)
    scan_id = await office.create()
    await office.begin(scan_id, 0)

    scan, summary = await office.scans.cancel(scan_id)

    assert (scan.cancelled, summary.state) == (True, ScanState.RUNNING)
    await office.finish(scan_id, 0)
    _, ended = await office.scans.get(scan_id)
    assert (ended.state, ended.searched) == (ScanState.CANCELLED, seconds(120))
    assert [one.duration for one in ended.gaps] == [seconds(130)]


async def test_an_ended_scan_is_not_cancelled(office: Office) -> None:
    await office.record()
    scan_id = await office.create()
    await office.finish(scan_id, 0)

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await office.scans.cancel(scan_id)

    assert refused.value.reason is errors.Reason.SCAN_ENDED
    assert refused.value.metadata == {"scan_id": scan_id, "state": "SUCCEEDED"}


async def test_an_unknown_scan_is_not_cancelled(office: Office) -> None:
    with pytest.raises(errors.NotFoundError):
        await office.scans.cancel("scan-9")
