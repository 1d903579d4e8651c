"""Matching's values from and to protobuf. The field rules of the protos are enforced here."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import (
    matching_service_pb2,
    policy_pb2,
    policy_service_pb2,
    retention_service_pb2,
    sighting_pb2,
    sighting_service_pb2,
    subject_pb2,
)
from homeward.inventory import backstop_time
from homeward.matching.model import (
    AgeGroup,
    Approval,
    Box,
    Candidate,
    Decision,
    Disposition,
    ErasedSighting,
    ErasureCertificate,
    ErasureOutcome,
    Finding,
    Policy,
    PolicyState,
    ReferencePhoto,
    Sighting,
    SightingState,
    Subject,
    SubjectDetails,
    SubjectState,
    Template,
    ThresholdPolicy,
)
from homeward.matching.usecases.retention import RetentionReport
from homeward.policy import MOST_BYTES, Measurement, PolicyError, PolicyFile, read_policy
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_PHOTO_BYTES = 32 * 1024 * 1024
MAX_STILL_BYTES = 1024 * 1024
MAX_PROBES = 256
MAX_MARGIN = 0.5
MAX_SCOPE = 1000
MAX_FINDINGS = 64
MAX_CANDIDATES = 50
DEFAULT_CANDIDATES = 5
MAX_REVIEW = timedelta(days=366)
UNIT_TOLERANCE = 1e-3
MAX_APPROVAL = timedelta(days=366)
"""A measurement ages with cameras, models and people: somebody must look at it once a year."""
_FOOTAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_POLICY_ID = re.compile(r"(?=.{3,200}$)[A-Za-z0-9][A-Za-z0-9._:-]*/[A-Za-z0-9][A-Za-z0-9._:-]*")

_AGE_GROUPS: Mapping[int, AgeGroup] = {
    subject_pb2.AGE_GROUP_ADULT: AgeGroup.ADULT,
    subject_pb2.AGE_GROUP_CHILD: AgeGroup.CHILD,
}
_SUBJECT_STATES = {
    SubjectState.OPEN: subject_pb2.Subject.STATE_OPEN,
    SubjectState.CLOSED: subject_pb2.Subject.STATE_CLOSED,
}
_SIGHTING_STATES = {
    SightingState.UNREVIEWED: sighting_pb2.Sighting.STATE_UNREVIEWED,
    SightingState.CONFIRMED: sighting_pb2.Sighting.STATE_CONFIRMED,
    SightingState.REJECTED: sighting_pb2.Sighting.STATE_REJECTED,
    SightingState.INCONCLUSIVE: sighting_pb2.Sighting.STATE_INCONCLUSIVE,
}
_DECISIONS = {
    Decision.CONFIRM: sighting_pb2.REVIEW_DECISION_CONFIRM,
    Decision.REJECT: sighting_pb2.REVIEW_DECISION_REJECT,
    Decision.INCONCLUSIVE: sighting_pb2.REVIEW_DECISION_INCONCLUSIVE,
}
_DISPOSITIONS = {
    Disposition.RECORDED: sighting_service_pb2.RecordedSighting.DISPOSITION_RECORDED,
    Disposition.JOINED: sighting_service_pb2.RecordedSighting.DISPOSITION_JOINED,
    Disposition.REJECTED_BEFORE: sighting_service_pb2.RecordedSighting.DISPOSITION_REJECTED_BEFORE,
    Disposition.SUBJECT_CLOSED: sighting_service_pb2.RecordedSighting.DISPOSITION_SUBJECT_CLOSED,
}
_POLICY_STATES = {
    PolicyState.UNAPPROVED: policy_pb2.Policy.STATE_UNAPPROVED,
    PolicyState.APPROVED: policy_pb2.Policy.STATE_APPROVED,
    PolicyState.EXPIRED: policy_pb2.Policy.STATE_EXPIRED,
}
_OUTCOMES = {
    ErasureOutcome.ERASED: subject_pb2.ErasureEntry.OUTCOME_ERASED,
    ErasureOutcome.PENDING: subject_pb2.ErasureEntry.OUTCOME_PENDING,
    ErasureOutcome.FAILED: subject_pb2.ErasureEntry.OUTCOME_FAILED,
}


def details_from(subject: subject_pb2.Subject, *, now: datetime) -> SubjectDetails:
    """Return what a caller states about a new subject."""
    blank = SubjectDetails("", "", AgeGroup.ADULT, "", "", now)
    return _changed(blank, subject, tuple(_DETAIL_FIELDS), now=now)


def details_change(
    subject: subject_pb2.Subject, paths: tuple[str, ...], *, now: datetime
) -> Callable[[SubjectDetails], SubjectDetails]:
    """Return the change that an update makes; its values are checked at once."""
    _changed(SubjectDetails("", "", AgeGroup.ADULT, "", "", now), subject, paths, now=now)
    return lambda details: _changed(details, subject, paths, now=now)


def _changed(
    details: SubjectDetails,
    subject: subject_pb2.Subject,
    paths: Collection[str],
    *,
    now: datetime,
) -> SubjectDetails:
    values = {path: _DETAIL_FIELDS[path](subject, now) for path in paths}
    return replace(details, **values)  # type: ignore[arg-type]  # each value is its field's


def _age_group(subject: subject_pb2.Subject, _: datetime) -> AgeGroup:
    group = _AGE_GROUPS.get(subject.age_group)
    if group is None:
        raise invalid_field("subject.age_group", "is required: adult or child")
    return group


def _review_time(subject: subject_pb2.Subject, now: datetime) -> datetime:
    wire.require(subject, "review_time", "subject.review_time")
    review = wire.from_timestamp(subject.review_time, "subject.review_time")
    if not now < review <= now + MAX_REVIEW:
        raise invalid_field("subject.review_time", "must be in the future, within 366 days")
    return review


_DETAIL_FIELDS: Mapping[str, Callable[[subject_pb2.Subject, datetime], object]] = {
    "case_reference": lambda subject, _: wire.text(
        subject.case_reference, "subject.case_reference", least=1, most=100
    ),
    "label": lambda subject, _: wire.text(subject.label, "subject.label", most=100),
    "age_group": _age_group,
    "legal_basis": lambda subject, _: wire.text(
        subject.legal_basis, "subject.legal_basis", least=1, most=500
    ),
    "authorised_by": lambda subject, _: wire.text(
        subject.authorised_by, "subject.authorised_by", least=1, most=200
    ),
    "review_time": _review_time,
}
UPDATABLE_DETAILS = frozenset(_DETAIL_FIELDS)


def photo_from(photo: bytes) -> bytes:
    """Return a photograph of a size that is accepted."""
    if not photo:
        raise invalid_field("photo", "is empty; send a picture file")
    if len(photo) > MAX_PHOTO_BYTES:
        raise invalid_field(
            "photo", f"has {len(photo)} bytes, at most {MAX_PHOTO_BYTES} (32 MiB) are allowed"
        )
    return photo


def to_subject(
    subject: Subject, etag: str, *, unusable: Collection[str] = ()
) -> subject_pb2.Subject:
    """Return a subject as protobuf has it; `unusable` are ids of photographs."""
    message = subject_pb2.Subject(
        subject_id=subject.subject_id,
        state=_SUBJECT_STATES[subject.state],
        reference_photos=[
            to_photo(photo, unusable=photo.photo_id in unusable) for photo in subject.photos
        ],
        create_time=wire.to_timestamp(subject.create_time),
        update_time=wire.to_timestamp(subject.update_time),
        etag=etag,
    )
    if subject.details:
        details = subject.details
        message.case_reference = details.case_reference
        message.label = details.label
        message.age_group = (
            subject_pb2.AGE_GROUP_CHILD
            if details.age_group is AgeGroup.CHILD
            else subject_pb2.AGE_GROUP_ADULT
        )
        message.legal_basis = details.legal_basis
        message.authorised_by = details.authorised_by
        message.review_time.CopyFrom(wire.to_timestamp(details.review_time))
    return message


def to_photo(photo: ReferencePhoto, *, unusable: bool = False) -> subject_pb2.ReferencePhoto:
    """Return a reference photograph as protobuf has it."""
    return subject_pb2.ReferencePhoto(
        photo_id=photo.photo_id,
        face_box=to_box(photo.face_box),
        quality=photo.quality,
        create_time=wire.to_timestamp(photo.create_time),
        unusable=unusable,
    )


def to_box(box: Box) -> types_pb2.BoundingBox:
    """Return a rectangle as protobuf has it."""
    return types_pb2.BoundingBox(x=box.x, y=box.y, width=box.width, height=box.height)


def to_certificate(certificate: ErasureCertificate) -> subject_pb2.ErasureCertificate:
    """Return an erasure certificate as protobuf has it."""
    return subject_pb2.ErasureCertificate(
        subject_id=certificate.subject_id,
        erase_time=wire.to_timestamp(certificate.erase_time),
        entries=[
            subject_pb2.ErasureEntry(
                data=entry.data,
                store=entry.store,
                item_count=entry.item_count,
                outcome=_OUTCOMES[entry.outcome],
                verification=entry.verification,
                until_time=wire.to_timestamp(entry.until) if entry.until else None,
            )
            for entry in certificate.entries
        ],
    )


def to_report(report: RetentionReport) -> retention_service_pb2.GetRetentionReportResponse:
    """Return a retention report as protobuf has it."""
    return retention_service_pb2.GetRetentionReportResponse(
        report_time=wire.to_timestamp(report.made),
        held=[wire.to_held(one) for one in report.held],
        store_problems=report.deviations,
        rebuild_due=report.rebuild_due,
        lifecycle=wire.to_lifecycle(report.lifecycle),
        encryption=wire.to_encryption(report.encryption),
    )


def template_from(template: types_pb2.Template, field: str) -> Template:
    """Return a template."""
    if not template.model_digest:
        raise invalid_field(f"{field}.model_digest", "is required")
    values = np.asarray(template.values, dtype=np.float32)
    # Written so that NaN, which compares with nothing, is refused.
    if not abs(float(np.linalg.norm(values)) - 1) <= UNIT_TOLERANCE:
        raise invalid_field(f"{field}.values", "must be a vector of length 1")
    return Template(values, template.model_digest)


def probes_from(request: matching_service_pb2.MatchRequest) -> list[Template]:
    """Return the probes of a match, all of one model."""
    wire.count_between(len(request.probes), "probes", least=1, most=MAX_PROBES)
    probes = [
        template_from(probe, f"probes[{index}]") for index, probe in enumerate(request.probes)
    ]
    for index, probe in enumerate(probes):
        first = probes[0]
        if (probe.model_digest, probe.values.shape) != (first.model_digest, first.values.shape):
            raise invalid_field(f"probes[{index}]", "is of another model than probes[0]")
    return probes


def scope_from(subject_ids: Collection[str], field: str) -> frozenset[str]:
    """Return the subjects of a scope; empty for all."""
    wire.count_between(len(subject_ids), field, least=0, most=MAX_SCOPE)
    return frozenset(
        wire.uuid_text(name, f"{field}[{index}]") for index, name in enumerate(subject_ids)
    )


def footage_id_from(value: str, field: str) -> str:
    """Return a recording's id, which is one token of a ledger key: no `.`, no `*`, no `>`."""
    if not _FOOTAGE_ID.fullmatch(value):
        raise invalid_field(field, "is not an id that Homeward gave")
    return value


