"""Sightings on the wire."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime

from homeward.api.matching.v1 import (
    sighting_pb2,
    sighting_service_pb2,
)
from homeward.common import convert as common_convert
from homeward.core.inventory import backstop_time
from homeward.matching.convert.probes import footage_id_from, template_from
from homeward.matching.sightings.model import (
    Decision,
    Disposition,
    ErasedSighting,
    Finding,
    Sighting,
    SightingState,
)
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_STILL_BYTES = 1024 * 1024
MAX_FINDINGS = 64
_DIGEST = re.compile(r"[0-9a-f]{64}")
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
        figures=common_convert.figures_from(told.figures, f"{at}.figures")
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
        figures=common_convert.to_figures(sighting.figures) if sighting.figures else None,
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
