"""The matching service as a `Matcher`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import grpc

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import (
    export_service_pb2,
    export_service_pb2_grpc,
    matching_service_pb2,
    matching_service_pb2_grpc,
    policy_pb2,
    sighting_pb2,
    sighting_service_pb2,
    sighting_service_pb2_grpc,
    subject_pb2,
    subject_service_pb2,
    subject_service_pb2_grpc,
)
from homeward.common import convert as common_convert
from homeward.core.idempotency import idempotent_calls
from homeward.core.policy import PolicyFigures
from homeward.ingestion.clip.model import ClipSeal, FinishedClip, SightingPlace
from homeward.ingestion.scan.faces import Box, Template
from homeward.ingestion.scan.model import Candidate, Drop, Match, MatchPolicy
from homeward.ingestion.scan.ports import MOST_LISTED, DraftStill, SightingDraft
from homeward.ingestion.scan.use_records import ScanPart, UseRecord
from homeward.servicekit import errors, wire
from homeward.servicekit.clients import check_health, translated

IDEMPOTENT = idempotent_calls(
    export_service_pb2.DESCRIPTOR,
    matching_service_pb2.DESCRIPTOR,
    sighting_service_pb2.DESCRIPTOR,
    subject_service_pb2.DESCRIPTOR,
    streams=True,
)
"""Calls that gRPC may repeat."""

TIMEOUT_SECONDS = 30.0

RECORD_TIMEOUT_SECONDS = 120.0
"""Of the use record, for which matching reads photographs and the audit trail."""

ERASURE_TIMEOUT_SECONDS = 120.0
"""Of the erasure of all that a scan found, still by still."""

MATCH_BATCH = 256
"""Most probes that the service takes at once."""

RECORD_BATCH = 4
"""Findings in a message: seven pictures of at most 1 MiB each, within 34 MiB."""

JOIN_BATCH = 64
"""Findings without pictures in a message."""

_STILLS_NEEDED = sighting_service_pb2.RecordedSighting.DISPOSITION_STILLS_NEEDED

_DROPS = {
    sighting_service_pb2.RecordedSighting.DISPOSITION_SUBJECT_CLOSED: Drop.SUBJECT_CLOSED,
    sighting_service_pb2.RecordedSighting.DISPOSITION_FOOTAGE_REMOVED: Drop.FOOTAGE_REMOVED,
    sighting_service_pb2.RecordedSighting.DISPOSITION_SCAN_REFUSED: Drop.SCAN_REFUSED,
}

READ_AT_ONCE = 8
"""Sightings or subjects that are read at a time."""


class GrpcMatcher:
    """Calls the matching service.

    Args:
        channel: Channel to the service.
        target: Address of the service, for messages.
    """

    def __init__(self, channel: grpc.aio.Channel, target: str) -> None:
        self._channel = channel
        self._matching = matching_service_pb2_grpc.MatchingServiceStub(channel)
        self._sightings = sighting_service_pb2_grpc.SightingServiceStub(channel)
        self._subjects = subject_service_pb2_grpc.SubjectServiceStub(channel)
        self._exports = export_service_pb2_grpc.ExportServiceStub(channel)
        self._target = target

    async def ping(self) -> None:
        """Return when the service answers."""
        await check_health(self._channel, "matching", self._target)

    async def match(
        self, probes: Sequence[Template], subject_ids: Sequence[str], *, margin: float = 0.0
    ) -> tuple[list[list[Match]], MatchPolicy]:
        """Return the matches of each probe, most alike first, and the policy in force.

        There is at least one probe.
        """
        matches: list[list[Match]] = []
        for start in range(0, len(probes), MATCH_BATCH):
            request = matching_service_pb2.MatchRequest(
                probes=[_to_template(probe) for probe in probes[start : start + MATCH_BATCH]],
                subject_ids=subject_ids,
                limit=MOST_LISTED + 1,
                margin=margin,
            )
            async with translated("matching", self._target):
                answer = await self._matching.Match(request, timeout=TIMEOUT_SECONDS)
            matches += [
                [Match(one.subject_id, one.photo_id, one.score) for one in result.candidates]
                for result in answer.results
            ]
            policy = MatchPolicy(
                answer.policy.policy_id,
                answer.policy.threshold,
                _figures(answer.policy),
            )
        return matches, policy

    async def record(self, drafts: Sequence[SightingDraft]) -> list[str | Drop]:
        """Record sightings; return for each its id, or why it was not recorded."""
        recorded: list[str | Drop] = []
        for start in range(0, len(drafts), RECORD_BATCH):
            request = sighting_service_pb2.RecordSightingsRequest(
                findings=[_to_finding(one) for one in drafts[start : start + RECORD_BATCH]]
            )
            async with translated("matching", self._target):
                answer = await self._sightings.RecordSightings(request, timeout=TIMEOUT_SECONDS)
            recorded += map(_recorded, answer.results)
        return recorded

    async def join(self, drafts: Sequence[SightingDraft]) -> list[str | Drop | None]:
        """Record sightings whose stills are not made, where none of these is needed.

        Matching of a version before does not know the call, and needs all of them.
        """
        joined: list[str | Drop | None] = []
        for start in range(0, len(drafts), JOIN_BATCH):
            batch = drafts[start : start + JOIN_BATCH]
            request = sighting_service_pb2.JoinSightingsRequest(findings=map(_to_finding, batch))
            async with translated("matching", self._target):
                try:
                    answer = await self._sightings.JoinSightings(request, timeout=TIMEOUT_SECONDS)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                        raise
                    joined += [None for _ in batch]
                    continue
            joined += [
                None if result.disposition == _STILLS_NEEDED else _recorded(result)
                for result in answer.results
            ]
        return joined

    async def candidates(self, sighting_ids: Sequence[str]) -> list[Candidate]:
        """Return the sightings with these ids that exist, in no order."""
        at_once = asyncio.Semaphore(READ_AT_ONCE)

        async def read(sighting_id: str) -> Candidate | None:
            request = sighting_service_pb2.GetSightingRequest(sighting_id=sighting_id)
            try:
                async with at_once, translated("matching", self._target):
                    answer = await self._sightings.GetSighting(request, timeout=TIMEOUT_SECONDS)
            except errors.NotFoundError:  # erased, or part of another one now
                return None
            return _candidate(answer.sighting)

        return [one for one in await asyncio.gather(*map(read, sighting_ids)) if one is not None]

    async def place(self, sighting_id: str) -> SightingPlace:
        """Return where a sighting is."""
        request = sighting_service_pb2.GetSightingRequest(sighting_id=sighting_id)
        async with translated("matching", self._target):
            answer = await self._sightings.GetSighting(request, timeout=TIMEOUT_SECONDS)
        return _place(answer.sighting)

    async def seal_clip(self, clip: FinishedClip) -> ClipSeal | None:
        """Return what is said of a clip, signed; None where there is no key to sign with."""
        told = {
            "sha256": clip.sha256,
            "size_bytes": len(clip.file),
            "start_time": _text(clip.start_time),
            "end_time": _text(clip.end_time),
            "width": clip.width,
            "height": clip.height,
            "picture_count": clip.picture_count,
            "blurred_picture_count": clip.blurred_picture_count,
            "subject_picture_count": clip.subject_picture_count,
        }
        request = export_service_pb2.SealClipRequest(
            sighting_id=clip.sighting_id, clip=json.dumps(told).encode()
        )
        try:
            async with translated("matching", self._target):
                answer = await self._exports.SealClip(request, timeout=TIMEOUT_SECONDS)
        except errors.FailedPreconditionError as error:
            if error.reason is not errors.Reason.AUDIT_KEY_MISSING:
                raise
            return None
        return ClipSeal(answer.record, answer.note)

    async def case_references(self, subject_ids: Collection[str]) -> dict[str, str]:
        """Return the case references of those of some subjects who are looked for."""
        at_once = asyncio.Semaphore(READ_AT_ONCE)

        async def read(subject_id: str) -> tuple[str, str]:
            request = subject_service_pb2.GetSubjectRequest(subject_id=subject_id)
            try:
                async with at_once, translated("matching", self._target):
                    answer = await self._subjects.GetSubject(request, timeout=TIMEOUT_SECONDS)
            except errors.NotFoundError:
                return subject_id, ""
            return subject_id, answer.subject.case_reference

        found = await asyncio.gather(*map(read, subject_ids))
        return {subject_id: case for subject_id, case in found if case}

    async def require_searchable(self, subject_ids: Sequence[str]) -> None:
        """Refuse a search without a policy, for subjects that are not open, or for nobody."""
        async with translated("matching", self._target):
            await self._matching.GetThresholdPolicy(
                matching_service_pb2.GetThresholdPolicyRequest(subject_ids=subject_ids),
                timeout=TIMEOUT_SECONDS,
            )
        if not subject_ids:
            if not await self._any_open():
                raise errors.FailedPreconditionError(
                    "there is nobody to search for: enrol a subject with a reference photograph",
                    reason=errors.Reason.NO_OPEN_SUBJECTS,
                )
            return
        for name in subject_ids:
            async with translated("matching", self._target):
                answer = await self._subjects.GetSubject(
                    subject_service_pb2.GetSubjectRequest(subject_id=name), timeout=TIMEOUT_SECONDS
                )
            if answer.subject.state != subject_pb2.Subject.STATE_OPEN:
                raise errors.FailedPreconditionError(
                    f"subject {name} is closed; its data is gone",
                    reason=errors.Reason.SUBJECT_CLOSED,
                    metadata={"subject_id": name},
                )
            if not _can_be_found(answer.subject):
                raise errors.FailedPreconditionError(
                    f"subject {name} has no reference photograph to search with; add one",
                    reason=errors.Reason.NO_OPEN_SUBJECTS,
                )

    async def erase_footage_sightings(self, footage_id: str, *, received: datetime | None) -> None:
        """Erase the unconfirmed sightings of a recording, and take none of it any more."""
        request = sighting_service_pb2.EraseFootageSightingsRequest(
            footage_id=footage_id,
            footage_receive_time=wire.to_timestamp(received) if received else None,
        )
        async with translated("matching", self._target):
            await self._sightings.EraseFootageSightings(request, timeout=TIMEOUT_SECONDS)

    async def erase_scan_sightings(self, scan_id: str, *, subject_ids: Sequence[str]) -> bool:
        """Erase what a refused scan found; return whether all of it is erased."""
        request = sighting_service_pb2.EraseScanSightingsRequest(
            scan_id=scan_id, subject_ids=subject_ids
        )
        async with translated("matching", self._target):
            answer = await self._sightings.EraseScanSightings(
                request, timeout=ERASURE_TIMEOUT_SECONDS
            )
        failed = subject_pb2.ErasureEntry.OUTCOME_FAILED
        return all(entry.outcome != failed for entry in answer.certificate.entries)

    async def seal(self, part: ScanPart) -> UseRecord:
        """Return the use record of a scan, with what matching knows, signed."""
        request = sighting_service_pb2.SealUseRecordRequest(
            scan_id=part.scan.scan_id,
            create_time=wire.to_timestamp(part.scan.create_time),
            subject_ids=part.scan.scope.subject_ids,
            sighting_ids=part.sighting_ids,
            scan=json.dumps(part.content).encode(),
        )
        async with translated("matching", self._target):
            answer = await self._sightings.SealUseRecord(request, timeout=RECORD_TIMEOUT_SECONDS)
        return UseRecord(answer.record, answer.note, answer.verifier_key)

    async def _any_open(self) -> bool:
        request = subject_service_pb2.ListSubjectsRequest(page_size=1000)
        while True:
            async with translated("matching", self._target):
                page = await self._subjects.ListSubjects(request, timeout=TIMEOUT_SECONDS)
            if any(map(_can_be_found, page.subjects)):
                return True
            if not page.next_page_token:
                return False
            request.page_token = page.next_page_token


def _can_be_found(subject: subject_pb2.Subject) -> bool:
    return any(not photo.unusable for photo in subject.reference_photos)


def _to_template(template: Template) -> types_pb2.Template:
    return types_pb2.Template(values=template.values.tolist(), model_digest=template.model_digest)


def _to_finding(draft: SightingDraft) -> sighting_service_pb2.SightingFinding:
    before = draft.include_rejected_before
    made = {one.offset: one.still.picture for one in draft.stills if one.still is not None}
    return sighting_service_pb2.SightingFinding(
        sighting=sighting_pb2.Sighting(
            subject_id=draft.match.subject_id,
            photo_id=draft.match.photo_id,
            footage_id=draft.footage.footage_id,
            camera_id=draft.footage.header.camera_id,
            scan_id=draft.scan_id,
            interval=wire.to_interval(draft.true_start + draft.start, draft.true_start + draft.end),
            best_shot_time=wire.to_timestamp(draft.true_start + draft.best_shot),
            start_offset=wire.to_duration(draft.start),
            end_offset=wire.to_duration(draft.end),
            best_shot_offset=wire.to_duration(draft.best_shot),
            score=draft.match.score,
            best_shot_score=draft.best_shot_score,
            rival_score=draft.rival_score,
            time_uncertain=draft.time_uncertain,
            threshold=draft.policy.threshold,
            policy_id=draft.policy.policy_id,
            figures=common_convert.to_figures(draft.policy.figures)
            if draft.policy.figures
            else None,
            face_height_px=draft.face_height_px,
            footage_sha256=draft.footage.header.sha256,
            clock_offset=wire.to_duration(draft.footage.header.start_time - draft.true_start),
            delete_time=wire.to_timestamp(draft.footage.delete_time),
            requesters=[draft.requester] if draft.requester else [],
            stills=[_to_still(one, draft.true_start) for one in draft.stills],
        ),
        template=_to_template(draft.template),
        still=made.get(draft.best_shot, b""),
        stills=made.values(),
        include_rejected_before_time=wire.to_timestamp(before) if before else None,
        footage_receive_time=wire.to_timestamp(draft.footage.receive_time),
    )


def _to_still(still: DraftStill, true_start: datetime) -> sighting_pb2.SightingStill:
    return sighting_pb2.SightingStill(
        offset=wire.to_duration(still.offset),
        time=wire.to_timestamp(true_start + still.offset),
        score=still.score,
        face_height_px=still.face_height_px,
        face_box=_to_box(still.still.face) if still.still is not None else None,
        quality=still.quality,
    )


def _to_box(box: Box) -> types_pb2.BoundingBox:
    return types_pb2.BoundingBox(x=box.x, y=box.y, width=box.width, height=box.height)


def _recorded(result: sighting_service_pb2.RecordedSighting) -> str | Drop:
    if result.HasField("sighting"):
        return result.sighting.sighting_id
    return _DROPS.get(result.disposition, Drop.REJECTED_BEFORE)


def _candidate(sighting: sighting_pb2.Sighting) -> Candidate:
    return Candidate(
        sighting_id=sighting.sighting_id,
        subject_id=sighting.subject_id,
        camera_id=sighting.camera_id,
        footage_id=sighting.footage_id,
        start_time=wire.from_timestamp(sighting.interval.start_time, "start_time"),
        end_time=wire.from_timestamp(sighting.interval.end_time, "end_time"),
        score=sighting.score,
        threshold=sighting.threshold,
        policy_id=sighting.policy_id,
        figures=_figures(sighting),
        rival_score=sighting.rival_score if sighting.HasField("rival_score") else None,
        time_uncertain=sighting.time_uncertain,
    )


def _text(instant: datetime) -> str:
    """Return an instant as RFC 3339 has it, in UTC."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _place(sighting: sighting_pb2.Sighting) -> SightingPlace:
    shot = wire.from_timestamp(sighting.best_shot_time, "best_shot_time")
    return SightingPlace(
        sighting_id=sighting.sighting_id,
        subject_id=sighting.subject_id,
        footage_id=sighting.footage_id,
        footage_sha256=sighting.footage_sha256,
        start=sighting.start_offset.ToTimedelta(),
        end=sighting.end_offset.ToTimedelta(),
        best_shot=sighting.best_shot_offset.ToTimedelta(),
        true_start=shot - sighting.best_shot_offset.ToTimedelta(),
        time_uncertain=sighting.time_uncertain,
    )


def _figures(told: policy_pb2.ThresholdPolicy | sighting_pb2.Sighting) -> PolicyFigures | None:
    return (
        common_convert.figures_from(told.figures, "figures") if told.HasField("figures") else None
    )