def limit_from(limit: int) -> int:
    """Return how many candidates an appearance may have."""
    if not limit:
        return DEFAULT_CANDIDATES
    return int(wire.number_between(limit, "limit", least=1, most=MAX_CANDIDATES))


def to_candidates(candidates: list[Candidate]) -> matching_service_pb2.ProbeCandidates:
    """Return the candidates of one probe as protobuf has them."""
    return matching_service_pb2.ProbeCandidates(
        candidates=[
            matching_service_pb2.Candidate(
                subject_id=found.subject_id, photo_id=found.photo_id, score=found.score
            )
            for found in candidates
        ]
    )


def to_policy(policy: ThresholdPolicy) -> policy_pb2.ThresholdPolicy:
    """Return a policy as protobuf has it."""
    return policy_pb2.ThresholdPolicy(
        policy_id=policy.policy_id,
        model_digest=policy.model_digest,
        threshold=policy.threshold,
        figures=wire.to_figures(policy.figures),
        measurement=to_measurement(policy.measurement, cohorts=False),
        approver=policy.approval.approver if policy.approval else "",
        valid_until_time=wire.to_timestamp(policy.approval.valid_until)
        if policy.approval
        else None,
        evaluation=policy.evaluation,
    )


def to_measurement(measured: Measurement, *, cohorts: bool) -> policy_pb2.PolicyMeasurement:
    """Return a measurement as protobuf has it, with its cohorts when wanted."""
    return policy_pb2.PolicyMeasurement(
        gallery_size=measured.gallery_size,
        fpir=wire.to_rate(measured.fpir),
        fnir=wire.to_rate(measured.fnir),
        dataset=measured.dataset,
        dataset_digest=measured.dataset_digest,
        identity_count=measured.identities,
        photograph_count=measured.photographs,
        limits=measured.limits,
        make_time=wire.to_timestamp(measured.make_time),
        cohorts=[
            policy_pb2.PolicyCohort(
                name=cohort.name,
                identity_count=cohort.identities,
                fpir=wire.to_rate(cohort.fpir) if cohort.fpir else None,
                fnir=wire.to_rate(cohort.fnir) if cohort.fnir else None,
                attribute=cohort.attribute,
                ages=wire.to_ages(cohort.ages) if cohort.ages else None,
                basis=wire.BASES[cohort.basis],
                fpir_identity_count=cohort.fpir_identities,
                fnir_identity_count=cohort.fnir_identities,
            )
            for cohort in (measured.cohorts if cohorts else ())
        ],
    )


