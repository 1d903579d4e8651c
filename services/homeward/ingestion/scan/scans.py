"""Scans as resources: created, read, watched, cancelled. The scanners do the work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta

from homeward.ingestion.scan.authorisation import NO_RULES, UNJUSTIFIED, Justification, ScanRules
from homeward.ingestion.scan.fold import fold, settle
from homeward.ingestion.scan.model import Candidate, Scan, ScanScope, ScanSummary
from homeward.ingestion.scan.plan import RecordingsInScope
from homeward.ingestion.scan.ports import Matcher, PlanQueue
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.records import ScanRecords
from homeward.ingestion.scan.summary import LiveScan, detailed, summarise
from homeward.ingestion.scan.targeting import require_justified
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock
from homeward.servicekit.identity.caller import case_not_assigned, name_of_caller, visible_cases
from homeward.servicekit.keyvalue import ConflictError

_NAMESPACE = uuid.UUID("f3a0c5b2-8d1e-5f6a-9c47-2b7e1d0a6c93")

WATCH_INTERVAL = timedelta(seconds=0.5)
"""Shortest time between two changes that a watch reports; changes in between are combined."""


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """Limits on running scans."""

    scans: int
    """Most scans that have not ended."""
    segments: int
    """Segments of these that were planned and have not ended. The last scan may exceed it."""
    scans_per_caller: int | None = None
    """Most of these that one caller may have asked for; None for no other limit."""
    segments_per_caller: int | None = None
    """Segments of these scans, likewise."""


@dataclass(frozen=True, slots=True)
class ScanChange:
    """A change of a scan, as a watch reports it."""

    scan: Scan
    summary: ScanSummary
    candidates: tuple[Candidate, ...]
    """Candidates that are new, or have changed since they were reported."""


class Scans:
    """Searches of footage.

    A scan is planned in the background of the call that creates it, and searched by scanners. Its
    totals are kept, so that no call reads its segments.

    Args:
        records: The records of scans.
        plans: The queue of scans to plan.
        scope: Finds recordings.
        matcher: Says whether subjects can be searched for, and returns candidates.
        clock: Tells the time.
        limits: Limits on running scans.
        rules: What is asked of a new scan.
    """

    def __init__(
        self,
        *,
        records: ScanRecords,
        plans: PlanQueue,
        scope: RecordingsInScope,
        matcher: Matcher,
        clock: Clock,
        limits: ScanLimits,
        rules: ScanRules = NO_RULES,
    ) -> None:
        self._records = records
        self._plans = plans
        self._scope = scope
        self._matcher = matcher
        self._clock = clock
        self._limits = limits
        self._rules = rules

    async def create(
        self,
        scope: ScanScope,
        why: Justification = UNJUSTIFIED,
        *,
        request_id: str,
        requester: str = "",
    ) -> tuple[Scan, ScanSummary]:
        """Create a scan, and queue it to be planned and searched.

        Args:
            scope: What to search, and for whom.
            why: Why it is made.
            request_id: The caller's id of the request, or "".
            requester: Who asks for it, as stated; where callers are checked, it is the caller.

        Raises:
            InvalidArgumentError: `REQUEST_ID_REUSED`, `SCAN_NOT_TARGETED`, `FIELD_INVALID`.
            NotFoundError: `CAMERA_NOT_FOUND`, `FOOTAGE_NOT_FOUND`, `SUBJECT_NOT_FOUND`.
            FailedPreconditionError: `SCAN_SCOPE_EMPTY`, `NO_OPEN_SUBJECTS`, `SUBJECT_CLOSED`,
                `FOOTAGE_EXPIRED`, `POLICY_NOT_APPROVED`, `POLICY_EXPIRED`, `POLICY_MODEL_MISMATCH`,
                `EMBEDDING_MODEL_MISMATCH`, `GALLERY_INCOMPLETE`.
            ResourceExhaustedError: `SCAN_LIMIT`.
            PermissionDeniedError: `CASE_NOT_ASSIGNED`.
        """
        await self._require_own_cases(scope)
        require_justified(scope, why, self._rules)
        name = str(uuid.uuid5(_NAMESPACE, request_id)) if request_id else str(uuid.uuid4())
        if request_id and (held := await self._records.get(name)) is not None:
            if (held.scope, held.justification) != (scope, why):
                raise errors.InvalidArgumentError(
                    f"request_id {request_id} came before with another scope or justification; use"
                    " a new one",
                    reason=errors.Reason.REQUEST_ID_REUSED,
                    metadata={"request_id": request_id},
                )
            plan = await self._records.plan(name)
            if not plan.value.over:  # the first call may have broken off before it did
                await self._plans.put(name, plan.revision)
            return await self.get(name)
        await self._require_room()
        await self._matcher.require_searchable(scope.subject_ids)
        if not await self._scope.any(scope):
            raise await self._nothing_in_scope()
        now = self._clock.now()
        scan = await self._records.create(
            Scan(
                name,
                scope,
                now,
                justification=why,
                requester=name_of_caller(requester),
                authorisation=self._rules.authorisation(now),
            )
        )
        await self._plans.put(name, 0)
        return scan, summarise(scan, LiveScan())

    async def get(self, scan_id: str) -> tuple[Scan, ScanSummary]:
        """Return a scan and its summary with details.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
        """
        await self.require_visible(scan_id)
        scan = await settle(self._records, scan_id)
        if scan is None:
            raise not_found(scan_id)
        live = await self._records.live(scan_id)
        return scan, await self._detailed(scan, live)

    async def recordings(self, scan_id: str) -> list[ScannedRecording]:
        """Return the recordings of a scan, with the results of their ended segments.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
        """
        if await self._records.get(scan_id) is None:
            raise not_found(scan_id)
        await self.require_visible(scan_id)
        await fold(self._records, scan_id)
        plan = await self._records.plan(scan_id)
        return await self._records.recordings(scan_id, most=plan.value.recordings)

    async def find(self) -> list[tuple[Scan, ScanSummary]]:
        """Return all scans, newest first, without the details of their summaries.

        Those that the current caller may not see are left out.
        """
        found = []
        for scan in await self._visible(await self._records.find()):
            summary = scan.final or summarise(scan, await self._records.live(scan.scan_id))
            found.append((scan, summary))
        return sorted(found, key=lambda pair: newest_first(pair[0]))

    async def cancel(self, scan_id: str) -> tuple[Scan, ScanSummary]:
        """Stop a scan. Segments that a scanner works on end within seconds.

        Queued segments stay in the queue: a scanner that takes one of a cancelled scan drops them
        all.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
            FailedPreconditionError: `SCAN_ENDED`.
        """
        await self.require_visible(scan_id)
        scan = await settle(self._records, scan_id)
        if scan is None:
            raise not_found(scan_id)
        if scan.final is not None:
            raise errors.FailedPreconditionError(
                f"scan {scan_id} has ended already ({scan.final.state.value})",
                reason=errors.Reason.SCAN_ENDED,
                metadata={"scan_id": scan_id, "state": scan.final.state.name},
            )
        await self.stop(scan_id)
        return await self.outline(scan_id)

    async def stop(self, scan_id: str) -> None:
        """Cancel a scan unless it has ended; a repeated call finishes what broke off."""
        scan = await settle(self._records, scan_id)
        if scan is None or scan.final is not None:
            return
        now = self._clock.now()
        await self._records.change(
            scan_id,
            lambda held: held if held.cancelled else replace(held, cancelled=True, cancel_time=now),
        )
        await self._stop_plan(scan_id)

    async def outline(self, scan_id: str) -> tuple[Scan, ScanSummary]:
        """Return a scan and its summary without details, as lists have it.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
        """
        scan = await settle(self._records, scan_id)
        if scan is None:
            raise not_found(scan_id)
        return scan, scan.final or summarise(scan, await self._records.live(scan_id))

    async def watch(
        self, scan_id: str, *, interval: timedelta = WATCH_INTERVAL
    ) -> AsyncGenerator[ScanChange, None]:
        """Yield a scan as it is now, then after each change, until it has ended.

        The first and the last change have all details; the others come without gaps, efforts, and
        face sizes by camera. Candidates are read from matching. While matching does not answer,
        they are reported later; the last ones raise instead.

        Args:
            scan_id: Names it.
            interval: Changes within this time after the last one are combined.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
            UnavailableError: It has ended, and matching does not answer.
        """
        await self.require_visible(scan_id)
        told: dict[str, Candidate] = {}
        known: dict[str, None] = {}
        unread: list[str] = []
        first = True
        async with aclosing(_at_most_every(interval, self._records.watch(scan_id))) as changes:
            async for live in changes:
                scan = await self._records.get(scan_id)
                if scan is None:
                    raise not_found(scan_id)
                summary = scan.final or summarise(scan, live)
                if summary.state.ended:
                    scan = await settle(self._records, scan_id) or scan
                ended = summary.state.ended
                if first or ended:
                    summary = await self._detailed(scan, live)
                first = False
                unread += [one for one in live.sighting_ids if one not in known]
                known.update(live.sighting_ids)
                names = list(known) if ended else unread
                candidates = await self._read(scan, names, wait=not ended)
                if candidates is not None:
                    unread.clear()
                changed = [one for one in candidates or () if told.get(one.sighting_id) != one]
                told |= {one.sighting_id: one for one in changed}
                yield ScanChange(scan, summary, tuple(changed))
                if ended:
                    return

    async def _visible(self, scans: Sequence[Scan]) -> Sequence[Scan]:
        """Return those that the current caller may see: for subjects of their cases alone.

        A scan for everybody is of every case, and a subject who is closed of none.
        """
        cases = visible_cases()
        if cases is None:
            return scans
        subject_ids = {name for scan in scans for name in scan.scope.subject_ids}
        found = await self._matcher.case_references(subject_ids)
        seen = {name for name, case in found.items() if case in cases}
        return [one for one in scans if one.scope.subject_ids and seen >= {*one.scope.subject_ids}]

    async def require_visible(self, scan_id: str) -> None:
        """Refuse the current caller a scan that they may not see, as one that is not there."""
        if visible_cases() is None:
            return
        scan = await self._records.get(scan_id)
        if scan is None or not await self._visible([scan]):
            raise not_found(scan_id)

    async def _require_own_cases(self, scope: ScanScope) -> None:
        """Refuse the current caller to search for subjects of others' cases."""
        cases = visible_cases()
        if cases is None:
            return
        if not scope.subject_ids:
            raise case_not_assigned(
                "a search for everybody is of every case, and the caller is not assigned to all:"
                " name subjects of theirs"
            )
        found = await self._matcher.case_references(scope.subject_ids)
        for name in scope.subject_ids:
            if found.get(name) not in cases:
                raise errors.NotFoundError(
                    f"there is no subject {name}",
                    reason=errors.Reason.SUBJECT_NOT_FOUND,
                    metadata={"subject_id": name},
                )

    async def _read(
        self, scan: Scan, sighting_ids: Sequence[str], *, wait: bool
    ) -> list[Candidate] | None:
        """Return candidates by time; None if matching does not answer and they may come later.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`: the current caller may not see the scan any more.
        """
        if not sighting_ids:
            return []
        try:
            found = await self._matcher.candidates(sighting_ids)
            visible = await self._visible([scan])  # a watch lasts, and cases change
        except errors.UnavailableError:
            if not wait:
                raise
            return None
        if not visible:
            raise not_found(scan.scan_id)
        return sorted(found, key=lambda one: (one.start_time, one.sighting_id))

    async def _detailed(self, scan: Scan, live: LiveScan) -> ScanSummary:
        """Return the summary of a scan with details."""
        recordings = await self._records.recordings(scan.scan_id, most=live.plan.recordings)
        not_added = [one.value for one in live.segments.values()]
        return detailed(scan.final or summarise(scan, live), recordings, not_added)

    async def _stop_plan(self, scan_id: str) -> None:
        """Close the plan of a scan, so that nothing is added to it; watches notice this too."""
        while True:
            held = await self._records.plan(scan_id)
            try:
                plan = replace(held.value, stopped=True)
                await self._records.put_plan(scan_id, plan, held.revision)
            except ConflictError:
                continue
            return

    async def _require_room(self) -> None:
        under_way = await self._records.under_way()
        most = self._limits
        _require_fewer("scans", len(under_way), most.scans)
        _require_fewer("segments", await self._waiting_segments(under_way), most.segments)
        requester = name_of_caller("")
        if not requester or (most.scans_per_caller, most.segments_per_caller) == (None, None):
            return
        scans = await asyncio.gather(*map(self._records.get, under_way))
        own = [one.scan_id for one in scans if one is not None and one.requester == requester]
        _require_fewer("caller_scans", len(own), most.scans_per_caller)
        if most.segments_per_caller is not None:
            waiting = await self._waiting_segments(own)
            _require_fewer("caller_segments", waiting, most.segments_per_caller)

    async def _waiting_segments(self, scan_ids: Collection[str]) -> int:
        """Return how many segments of scans that go on were planned and have not ended."""
        segments = 0
        for scan_id in scan_ids:
            plan, tally = await asyncio.gather(
                self._records.plan(scan_id), self._records.tally(scan_id)
            )
            if not plan.value.stopped:
                segments += plan.value.segments - tally.value.segments
        return segments

    async def _nothing_in_scope(self) -> errors.FailedPreconditionError:
        held = await self._scope.holds_any()
        return errors.FailedPreconditionError(
            "there is nothing to search: no footage is in the scope"
            + ("; there is some outside of it: widen it" if held else "; add footage first"),
            reason=errors.Reason.SCAN_SCOPE_EMPTY,
            metadata={"footage_held": str(int(held))},
        )


