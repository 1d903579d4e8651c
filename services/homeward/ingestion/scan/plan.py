"""Planning scans: which recordings are in a scope, cut into segments, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

import structlog

from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.cameras.model import Camera, CameraDetails
from homeward.ingestion.footage.finding import DamagedFootage, FootageFilter, footage_damaged
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.scan.cut import cut, unread, window_of
from homeward.ingestion.scan.fold import fold
from homeward.ingestion.scan.model import GapReason, Scan, ScanPlan, ScanScope
from homeward.ingestion.scan.ports import PlanQueue, PlanWork, WorkQueue
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.records import ScanRecords, put_unplanned
from homeward.ingestion.scan.work import RETRY_SECONDS, kept_in_hand
from homeward.servicekit import errors, tracing
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import ConflictError, Stored

RECORDINGS_AT_ONCE = 50
"""Recordings of a scan that are planned before the next scan has its turn."""

PLANNERS = 2
"""Scans that a process plans at a time. A scan whose old recordings must be examined again takes
seconds a recording; it then does not delay the others."""

RECOVER_SECONDS = 300.0
"""Time between two searches for unplanned scans whose work item was lost."""

MAX_ATTEMPTS = 5
"""Attempts after which a recording that breaks the planner is reported as not searched."""

EXAMINING_FAILED = "examining it failed; the log of ingestion says why"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FoundRecording:
    """A recording in the scope of a scan."""

    camera: Camera
    footage_id: str
    footage: Footage | None
    """None when the recording has been removed, or cannot be read."""
    refusal: tuple[GapReason, str] | None = None
    """Why the recording cannot be searched, if so."""


@dataclass(frozen=True, slots=True)
class ScopePage:
    """A part of the recordings in the scope of a scan, in order."""

    found: tuple[FoundRecording, ...]
    camera_id: str
    """Where to go on: with this camera,"""
    place: str
    """and there after this place; "" for its first recording."""
    is_last: bool
    came_later: int = 0
    """Recordings that were left out: by the clock they came after the scan was created."""


@dataclass(frozen=True, slots=True)
class _ScopeCamera:
    """A camera of a scope."""

    camera: Camera
    refusal: tuple[GapReason, str] | None = None
    """Why its recordings cannot be searched, if so."""

    @property
    def camera_id(self) -> str:
        return self.camera.camera_id

    @classmethod
    def unregistered(cls, camera_id: str) -> Self:
        """Return a camera that is not registered: nobody knows what its clock is off."""
        problem = (
            f"camera {camera_id} is not registered, so that its clock is not known: register it,"
            " then search again"
        )
        never = datetime.min.replace(tzinfo=UTC)
        camera = Camera(camera_id, CameraDetails(), never, never)
        return cls(camera, (GapReason.CAMERA_UNKNOWN, problem))


class RecordingsInScope:
    """Finds the recordings in the scope of a scan.

    Args:
        footage: All recordings.
        cameras: All cameras.
    """

    def __init__(self, footage: FootageLibrary, cameras: Cameras) -> None:
        self._footage = footage
        self._cameras = cameras

    async def any(self, scope: ScanScope) -> bool:
        """Return whether any recording is in a scope.

        Raises:
            NotFoundError: `CAMERA_NOT_FOUND`, `FOOTAGE_NOT_FOUND`, for an id in the scope.
            FailedPreconditionError: `FOOTAGE_EXPIRED`, `FOOTAGE_DAMAGED`.
        """
        if scope.footage_ids:
            for one in await self._named(scope):
                if window_of(scope, one, (await self._camera(one.header.camera_id)).camera):
                    return True
            return False
        ordered = await self._cameras_of(scope, "")
        for start in range(0, len(ordered), CAMERAS_AT_ONCE):
            some = ordered[start : start + CAMERAS_AT_ONCE]
            if any(await asyncio.gather(*(self._any_of(camera, scope) for camera in some))):
                return True
        return False

    async def page(self, scan: Scan, plan: ScanPlan, most: int) -> ScopePage:
        """Return the recordings of a scan that follow the planned ones, in order.

        Recordings that were uploaded after the scan was created are left out, and counted: a clock
        may have been set back since they came. A recording that was removed meanwhile is returned
        without its manifest if the scope names its id, and left out otherwise.
        """
        if scan.scope.footage_ids:
            return await self._named_page(scan.scope, plan, most)
        found: list[FoundRecording] = []
        later = 0
        cameras = await self._cameras_of(scan.scope, plan.camera_id)
        for camera in cameras:
            place = plan.place if camera.camera_id == plan.camera_id else ""
            while len(found) < most:
                page = await self._footage.finder.page(
                    _filter(camera.camera, scan.scope), size=most - len(found), after=place
                )
                in_time = [one for one in page.footage if _came_by(one, scan.create_time)]
                later += len(page.footage) - len(in_time)
                found += [_found(camera, one) for one in in_time]
                place = page.next_place
                if not place:
                    break
            if len(found) == most and place:
                return ScopePage(tuple(found), camera.camera_id, place, False, later)
            if len(found) == most and camera is not cameras[-1]:
                following = cameras[cameras.index(camera) + 1].camera_id
                return ScopePage(tuple(found), following, "", False, later)
        return ScopePage(tuple(found), "", "", True, later)

    async def holds_any(self) -> bool:
        """Return whether there is any recording at all."""
        return await self._footage.finder.holds_any()

    async def _named_page(self, scope: ScanScope, plan: ScanPlan, most: int) -> ScopePage:
        names = [one for one in sorted(set(scope.footage_ids)) if one > plan.place]
        at_once = asyncio.Semaphore(READ_AT_ONCE)

        async def read(footage_id: str) -> FoundRecording:
            camera = await self._camera(FootageLayout(footage_id).camera_id)
            try:
                async with at_once:
                    return _found(camera, await self._footage.get(footage_id))
            except (errors.NotFoundError, errors.FailedPreconditionError) as error:
                damaged = error.reason is errors.Reason.FOOTAGE_DAMAGED
                why = GapReason.FOOTAGE_DAMAGED if damaged else GapReason.FOOTAGE_GONE
                return FoundRecording(camera.camera, footage_id, None, (why, error.message))

        found = await asyncio.gather(*map(read, names[:most]))
        place = names[:most][-1] if found else plan.place
        return ScopePage(tuple(found), "", place, is_last=len(names) <= most)

    async def _any_of(self, one: _ScopeCamera, scope: ScanScope) -> bool:
        async with aclosing(self._footage.finder.each(_filter(one.camera, scope))) as found:
            async for footage in found:
                if isinstance(footage, DamagedFootage) or window_of(scope, footage, one.camera):
                    return True
        return False

    async def _camera(self, camera_id: str) -> _ScopeCamera:
        try:
            return _ScopeCamera((await self._cameras.get(camera_id))[0])
        except errors.NotFoundError:
            return _ScopeCamera.unregistered(camera_id)

    async def _named(self, scope: ScanScope) -> list[Footage]:
        at_once = asyncio.Semaphore(READ_AT_ONCE)

        async def read(footage_id: str) -> Footage:
            async with at_once:
                return await self._footage.get(footage_id)

        return list(await asyncio.gather(*map(read, dict.fromkeys(scope.footage_ids))))

    async def _cameras_of(self, scope: ScanScope, first: str) -> list[_ScopeCamera]:
        """Return the cameras of a scope in the order of their ids, from one on.

        Where it names none, those that have recordings and are not registered are among them.
        """
        names = sorted(set(scope.camera_ids))
        if names:
            found = [
                _ScopeCamera(one) for one, _ in await asyncio.gather(*map(self._cameras.get, names))
            ]
        else:
            registered = {one.camera_id: _ScopeCamera(one) for one, _ in await self._cameras.find()}
            held = await self._footage.finder.camera_ids()
            unknown = [_ScopeCamera.unregistered(one) for one in held if one not in registered]
            found = sorted([*registered.values(), *unknown], key=lambda one: one.camera_id)
        return [one for one in found if one.camera_id >= first]


def _came_by(footage: Footage | DamagedFootage, instant: datetime) -> bool:
    """Return whether a recording came before an instant; nobody knows when a damaged one did."""
    return isinstance(footage, DamagedFootage) or footage.receive_time <= instant


def _found(one: _ScopeCamera, footage: Footage | DamagedFootage) -> FoundRecording:
    if isinstance(footage, Footage):
        return FoundRecording(one.camera, footage.footage_id, footage, one.refusal)
    problem = footage_damaged(footage.footage_id).message
    why = (GapReason.FOOTAGE_DAMAGED, problem)
    return FoundRecording(one.camera, footage.footage_id, None, why)


CAMERAS_AT_ONCE = 8
"""Cameras whose recordings are listed at a time."""

READ_AT_ONCE = 8
"""Recordings that are looked up at a time: as many as the store has connections."""


class ScanPlanner:
    """Cuts the recordings in the scope of a scan into segments, and queues those.

    The plan of a scan says which recordings belong to it. It is written after the recordings and
    before their segments are queued, so a planner that takes over from one that died plans the last
    recordings again, with the same result. If two planners have the same scan, the later one goes
    on: each writes the plan before it begins, so that the revision of the other one is outdated.

    Args:
        scans: The records of scans.
        plans: Scans that wait to be planned.
        queue: Segments that wait to be searched.
        scope: Finds recordings.
        footage: Examines those that an earlier version took in.
        clock: Tells the time.
        segment_length: Approximate length of a segment.
    """

    def __init__(
        self,
        *,
        scans: ScanRecords,
        plans: PlanQueue,
        queue: WorkQueue,
        scope: RecordingsInScope,
        footage: FootageLibrary,
        clock: Clock,
        segment_length: timedelta,
    ) -> None:
        self._scans = scans
        self._plans = plans
        self._queue = queue
        self._scope = scope
        self._footage = footage
        self._clock = clock
        self._segment_length = segment_length

    async def run(self) -> None:
        """Plan scans until cancelled; from time to time, also scans whose work item was lost."""
        now = asyncio.get_running_loop().time
        recover_at = now()
        while True:
            try:
                if now() >= recover_at:
                    await self.recover()
                    recover_at = now() + RECOVER_SECONDS
                work = await self._plans.take()
                if work is not None:
                    await self._handle(work)
            except errors.UnavailableError as error:
                log.warning("waiting", problem=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def recover(self) -> None:
        """Queue scans whose creation or planning ended before their work item was queued."""
        for scan_id in await self._scans.under_way():
            if await self._scans.get(scan_id) is None:
                await self._scans.end(scan_id)
            elif not (plan := await self._scans.plan(scan_id)).value.over:
                await self._plans.put(scan_id, plan.revision)

    async def _handle(self, work: PlanWork) -> None:
        ids = {"scan_id": work.scan_id}
        with (
            tracing.span("plan", {**ids, "attempt": work.attempt}, parent=work.trace),
            structlog.contextvars.bound_contextvars(**ids),
        ):
            try:
                async with kept_in_hand(work):
                    going_on_from = await self.step(
                        work.scan_id, last_attempt=work.attempt >= MAX_ATTEMPTS
                    )
            except errors.UnavailableError:
                await work.retry()
                raise
            except Exception:
                # A recording that breaks the planner must not stop it for others. After
                # some attempts it is reported as not searched.
                log.exception("planning failed", attempt=work.attempt)
                await work.retry()
                return
        if going_on_from is not None:
            # Behind the scans that wait.
            await self._plans.put(work.scan_id, going_on_from, trace=work.trace)
        await work.done()

    async def step(self, scan_id: str, *, last_attempt: bool = False) -> int | None:
        """Plan the next recordings of a scan.

        Args:
            scan_id: The scan.
            last_attempt: Whether a recording that breaks the planner is reported as not searched
                instead of raising.

        Returns:
            The revision of the plan to go on from; None where nothing is left to do, because the
            scan is planned, cancelled or forgotten, or another planner goes on with it.
        """
        scan, held = await self._scans.get(scan_id), await self._scans.plan(scan_id)
        if scan is None or scan.cancelled or held.value.over:
            return None
        try:
            held = await self._replaced(scan_id, held, held.value)
            if held.value.queued == held.value.recordings:
                page = await self._scope.page(scan, held.value, RECORDINGS_AT_ONCE)
                cuts = (self._cut(scan, one, last_attempt=last_attempt) for one in page.found)
                made = [one for one in await asyncio.gather(*cuts) if one is not None]
                plan = await self._with(scan_id, held, made)
                plan = replace(
                    plan,
                    camera_id=page.camera_id,
                    place=page.place,
                    complete=page.is_last,
                    came_later=plan.came_later + page.came_later,
                )
                held = await self._replaced(scan_id, held, plan)
            await self._queue_recordings(scan_id, held.value)
            plan = replace(held.value, queued=held.value.recordings)
            held = await self._replaced(scan_id, held, plan)
        except ConflictError:
            return None  # it was cancelled, or another planner has it too
        if plan.complete:
            await fold(self._scans, scan_id)  # it may have ended already
        return None if plan.over else held.revision

    async def _replaced(
        self, scan_id: str, held: Stored[ScanPlan], plan: ScanPlan
    ) -> Stored[ScanPlan]:
        return Stored(plan, await self._scans.put_plan(scan_id, plan, held.revision))

    async def _with(
        self, scan_id: str, held: Stored[ScanPlan], made: Sequence[ScannedRecording]
    ) -> ScanPlan:
        """Write recordings down, and return the plan with them."""
        plan = held.value
        for one in made:
            recording = replace(one, number=plan.recordings, first_segment=plan.segments)
            await put_unplanned(self._scans, scan_id, recording, held.revision)
            plan = replace(
                plan,
                recordings=plan.recordings + 1,
                segments=plan.segments + len(recording.pieces),
                total=plan.total + recording.duration,
            )
        return plan

    async def _cut(
        self, scan: Scan, found: FoundRecording, *, last_attempt: bool
    ) -> ScannedRecording | None:
        """Return a recording as it is examined today, cut into segments."""
        footage, refusal = found.footage, found.refusal
        if footage is None:
            assert refusal is not None, "there is a reason why it is not read"
            return unread(found.footage_id, found.camera, *refusal)
        try:
            if refusal is None:
                footage = await self._footage.up_to_date(footage)
        except errors.InvalidArgumentError as error:  # it would not be taken in today
            refusal = (GapReason.UNDECODABLE, error.message)
        except (errors.NotFoundError, errors.FailedPreconditionError) as error:
            refusal = (GapReason.FOOTAGE_GONE, error.message)
        except errors.DomainError:
            raise
        except Exception:
            if not last_attempt:
                raise
            log.exception("recording cannot be planned", footage_id=found.footage_id)
            refusal = (GapReason.GIVEN_UP, EXAMINING_FAILED)
        return cut(footage, found.camera, scan.scope, length=self._segment_length, refusal=refusal)

    async def _queue_recordings(self, scan_id: str, plan: ScanPlan) -> None:
        """Queue the segments of the recordings that belong to the scan and are not queued yet."""
        for number in range(plan.queued, plan.recordings):
            held = await self._scans.recording(scan_id, number)
            if held is not None:
                await self._queue_segments(scan_id, held.value)
        if plan.queued < plan.recordings:
            await fold(self._scans, scan_id)

    async def _queue_segments(self, scan_id: str, recording: ScannedRecording) -> None:
        lost = {one.segment: one for one in recording.unsearchable}
        for number, one in lost.items():
            if not recording.has_ended(number):
                ended = recording.segment(number).given_up(
                    one.reason, one.detail, self._clock.now()
                )
                await self._scans.save_segment(scan_id, ended)
        await self._queue.put(
            scan_id,
            recording.number,
            [
                recording.first_segment + number
                for number in range(len(recording.pieces))
                if number not in lost and not recording.has_ended(number)
            ],
        )


def _filter(camera: Camera, scope: ScanScope) -> FootageFilter:
    # Recordings are found by the camera's clock.
    offset = camera.details.clock_offset
    return FootageFilter(
        (camera.camera_id,), _moved(scope.start_time, offset), _moved(scope.end_time, offset)
    )


def _moved(instant: datetime | None, offset: timedelta) -> datetime | None:
    return instant + offset if instant else None