def to_stated_policy(policy: Policy, *, now: datetime) -> policy_pb2.Policy:
    """Return a policy, and where it is in its life, as protobuf has it."""
    return policy_pb2.Policy(
        policy_id=policy.file.policy_id,
        state=_POLICY_STATES[policy.state_at(now)],
        active=policy.active,
        shipped=policy.shipped,
        model_name=policy.file.model_name,
        model_digest=policy.file.model_digest,
        threshold=policy.file.threshold,
        measurement=to_measurement(policy.file.measurement, cohorts=True),
        approval=_to_approval(policy.approval) if policy.approval else None,
        sha256=policy.sha256,
    )


def _to_approval(approval: Approval) -> policy_pb2.PolicyApproval:
    return policy_pb2.PolicyApproval(
        approver=approval.approver,
        note=approval.note,
        approve_time=wire.to_timestamp(approval.approve_time),
        valid_until_time=wire.to_timestamp(approval.valid_until),
        expire_time=wire.to_timestamp(approval.expire_time) if approval.expire_time else None,
        expire_reason=approval.expire_reason,
    )


def policy_file_from(data: bytes) -> PolicyFile:
    """Return what is in a policy file."""
    if not data:
        raise invalid_field("file", f"is empty; send a policy file of at most {MOST_BYTES} bytes")
    try:
        file = read_policy(data)
    except PolicyError as error:
        raise invalid_field("file", str(error)) from error
    if not _POLICY_ID.fullmatch(file.policy_id):
        raise invalid_field(
            "file", "its policy_id is not like yunet-sface/1: a name, / and a version"
        )
    if file.measurement.gallery_size < 1:
        raise invalid_field("file", "its gallery_size is not at least 1")
    return file


