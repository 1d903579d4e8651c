from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.footage.layout import footage_folder
from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.scan.incomparable import IncomparablePeople, IncomparablePerson
from homeward.ingestion.scan.model import Counts, GapReason, ScanState, Segment
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.stretches import (
    IncomparableStretches,
    StoredIncomparableTimes,
    StretchList,
    Unlisted,
    UnlistedReason,
)
from homeward.servicekit import errors

SCAN = "scan-1"


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Archive:
    """A scan of recordings, as its segments and the times beside the recordings have it."""

    def __init__(self, make: Any, store: InMemoryFootageStore) -> None:
        self.make = make
        self.store = store
        self.times = StoredIncomparableTimes(store)
        self.done: list[Segment] = []
        self.footage: dict[str, Footage] = {}
        self.refusal: errors.DomainError | None = None

    async def recordings(self, scan_id: str) -> list[ScannedRecording]:
        del scan_id
        return [self._recording(name) for name in dict.fromkeys(x.footage_id for x in self.done)]

    def _recording(self, footage_id: str) -> ScannedRecording:
        pieces = sorted(
            (one for one in self.done if one.footage_id == footage_id), key=lambda one: one.start
        )
        recording = ScannedRecording(
            number=0,
            footage_id=footage_id,
            camera_id=pieces[0].camera_id,
            true_start=pieces[0].true_start,
            first_segment=0,
            pieces=tuple(one.stretch for one in pieces),
            window=Stretch(pieces[0].asked_for.start, pieces[-1].asked_for.end),
        )
        for number, one in enumerate(pieces):
            if one.state.ended:
                recording = recording.with_ended(replace(one, number=number), 1)
        return recording

    async def get(self, footage_id: str) -> Footage:
        if self.refusal is not None:
            raise self.refusal
        return self.footage[footage_id]

    async def hold(self, camera: str = "cam-1", **probe: Any) -> Footage:
        made = self.make.footage(60)
        header = replace(made.header, camera_id=camera)
        footage: Footage = replace(
            made,
            footage_id=header.footage_id,
            header=header,
            media=replace(made.media, **probe),
        )
        self.footage[footage.footage_id] = footage
        folder = footage_folder(footage.footage_id)
        await self.store.put(f"{folder}manifest.json", b"{}", content_type="")
        return footage

    async def search(
        self,
        footage: Footage,
        start: float,
        end: float,
        people: Sequence[tuple[float, float]],
        *,
        keep: bool = True,
        **changes: Any,
    ) -> Segment:
        """Write down a segment that was searched, and who could not be compared in it."""
        segment: Segment = replace(
            self.make.segment(start, end),
            footage_id=footage.footage_id,
            camera_id=footage.header.camera_id,
            state=ScanState.SUCCEEDED,
            counts=Counts(incomparable=len(people)),
        )
        segment = replace(segment, **changes)
        self.done.append(segment)
        if keep:
            those = tuple(
                IncomparablePerson(seconds(one), seconds(other), too_small=True)
                for one, other in people
            )
            found = IncomparablePeople(SCAN, segment.stretch, those)
            await self.times.keep(footage, found)
        return segment

    async def list(self) -> StretchList:
        scans: Any = self
        return await IncomparableStretches(scans=scans, footage=scans, times=self.times).of(SCAN)

    async def listed(self) -> list[tuple[str, float, float]]:
        return [
            (
                one.footage.header.camera_id,
                one.stretch.start.total_seconds(),
                one.stretch.end.total_seconds(),
            )
            for one in (await self.list()).stretches
        ]


@pytest.fixture
def archive(make: Any, bucket: Any) -> Archive:
    return Archive(make, bucket)


async def test_who_is_in_view_across_a_border_of_segments_is_one_stretch(archive: Archive) -> None:
    footage = await archive.hold()
    await archive.search(footage, 30, 60, [(30, 34)])
    await archive.search(footage, 0, 30, [(2, 4), (28, 30)])

    assert await archive.listed() == [("cam-1", 2, 4), ("cam-1", 28, 34)]


async def test_stretches_are_in_the_order_of_cameras_and_of_times(archive: Archive) -> None:
    yard, gate = await archive.hold("yard"), await archive.hold("gate")
    await archive.search(yard, 0, 30, [(20, 21), (1, 2)])
    await archive.search(gate, 0, 30, [(9, 10)])

    assert await archive.listed() == [("gate", 9, 10), ("yard", 1, 2), ("yard", 20, 21)]


