"""Matching on the wire: requests to use cases, results to responses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from homeward.api.matching.v1 import (
    matching_service_pb2,
    matching_service_pb2_grpc,
    policy_service_pb2_grpc,
    retention_service_pb2,
    retention_service_pb2_grpc,
    sighting_service_pb2,
    sighting_service_pb2_grpc,
    subject_service_pb2,
    subject_service_pb2_grpc,
)
from homeward.common import convert as common_convert
from homeward.matching import metrics
from homeward.matching.compare import match
from homeward.matching.composition import Stores, UseCases
from homeward.matching.convert import enrolment as convert_enrolment
from homeward.matching.convert import findings as convert_findings
from homeward.matching.convert import following as convert_following
from homeward.matching.convert import ids as convert_ids
from homeward.matching.convert import leases as convert_leases
from homeward.matching.convert import policies as convert_policies
from homeward.matching.convert import probes as convert_probes
from homeward.matching.convert import progress as convert_progress
from homeward.matching.convert import rejections as convert_rejections
from homeward.matching.convert import retention as convert_retention
from homeward.matching.convert import sightings as convert_sightings
from homeward.matching.convert import subjects as convert_subjects
from homeward.matching.convert import use_records as convert_use_records
from homeward.matching.exports.servicer import ExportServicer
from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.policies.catalogue import Policies
from homeward.matching.policy_servicer import PolicyServicer
from homeward.matching.retention import Retention
from homeward.matching.sightings import ledger
from homeward.matching.sightings.model import Disposition, Sighting
from homeward.matching.sightings.taking_back import Withdrawal
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.records import SubjectRecords, newest_first, visible_subjects
from homeward.servicekit import wire
from homeward.servicekit.clock import Clock
from homeward.servicekit.identity.caller import Role, acting_name, current_caller
from homeward.servicekit.paging import PageQuery, page_by
from homeward.servicekit.server import Service

Context = grpc.aio.ServicerContext[Any, Any]


class SubjectServicer(subject_service_pb2_grpc.SubjectServiceServicer):
    """`homeward.api.matching.v1.SubjectService`."""

    def __init__(self, use_cases: UseCases, clock: Clock) -> None:
        self._subjects = use_cases.subjects
        self._enrolment = use_cases.enrolment
        self._closing = use_cases.closing
        self._reenrolment = use_cases.reenrolment
        self._gallery_rebuild = use_cases.gallery_rebuild
        self._clock = clock

    async def CreateSubject(
        self, request: subject_service_pb2.CreateSubjectRequest, _: Context
    ) -> subject_service_pb2.CreateSubjectResponse:
        details = convert_subjects.details_from(request.subject, now=self._clock.now())
        request_id = wire.request_id(request.request_id, "request_id")
        created, warnings = await self._enrolment.create(details, request_id=request_id)
        return subject_service_pb2.CreateSubjectResponse(
            subject=convert_subjects.to_subject(created),
            warnings=convert_enrolment.to_warnings(warnings),
        )

    async def AddReferencePhoto(
        self, request: subject_service_pb2.AddReferencePhotoRequest, _: Context
    ) -> subject_service_pb2.AddReferencePhotoResponse:
        added = await self._enrolment.add_photo(
            wire.uuid_text(request.subject_id, "subject_id"),
            convert_subjects.photo_from(request.photo),
            only_without_warnings=request.only_without_warnings,
        )
        return convert_enrolment.to_added(added)

    async def GetSubject(
        self, request: subject_service_pb2.GetSubjectRequest, _: Context
    ) -> subject_service_pb2.GetSubjectResponse:
        held = await self._subjects.get(wire.uuid_text(request.subject_id, "subject_id"))
        unusable = await self._subjects.unusable([held.value])
        return subject_service_pb2.GetSubjectResponse(
            subject=convert_subjects.to_subject(held, unusable=unusable)
        )

    async def GetReferencePhoto(
        self, request: subject_service_pb2.GetReferencePhotoRequest, _: Context
    ) -> subject_service_pb2.GetReferencePhotoResponse:
        photo, image = await self._subjects.reference(
            wire.uuid_text(request.subject_id, "subject_id"),
            wire.uuid_text(request.photo_id, "photo_id"),
        )
        return subject_service_pb2.GetReferencePhotoResponse(
            image=image, face_box=convert_subjects.to_box(photo.face_box)
        )

    async def ListSubjects(
        self, request: subject_service_pb2.ListSubjectsRequest, _: Context
    ) -> subject_service_pb2.ListSubjectsResponse:
        found = await self._subjects.find(
            show_closed=request.show_closed,
            prefix=wire.uuid_prefix(request.id_prefix, "id_prefix"),
        )
        items, token = page_by(request, found, lambda held: newest_first(held.value))
        unusable = await self._subjects.unusable([held.value for held in items])
        return subject_service_pb2.ListSubjectsResponse(
            subjects=[convert_subjects.to_subject(held, unusable=unusable) for held in items],
            next_page_token=token,
        )

    async def UpdateSubject(
        self, request: subject_service_pb2.UpdateSubjectRequest, _: Context
    ) -> subject_service_pb2.UpdateSubjectResponse:
        paths = wire.mask_paths(
            request.update_mask, "update_mask", convert_subjects.UPDATABLE_DETAILS
        )
        held = await self._subjects.update(
            wire.uuid_text(request.subject.subject_id, "subject.subject_id"),
            convert_subjects.details_change(request.subject, paths, now=self._clock.now()),
            etag=request.subject.etag,
        )
        unusable = await self._subjects.unusable([held.value])
        return subject_service_pb2.UpdateSubjectResponse(
            subject=convert_subjects.to_subject(held, unusable=unusable)
        )

    async def CloseSubject(
        self, request: subject_service_pb2.CloseSubjectRequest, _: Context
    ) -> subject_service_pb2.CloseSubjectResponse:
        closed, certificate = await self._closing.close(
            wire.uuid_text(request.subject_id, "subject_id")
        )
        return subject_service_pb2.CloseSubjectResponse(
            subject=convert_subjects.to_subject(closed),
            certificate=convert_retention.to_certificate(certificate),
        )

    async def EraseSubject(
        self, request: subject_service_pb2.EraseSubjectRequest, _: Context
    ) -> subject_service_pb2.EraseSubjectResponse:
        certificate = await self._closing.erase(wire.uuid_text(request.subject_id, "subject_id"))
        return subject_service_pb2.EraseSubjectResponse(
            certificate=convert_retention.to_certificate(certificate)
        )

    async def ReenrolSubjects(
        self, request: subject_service_pb2.ReenrolSubjectsRequest, _: Context
    ) -> AsyncIterator[subject_service_pb2.ReenrolSubjectsResponse]:
        model = wire.text(request.model, "model", least=1, most=200)
        run = self._reenrolment.run(model, accept_lost=request.accept_lost)
        async with aclosing(run) as progress:
            async for part in progress:
                yield convert_progress.to_reenrolled(part)

    async def RebuildGallery(
        self, request: subject_service_pb2.RebuildGalleryRequest, _: Context
    ) -> AsyncIterator[subject_service_pb2.RebuildGalleryResponse]:
        run = self._gallery_rebuild.run(accept_lost=request.accept_lost)
        async with aclosing(run) as progress:
            async for part in progress:
                yield convert_progress.to_rebuilt(part)


class MatchingServicer(matching_service_pb2_grpc.MatchingServiceServicer):
    """`homeward.api.matching.v1.MatchingService`."""

    def __init__(
        self, gallery: SubjectIndex, completeness: Completeness, policies: Policies
    ) -> None:
        self._gallery = gallery
        self._completeness = completeness
        self._policies = policies

    async def Match(
        self, request: matching_service_pb2.MatchRequest, _: Context
    ) -> matching_service_pb2.MatchResponse:
        probes = convert_probes.probes_from(request)
        scope = convert_ids.scope_from(request.subject_ids, "subject_ids")
        policy = await self._policies.in_force(gallery_size=len(scope))
        results = await match(
            probes,
            self._gallery,
            self._completeness,
            policy=policy,
            subject_ids=scope,
            limit=convert_probes.limit_from(request.limit),
            margin=wire.number_between(
                request.margin, "margin", least=0, most=convert_probes.MAX_MARGIN
            ),
        )
        metrics.PROBES.inc(len(probes))
        return matching_service_pb2.MatchResponse(
            results=[convert_probes.to_candidates(found) for found in results],
            policy=convert_policies.to_policy(policy),
        )

    async def GetThresholdPolicy(
        self, request: matching_service_pb2.GetThresholdPolicyRequest, _: Context
    ) -> matching_service_pb2.GetThresholdPolicyResponse:
        size = wire.number_between(
            request.gallery_size, "gallery_size", least=0, most=common_convert.MAX_GALLERY
        )
        # First what takes longest to mend: no policy helps a gallery of another pack.
        await self._gallery.require_model((await self._policies.model_in_use()).digest)
        policy = await self._policies.in_force(gallery_size=int(size), recount=True)
        await self._gallery.require_model(policy.model_digest)
        await self._completeness.require(convert_ids.scope_from(request.subject_ids, "subject_ids"))
        return matching_service_pb2.GetThresholdPolicyResponse(
            policy=convert_policies.to_policy(policy)
        )


class SightingServicer(sighting_service_pb2_grpc.SightingServiceServicer):
    """`homeward.api.matching.v1.SightingService`."""

    def __init__(self, use_cases: UseCases, clock: Clock) -> None:
        self._recording = use_cases.recording
        self._review = use_cases.review
        self._leasing = use_cases.leasing
        self._withdrawal = use_cases.withdrawal
        self._following = use_cases.following
        self._upkeep = use_cases.upkeep
        self._scan_erasure = use_cases.scan_erasure
        self._use_records = use_cases.use_records
        self._subjects = use_cases.subjects
        self._clock = clock

    async def RecordSightings(
        self, request: sighting_service_pb2.RecordSightingsRequest, _: Context
    ) -> sighting_service_pb2.RecordSightingsResponse:
        findings = convert_findings.findings_from(request, now=self._clock.now())
        results = [await self._recording.record(finding) for finding in findings]
        return sighting_service_pb2.RecordSightingsResponse(results=self._recorded(results))

    async def JoinSightings(
        self, request: sighting_service_pb2.JoinSightingsRequest, _: Context
    ) -> sighting_service_pb2.JoinSightingsResponse:
        findings = convert_findings.findings_without_stills_from(request, now=self._clock.now())
        results = await self._recording.join(findings)
        return sighting_service_pb2.JoinSightingsResponse(results=self._recorded(results))

    def _recorded(
        self, results: Sequence[tuple[Disposition, Sighting | None]]
    ) -> list[sighting_service_pb2.RecordedSighting]:
        for disposition, _sighting in results:
            metrics.SIGHTINGS.labels(disposition.value).inc()
        return [convert_sightings.to_recorded(*one, self._review.rules) for one in results]

    async def GetSighting(
        self, request: sighting_service_pb2.GetSightingRequest, _: Context
    ) -> sighting_service_pb2.GetSightingResponse:
        sighting = await self._review.get(wire.uuid_text(request.sighting_id, "sighting_id"))
        response = sighting_service_pb2.GetSightingResponse(
            sighting=convert_sightings.to_sighting(sighting, self._review.rules)
        )
        if request.view == sighting_service_pb2.SIGHTING_VIEW_FULL:
            subject = (await self._subjects.get(sighting.subject_id)).value
            boxes = [p.face_box for p in subject.photos if p.photo_id == sighting.photo_id]
            photo = await self._subjects.photo(sighting.subject_id, sighting.photo_id)
            response.still = await self._review.still(sighting) or b""
            response.stills.extend(await self._review.stills(sighting))
            response.reference_photo = photo or b""
            if boxes:
                response.reference_face_box.CopyFrom(convert_subjects.to_box(boxes[0]))
        return response

    async def ListSightings(
        self, request: sighting_service_pb2.ListSightingsRequest, _: Context
    ) -> sighting_service_pb2.ListSightingsResponse:
        query = PageQuery.of(request)
        if request.id_prefix:
            found, last = await self._review.with_prefix(
                convert_sightings.only_prefix_from(request),
                size=query.size,
                after=convert_sightings.last_from(query.after),
            )
            token = query.token(last) if last else ""
            return convert_sightings.to_page(found, token, self._review.rules)
        which = convert_sightings.filter_from(request)
        after = convert_sightings.cursor_from(query.after)
        listed, cursor = await self._review.page(which, size=query.size, after=after)
        place = convert_sightings.to_cursor(cursor) if cursor else ""
        token = query.token(place) if place else ""
        page = convert_sightings.to_page(listed, token, self._review.rules)
        if after is None and not request.leave_out_lost:
            page.lost.CopyFrom(convert_sightings.to_lost(await self._review.lost(which)))
        return page

    async def ReviewSighting(
        self, request: sighting_service_pb2.ReviewSightingRequest, _: Context
    ) -> sighting_service_pb2.ReviewSightingResponse:
        decision = convert_sightings.decision_from(request.decision)
        reviewer = acting_name(request.reviewer, "reviewer", most=200)
        sighting = await self._review.review(
            wire.uuid_text(request.sighting_id, "sighting_id"),
            decision=decision,
            reason=wire.text(request.reason, "reason", most=1000),
            reviewer=reviewer,
        )
        metrics.REVIEWS.labels(decision.value).inc()
        return sighting_service_pb2.ReviewSightingResponse(
            sighting=convert_rejections.to_reviewed(sighting, self._review.rules, reviewer=reviewer)
        )

    async def LeaseSightings(
        self, request: sighting_service_pb2.LeaseSightingsRequest, _: Context
    ) -> sighting_service_pb2.LeaseSightingsResponse:
        reviewer = acting_name(request.reviewer, "reviewer", most=200)
        handed = await self._leasing.hand_out(
            convert_leases.query_from(request),
            reviewer,
            count=convert_leases.count_from(request.count),
        )
        return convert_leases.to_handed_out(handed, self._review.rules, reviewer=reviewer)

    async def RenewSightingLeases(
        self, request: sighting_service_pb2.RenewSightingLeasesRequest, _: Context
    ) -> sighting_service_pb2.RenewSightingLeasesResponse:
        reviewer = acting_name(request.reviewer, "reviewer", most=200)
        names = convert_leases.held_from(request.sighting_ids)
        leases = await self._leasing.renew(names, reviewer)
        return sighting_service_pb2.RenewSightingLeasesResponse(
            leases=map(convert_leases.to_lease, leases)
        )

    async def ReturnSightings(
        self, request: sighting_service_pb2.ReturnSightingsRequest, _: Context
    ) -> sighting_service_pb2.ReturnSightingsResponse:
        reviewer = acting_name(request.reviewer, "reviewer", most=200)
        await self._leasing.give_back(convert_leases.held_from(request.sighting_ids), reviewer)
        return sighting_service_pb2.ReturnSightingsResponse()

    async def WithdrawReview(
        self, request: sighting_service_pb2.WithdrawReviewRequest, _: Context
    ) -> sighting_service_pb2.WithdrawReviewResponse:
        reviewer = acting_name(request.reviewer, "reviewer", most=200)
        review_time = wire.from_timestamp(request.review_time, "review_time")
        sighting, lease = await self._withdrawal.withdraw(
            wire.uuid_text(request.sighting_id, "sighting_id"), Withdrawal(reviewer, review_time)
        )
        return sighting_service_pb2.WithdrawReviewResponse(
            sighting=convert_sightings.to_sighting(sighting, self._review.rules, reader=reviewer),
            lease=convert_leases.to_lease(lease) if lease else None,
        )

    async def ListRejections(
        self, request: sighting_service_pb2.ListRejectionsRequest, _: Context
    ) -> sighting_service_pb2.ListRejectionsResponse:
        found = await self._review.rejections(
            subject_ids=convert_ids.scope_from(request.subject_ids, "subject_ids"),
            footage_ids=frozenset(
                convert_ids.footage_id_from(name, f"footage_ids[{index}]")
                for index, name in enumerate(request.footage_ids)
            ),
        )
        items, token = page_by(request, found, ledger.newest_first)
        return sighting_service_pb2.ListRejectionsResponse(
            rejections=[convert_rejections.to_rejection(one) for one in items],
            next_page_token=token,
        )

    async def ExportSighting(
        self, request: sighting_service_pb2.ExportSightingRequest, _: Context
    ) -> sighting_service_pb2.ExportSightingResponse:
        sighting, still = await self._review.export(
            wire.uuid_text(request.sighting_id, "sighting_id"), unapproved=request.unapproved
        )
        return sighting_service_pb2.ExportSightingResponse(
            sighting=convert_sightings.to_sighting(sighting, self._review.rules),
            still=still,
            export_time=wire.to_timestamp(self._clock.now()),
        )

    async def EraseFootageSightings(
        self, request: sighting_service_pb2.EraseFootageSightingsRequest, _: Context
    ) -> sighting_service_pb2.EraseFootageSightingsResponse:
        received = None
        if request.HasField("footage_receive_time"):
            received = wire.from_timestamp(request.footage_receive_time, "footage_receive_time")
        count = await self._upkeep.erase_footage(
            convert_ids.footage_id_from(request.footage_id, "footage_id"), received=received
        )
        return sighting_service_pb2.EraseFootageSightingsResponse(erased_count=count)

    async def EraseScanSightings(
        self, request: sighting_service_pb2.EraseScanSightingsRequest, _: Context
    ) -> sighting_service_pb2.EraseScanSightingsResponse:
        certificate = await self._scan_erasure.erase(
            wire.uuid_text(request.scan_id, "scan_id"),
            subject_ids=convert_ids.scope_from(request.subject_ids, "subject_ids"),
        )
        return sighting_service_pb2.EraseScanSightingsResponse(
            certificate=convert_retention.to_certificate(certificate)
        )

    async def SealUseRecord(
        self, request: sighting_service_pb2.SealUseRecordRequest, _: Context
    ) -> sighting_service_pb2.SealUseRecordResponse:
        part = convert_use_records.part_from(request)
        return convert_use_records.to_sealed(await self._use_records.seal(part))

    async def WatchSightings(
        self, request: sighting_service_pb2.WatchSightingsRequest, _: Context
    ) -> AsyncIterator[sighting_service_pb2.WatchSightingsResponse]:
        following = self._following.follow(
            convert_following.place_from(request),
            from_oldest=request.from_oldest,
            subject_ids=convert_ids.scope_from(request.subject_ids, "subject_ids"),
        )
        async with aclosing(following) as changes:
            async for change in changes:
                if request.send_places or not isinstance(change, str):
                    yield convert_following.to_followed(change, self._review.rules)


class RetentionServicer(retention_service_pb2_grpc.RetentionServiceServicer):
    """`homeward.api.matching.v1.RetentionService`."""

    def __init__(
        self, retention: Retention, certificates: Certificates, subjects: SubjectRecords
    ) -> None:
        self._retention = retention
        self._certificates = certificates
        self._subjects = subjects

    async def GetRetentionReport(
        self, _request: retention_service_pb2.GetRetentionReportRequest, _: Context
    ) -> retention_service_pb2.GetRetentionReportResponse:
        return convert_retention.to_report(await self._retention.report())

    async def GetErasureCertificate(
        self, request: retention_service_pb2.GetErasureCertificateRequest, _: Context
    ) -> retention_service_pb2.GetErasureCertificateResponse:
        certificate = await self._certificates.get(wire.uuid_text(request.subject_id, "subject_id"))
        return retention_service_pb2.GetErasureCertificateResponse(
            certificate=convert_retention.to_certificate(certificate)
        )

    async def GetScanErasureCertificate(
        self, request: retention_service_pb2.GetScanErasureCertificateRequest, _: Context
    ) -> retention_service_pb2.GetScanErasureCertificateResponse:
        scan_id = wire.uuid_text(request.scan_id, "scan_id")
        caller = current_caller()
        audits = caller is not None and Role.AUDITOR in caller.roles  # who works on no case
        visible = None if audits else await visible_subjects(self._subjects)
        certificate = await self._certificates.of_scan(scan_id, visible=visible)
        return retention_service_pb2.GetScanErasureCertificateResponse(
            certificate=convert_retention.to_certificate(certificate)
        )


def services(use_cases: UseCases, stores: Stores, clock: Clock) -> list[Service]:
    """Return what the matching server serves."""
    package = "homeward.api.matching.v1"
    return [
        Service(
            f"{package}.SubjectService",
            subject_service_pb2_grpc.add_SubjectServiceServicer_to_server,
            SubjectServicer(use_cases, clock),
        ),
        Service(
            f"{package}.MatchingService",
            matching_service_pb2_grpc.add_MatchingServiceServicer_to_server,
            MatchingServicer(stores.gallery, use_cases.completeness, use_cases.policies),
        ),
        Service(
            f"{package}.PolicyService",
            policy_service_pb2_grpc.add_PolicyServiceServicer_to_server,
            PolicyServicer(use_cases.policies, clock),
        ),
        Service(
            f"{package}.SightingService",
            sighting_service_pb2_grpc.add_SightingServiceServicer_to_server,
            SightingServicer(use_cases, clock),
        ),
        Service(
            f"{package}.RetentionService",
            retention_service_pb2_grpc.add_RetentionServiceServicer_to_server,
            RetentionServicer(use_cases.retention, use_cases.certificates, stores.records),
        ),
        ExportServicer(use_cases.exports, use_cases.review).service(),
    ]