def policy_id_from(value: str) -> str:
    """Return the id of a policy."""
    return wire.text(value, "policy_id", least=1, most=200)


def valid_until_from(
    request: policy_service_pb2.ApprovePolicyRequest, *, now: datetime
) -> datetime:
    """Return when an approval is to end."""
    wire.require(request, "valid_until_time", "valid_until_time")
    end = wire.from_timestamp(request.valid_until_time, "valid_until_time")
    if not now < end <= now + MAX_APPROVAL:
        raise invalid_field("valid_until_time", "must be in the future, within 366 days")
    return end


def findings_from(
    request: sighting_service_pb2.RecordSightingsRequest, *, now: datetime
) -> list[Finding]:
    """Return what a scan found."""
    wire.count_between(len(request.findings), "findings", least=1, most=MAX_FINDINGS)
    return [
        _finding_from(finding, f"findings[{index}]", now=now)
        for index, finding in enumerate(request.findings)
    ]


def _finding_from(
    finding: sighting_service_pb2.SightingFinding, path: str, *, now: datetime
) -> Finding:
    told = finding.sighting
    at = f"{path}.sighting"
    if not 1 <= len(finding.still) <= MAX_STILL_BYTES:
        raise invalid_field(f"{path}.still", f"must have 1 to {MAX_STILL_BYTES} bytes")
    for name in ("best_shot_time", "start_offset", "end_offset", "best_shot_offset", "delete_time"):
        wire.require(told, name, f"{at}.{name}")
    start, end = wire.from_interval(told, "interval", required=True, within=f"{at}.")
    assert start is not None, "required"
    assert end is not None, "required"
    template = template_from(finding.template, f"{path}.template")
    first = wire.from_duration(told.start_offset, f"{at}.start_offset")
    last = wire.from_duration(told.end_offset, f"{at}.end_offset")
    if last < first:
        raise invalid_field(f"{at}.end_offset", "must not be before start_offset")
    sighting = Sighting(
        sighting_id="",
        subject_id=wire.uuid_text(told.subject_id, f"{at}.subject_id"),
        photo_id=wire.uuid_text(told.photo_id, f"{at}.photo_id"),
        footage_id=footage_id_from(told.footage_id, f"{at}.footage_id"),
        camera_id=wire.text(told.camera_id, f"{at}.camera_id", least=1, most=63),
        scan_id=wire.uuid_text(told.scan_id, f"{at}.scan_id"),
        start_time=start,
        end_time=end,
        best_shot_time=wire.from_timestamp(told.best_shot_time, f"{at}.best_shot_time"),
        start_offset=first,
        end_offset=last,
        best_shot_offset=wire.from_duration(told.best_shot_offset, f"{at}.best_shot_offset"),
        score=wire.number_between(told.score, f"{at}.score", least=-1, most=1),
        best_shot_score=wire.number_between(
            told.best_shot_score, f"{at}.best_shot_score", least=-1, most=1
        )
        if told.HasField("best_shot_score")
        else None,
        threshold=wire.number_between(told.threshold, f"{at}.threshold", least=-1, most=1),
        policy_id=wire.text(told.policy_id, f"{at}.policy_id", least=1, most=200),
        model_digest=template.model_digest,
        face_height_px=told.face_height_px,
        create_time=now,
        delete_time=wire.from_timestamp(told.delete_time, f"{at}.delete_time"),
        figures=wire.figures_from(told.figures, f"{at}.figures")
        if told.HasField("figures")
        else None,
        rival_score=wire.number_between(told.rival_score, f"{at}.rival_score", least=-1, most=1)
        if told.HasField("rival_score")
        else None,
        time_uncertain=told.time_uncertain if told.HasField("time_uncertain") else None,
        footage_sha256=_digest_from(told.footage_sha256, f"{at}.footage_sha256"),
        clock_offset=wire.from_duration(told.clock_offset, f"{at}.clock_offset")
        if told.HasField("clock_offset")
        else None,
    )
    before = None
    if finding.HasField("include_rejected_before_time"):
        before = wire.from_timestamp(
            finding.include_rejected_before_time, f"{path}.include_rejected_before_time"
        )
    until = None
    if finding.HasField("footage_receive_time"):
        received = wire.from_timestamp(finding.footage_receive_time, f"{path}.footage_receive_time")
        until = backstop_time(received, sighting.delete_time)
    return Finding(sighting, template, finding.still, before, until)