async def test_a_stretch_does_not_go_over_what_was_not_searched(archive: Archive) -> None:
    footage = await archive.hold()
    gap = archive.make.segment(0, 30).gap_over(
        Stretch(seconds(10), seconds(12)), GapReason.UNDECODABLE, "damaged"
    )
    await archive.search(footage, 0, 30, [(8, 10), (12, 14)], gaps=(gap,))

    assert await archive.listed() == [("cam-1", 8, 10), ("cam-1", 12, 14)]


@pytest.mark.parametrize("state", [ScanState.PENDING, ScanState.FAILED])
async def test_a_stretch_does_not_go_over_a_segment_that_was_not_searched(
    archive: Archive, state: ScanState
) -> None:
    footage = await archive.hold()
    await archive.search(footage, 0, 10, [(8, 10)])
    lost = archive.make.segment(10, 12)
    await archive.search(
        footage,
        10,
        12,
        [(10, 12)],
        state=state,
        gaps=(lost.gap(GapReason.GIVEN_UP, "why"),) if state is ScanState.FAILED else (),
    )
    await archive.search(footage, 12, 20, [(12, 14)])

    assert await archive.listed() == [("cam-1", 8, 10), ("cam-1", 12, 14)]


@pytest.mark.parametrize(
    "refusal",
    [
        errors.NotFoundError("gone", reason=errors.Reason.FOOTAGE_NOT_FOUND),
        errors.FailedPreconditionError("expired", reason=errors.Reason.FOOTAGE_EXPIRED),
    ],
)
async def test_of_a_recording_that_is_gone_the_count_alone_is_told(
    archive: Archive, refusal: errors.DomainError
) -> None:
    footage = await archive.hold()
    await archive.search(footage, 0, 30, [(2, 4), (8, 9)])
    await archive.search(footage, 30, 60, [])
    archive.refusal = refusal

    told = await archive.list()

    assert told == StretchList((), (Unlisted(footage.footage_id, UnlistedReason.FOOTAGE_GONE, 2),))


async def test_of_a_recording_that_is_gone_and_showed_nobody_else_nothing_is_told(
    archive: Archive,
) -> None:
    await archive.search(await archive.hold(), 0, 30, [])
    archive.refusal = errors.NotFoundError("gone", reason=errors.Reason.FOOTAGE_NOT_FOUND)

    assert await archive.list() == StretchList((), ())


async def test_a_store_that_does_not_answer_is_no_empty_list(archive: Archive) -> None:
    await archive.search(await archive.hold(), 0, 30, [(2, 4)])
    archive.refusal = errors.unavailable("S3", "its bucket", "no route")

    with pytest.raises(errors.UnavailableError):
        await archive.list()


async def test_what_is_kept_of_a_recording_is_listed_and_what_is_not_is_told(
    archive: Archive,
) -> None:
    footage = await archive.hold()
    await archive.search(footage, 0, 30, [(2, 4)])
    await archive.search(footage, 30, 60, [(40, 41), (50, 51)], keep=False)

    told = await archive.list()

    assert await archive.listed() == [("cam-1", 2, 4)]
    assert told.unlisted == (Unlisted(footage.footage_id, UnlistedReason.TIMES_GONE, 2),)


async def test_times_after_a_clock_was_set_are_uncertain(archive: Archive) -> None:
    footage = await archive.hold(uncertain_from=seconds(10))
    await archive.search(footage, 0, 30, [(2, 10), (20, 21)])

    told = await archive.list()

    assert [one.time_uncertain for one in told.stretches] == [False, True]


async def test_times_are_of_one_scan_and_one_segment(archive: Archive) -> None:
    footage = await archive.hold()
    segment = await archive.search(footage, 0, 30, [(2, 4)])
    find = archive.times.find

    assert await find(footage.footage_id, SCAN, segment.stretch) is not None
    assert await find(footage.footage_id, "scan-2", segment.stretch) is None
    assert await find(footage.footage_id, SCAN, Stretch(seconds(0), seconds(31))) is None


async def test_times_hold_nothing_that_tells_who_it_was(archive: Archive, bucket: Any) -> None:
    footage = await archive.hold()
    await archive.search(footage, 0, 30, [(2, 4)])

    folder = footage_folder(footage.footage_id)
    (item,) = await bucket.objects(f"{folder}incomparable/")

    written = json.loads(await bucket.get(item.key))
    (person,) = written["people"]
    assert set(written) == {"scan_id", "stretch", "people"}
    assert set(person) == {"start", "end", "too_small"}


async def test_no_times_are_kept_beside_a_recording_that_is_gone(
    archive: Archive, bucket: Any
) -> None:
    footage = await archive.hold()
    await bucket.delete(f"{footage_folder(footage.footage_id)}manifest.json")

    await archive.search(footage, 0, 30, [(2, 4)])

    assert await bucket.objects("") == []