async def _at_most_every(
    interval: timedelta, changes: AsyncGenerator[LiveScan, None]
) -> AsyncGenerator[LiveScan, None]:
    """Yield what changes, and what it has become an interval after that if it has changed again."""
    loop = asyncio.get_running_loop()
    async with aclosing(changes):
        following = asyncio.ensure_future(anext(changes))
        try:
            live = await following
            following = asyncio.ensure_future(anext(changes))
            while True:
                yield live
                until, changed = loop.time() + interval.total_seconds(), False
                while (left := until - loop.time()) > 0:
                    if not (await asyncio.wait([following], timeout=left))[0]:
                        break
                    live, changed = following.result(), True
                    following = asyncio.ensure_future(anext(changes))
                if not changed:
                    live = await following
                    following = asyncio.ensure_future(anext(changes))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


_COUNTED = {
    "scans": "scans are under way",
    "segments": "segments are under way",
    "caller_scans": "scans of the caller are under way",
    "caller_segments": "segments of the caller's scans are under way",
}


def _require_fewer(limit: str, under_way: int, most: int | None) -> None:
    if most is None or under_way < most:
        return
    raise errors.ResourceExhaustedError(
        f"too much is being searched: {under_way} {_COUNTED[limit]}, at most {most} may be; wait"
        " until a scan has ended, or cancel one",
        reason=errors.Reason.SCAN_LIMIT,
        metadata={"limit": limit, "under_way": str(under_way), "most": str(most)},
    )


def not_found(scan_id: str) -> errors.NotFoundError:
    """Return the error for a scan that is not there, or that the caller may not see."""
    return errors.NotFoundError(
        f"there is no scan {scan_id}; scans are kept for 31 days",
        reason=errors.Reason.SCAN_NOT_FOUND,
        metadata={"scan_id": scan_id},
    )


def newest_first(scan: Scan) -> tuple[float, str]:
    """Return the sort key of a list of scans, newest first; no two scans have the same."""
    return -scan.create_time.timestamp(), scan.scan_id