def _digest_from(told: str, path: str) -> str:
    if told and not _DIGEST.fullmatch(told):
        raise invalid_field(path, "must be 64 hexadecimal digits")
    return told


def to_recorded(
    disposition: Disposition, sighting: Sighting | None
) -> sighting_service_pb2.RecordedSighting:
    """Return what became of a finding as protobuf has it."""
    return sighting_service_pb2.RecordedSighting(
        disposition=_DISPOSITIONS[disposition],
        sighting=to_sighting(sighting) if sighting else None,
    )


def to_sighting(sighting: Sighting) -> sighting_pb2.Sighting:
    """Return a sighting as protobuf has it."""
    review = None
    if sighting.review:
        review = sighting_pb2.Review(
            decision=_DECISIONS[sighting.review.decision],
            reason=sighting.review.reason,
            reviewer=sighting.review.reviewer,
            review_time=wire.to_timestamp(sighting.review.review_time),
        )
    return sighting_pb2.Sighting(
        sighting_id=sighting.sighting_id,
        subject_id=sighting.subject_id,
        photo_id=sighting.photo_id,
        footage_id=sighting.footage_id,
        camera_id=sighting.camera_id,
        scan_id=sighting.scan_id,
        interval=wire.to_interval(sighting.start_time, sighting.end_time),
        best_shot_time=wire.to_timestamp(sighting.best_shot_time),
        start_offset=wire.to_duration(sighting.start_offset),
        end_offset=wire.to_duration(sighting.end_offset),
        best_shot_offset=wire.to_duration(sighting.best_shot_offset),
        score=sighting.score,
        best_shot_score=sighting.best_shot_score,
        threshold=sighting.threshold,
        policy_id=sighting.policy_id,
        model_digest=sighting.model_digest,
        face_height_px=sighting.face_height_px,
        state=_SIGHTING_STATES[sighting.state],
        review=review,
        create_time=wire.to_timestamp(sighting.create_time),
        delete_time=wire.to_timestamp(sighting.delete_time),
        figures=wire.to_figures(sighting.figures) if sighting.figures else None,
        rival_score=sighting.rival_score,
        time_uncertain=sighting.time_uncertain,
        still_gone=sighting.still_gone,
        footage_sha256=sighting.footage_sha256,
        clock_offset=wire.to_duration(sighting.clock_offset)
        if sighting.clock_offset is not None
        else None,
    )


def to_change(change: Sighting | ErasedSighting) -> sighting_pb2.Sighting:
    """Return a sighting that changed as protobuf has it; of an erased one its ids."""
    if isinstance(change, Sighting):
        return to_sighting(change)
    return sighting_pb2.Sighting(
        sighting_id=change.sighting_id,
        subject_id=change.subject_id,
        footage_id=change.footage_id,
        state=sighting_pb2.Sighting.STATE_ERASED,
    )


def states_from(
    states: Collection[sighting_pb2.Sighting.State.ValueType],
) -> frozenset[SightingState]:
    """Return the states of a filter; empty for any."""
    known = {value: state for state, value in _SIGHTING_STATES.items()}
    for index, value in enumerate(states):
        if value not in known:
            raise invalid_field(f"states[{index}]", "is not a state")
    return frozenset(known[value] for value in states)


def decision_from(value: sighting_pb2.ReviewDecision.ValueType) -> Decision:
    """Return a reviewer's decision."""
    known = {wire_value: decision for decision, wire_value in _DECISIONS.items()}
    if value not in known:
        raise invalid_field("decision", "is required: confirm, reject or inconclusive")
    return known[value]
