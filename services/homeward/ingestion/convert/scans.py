"""Scans on the wire."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, status_pb2

from homeward.api.common.v1 import types_pb2
from homeward.api.ingestion.v1 import (
    scan_pb2,
)
from homeward.common import convert as common_convert
from homeward.ingestion.convert.cameras import camera_id_from
from homeward.ingestion.convert.footage import footage_id_from
from homeward.ingestion.scan.authorisation import (
    Authorisation,
    AuthorisationState,
    Justification,
)
from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX, FaceSizes
from homeward.ingestion.scan.model import (
    Candidate,
    FootageEffort,
    Gap,
    GapReason,
    Scan,
    ScanScope,
    ScanState,
    ScanSummary,
)
from homeward.ingestion.scan.stretches import ListedStretch, Unlisted
from homeward.ingestion.scan.waiting import Waiting
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_SCOPE = 1000

_SCAN_STATES = {
    ScanState.PENDING: scan_pb2.Scan.STATE_PENDING,
    ScanState.RUNNING: scan_pb2.Scan.STATE_RUNNING,
    ScanState.SUCCEEDED: scan_pb2.Scan.STATE_SUCCEEDED,
    ScanState.FAILED: scan_pb2.Scan.STATE_FAILED,
    ScanState.CANCELLED: scan_pb2.Scan.STATE_CANCELLED,
}
_GAP_REASONS = {
    GapReason.UNDECODABLE: scan_pb2.COVERAGE_GAP_REASON_UNDECODABLE,
    GapReason.FOOTAGE_GONE: scan_pb2.COVERAGE_GAP_REASON_FOOTAGE_GONE,
    GapReason.GIVEN_UP: scan_pb2.COVERAGE_GAP_REASON_GIVEN_UP,
    GapReason.CANCELLED: scan_pb2.COVERAGE_GAP_REASON_CANCELLED,
    GapReason.NO_PICTURES: scan_pb2.COVERAGE_GAP_REASON_NO_PICTURES,
    GapReason.DECODER_ENDED: scan_pb2.COVERAGE_GAP_REASON_DECODER_ENDED,
    GapReason.FOOTAGE_DAMAGED: scan_pb2.COVERAGE_GAP_REASON_FOOTAGE_DAMAGED,
    GapReason.CAMERA_UNKNOWN: scan_pb2.COVERAGE_GAP_REASON_CAMERA_UNKNOWN,
}


_AUTHORISATION_STATES = {
    AuthorisationState.NOT_REQUIRED: scan_pb2.ScanAuthorisation.STATE_NOT_REQUIRED,
    AuthorisationState.AWAITED: scan_pb2.ScanAuthorisation.STATE_AWAITED,
    AuthorisationState.AUTHORISED: scan_pb2.ScanAuthorisation.STATE_AUTHORISED,
    AuthorisationState.REFUSED: scan_pb2.ScanAuthorisation.STATE_REFUSED,
    AuthorisationState.LAPSED: scan_pb2.ScanAuthorisation.STATE_LAPSED,
}

MAX_NAME = 200
MAX_REFERENCE = 200
MAX_REASON = 1000
MAX_NOTE = 2000
"""Characters of what is stated about a scan."""


def justification_from(why: scan_pb2.ScanJustification) -> Justification:
    """Return why a scan is made."""
    reason = wire.prose(
        why.everything_reason,
        "justification.everything_reason",
        least=1 if why.everything else 0,
        most=MAX_REASON,
    )
    if reason and not why.everything:
        raise invalid_field("justification.everything_reason", "needs justification.everything")
    return Justification(
        everything=why.everything,
        everything_reason=reason,
        necessity=wire.prose(why.necessity, "justification.necessity", most=MAX_NOTE),
        less_intrusive_means=wire.prose(
            why.less_intrusive_means, "justification.less_intrusive_means", most=MAX_NOTE
        ),
    )


def name_from(name: str, field: str) -> str:
    """Return the name that somebody states of themselves, or ""."""
    return wire.one_line(name, field, most=MAX_NAME)


def reference_from(reference: str) -> str:
    """Return where an authorisation is on file."""
    return wire.one_line(reference, "reference", least=1, most=MAX_REFERENCE)


def reason_from(reason: str) -> str:
    """Return why a scan is refused."""
    return wire.prose(reason, "reason", least=1, most=MAX_REASON)


def scope_from(scope: scan_pb2.ScanScope) -> ScanScope:
    """Return what is to be searched, and for whom."""
    for field in ("subject_ids", "camera_ids", "footage_ids"):
        wire.count_between(len(getattr(scope, field)), f"scope.{field}", least=0, most=MAX_SCOPE)
    start, end = wire.from_interval(scope, "interval", within="scope.")
    if scope.include_rejected and not scope.subject_ids:
        raise invalid_field(
            "scope.include_rejected",
            "needs scope.subject_ids: name the subjects whose rejected sightings to look for again",
        )
    return ScanScope(
        subject_ids=tuple(
            wire.uuid_text(name, f"scope.subject_ids[{index}]")
            for index, name in enumerate(scope.subject_ids)
        ),
        camera_ids=tuple(
            camera_id_from(name, f"scope.camera_ids[{index}]")
            for index, name in enumerate(scope.camera_ids)
        ),
        start_time=start,
        end_time=end,
        footage_ids=tuple(
            footage_id_from(name, f"scope.footage_ids[{index}]")
            for index, name in enumerate(scope.footage_ids)
        ),
        include_rejected=scope.include_rejected,
    )


def to_scan(scan: Scan, summary: ScanSummary) -> scan_pb2.Scan:
    """Return a scan as protobuf has it."""
    scope = scan.scope
    has_interval = scope.start_time or scope.end_time
    sizes = summary.counts.sizes
    return scan_pb2.Scan(
        scan_id=scan.scan_id,
        scope=scan_pb2.ScanScope(
            subject_ids=scope.subject_ids,
            camera_ids=scope.camera_ids,
            interval=wire.to_interval(scope.start_time, scope.end_time) if has_interval else None,
            footage_ids=scope.footage_ids,
            include_rejected=scope.include_rejected,
        ),
        state=_SCAN_STATES[summary.state],
        progress=scan_pb2.ScanProgress(
            footage_count=summary.footage_count,
            segment_count=summary.segment_count,
            segment_done_count=summary.segments_done,
            total_duration=wire.to_duration(summary.total),
            done_duration=wire.to_duration(summary.done),
            frame_count=summary.counts.frames,
            face_count=summary.counts.faces,
            appearance_count=summary.counts.appearances,
            discarded_appearance_count=summary.counts.discarded,
            candidate_count=summary.candidate_count,
            dropped_match_count=summary.counts.dropped,
            closed_subject_match_count=summary.counts.closed,
            crowded_appearance_count=summary.counts.crowded,
            waiting=_to_waiting(summary.waiting) if summary.waiting else None,
            planning=summary.planning,
            later_footage_count=summary.came_later,
        ),
        coverage=scan_pb2.ScanCoverage(
            requested_duration=wire.to_duration(summary.total),
            searched_duration=wire.to_duration(summary.searched),
            looked_at_duration=wire.to_duration(summary.looked_at),
            passed_over_duration=wire.to_duration(summary.passed_over),
            gaps=[_to_gap(gap) for gap in summary.gaps],
            incomparable_appearance_count=summary.counts.incomparable,
            footage_efforts=[_to_effort(effort) for effort in summary.efforts],
            face_sizes=_to_sizes(sizes) if sizes.total else None,
            camera_face_sizes=[
                scan_pb2.CameraFaceSizes(camera_id=camera_id, face_sizes=_to_sizes(one))
                for camera_id, one in summary.camera_sizes
            ],
        ),
        error=_error(summary),
        create_time=wire.to_timestamp(scan.create_time),
        end_time=wire.to_timestamp(summary.end_time) if summary.end_time else None,
        justification=_to_justification(scan.justification),
        requester=scan.requester,
        authorisation=_to_authorisation(scan.authorisation),
    )


def _to_justification(why: Justification) -> scan_pb2.ScanJustification:
    return scan_pb2.ScanJustification(
        everything=why.everything,
        everything_reason=why.everything_reason,
        necessity=why.necessity,
        less_intrusive_means=why.less_intrusive_means,
    )


def _to_authorisation(held: Authorisation) -> scan_pb2.ScanAuthorisation:
    return scan_pb2.ScanAuthorisation(
        state=_AUTHORISATION_STATES[held.state],
        deadline_time=_to_time(held.deadline),
        decider=held.decider,
        decide_time=_to_time(held.decide_time),
        reference=held.reference,
        reason=held.reason,
        erase_time=_to_time(held.erase_time),
    )


def states_from(states: Collection[scan_pb2.Scan.State.ValueType]) -> frozenset[ScanState]:
    """Return the states of a filter; empty for any."""
    known = {value: state for state, value in _SCAN_STATES.items()}
    for index, value in enumerate(states):
        if value not in known:
            raise invalid_field(f"states[{index}]", "is not a state")
    return frozenset(known[value] for value in states)


def _to_time(instant: datetime | None) -> Timestamp | None:
    return wire.to_timestamp(instant) if instant else None


def _to_waiting(waiting: Waiting) -> scan_pb2.ScanWaiting:
    return scan_pb2.ScanWaiting(
        component=waiting.component,
        address=waiting.address,
        since_time=wire.to_timestamp(waiting.since),
        message=waiting.problem,
    )


def _to_sizes(sizes: FaceSizes) -> scan_pb2.FaceSizes:
    return scan_pb2.FaceSizes(
        least_width_px=int(MIN_FACE_WIDTH_PX),
        appearance_count=sizes.total,
        too_small_appearance_count=sizes.too_small,
        unclear_appearance_count=sizes.unclear,
        median_width_px=sizes.median,
        width_counts=[
            scan_pb2.FaceWidthCount(width_px=width, appearance_count=count)
            for width, count in enumerate(sizes.counts)
            if count
        ],
    )


def to_stretch(listed: ListedStretch) -> scan_pb2.IncomparableStretch:
    """Return a stretch as protobuf has it."""
    footage, stretch = listed.footage, listed.stretch
    return scan_pb2.IncomparableStretch(
        camera_id=footage.header.camera_id,
        footage_id=footage.footage_id,
        file_name=footage.header.file_name,
        interval=wire.to_interval(
            listed.true_start + stretch.start, listed.true_start + stretch.end
        ),
        start_offset=wire.to_duration(stretch.start),
        end_offset=wire.to_duration(stretch.end),
        peak_person_count=stretch.peak,
        appearance_count=stretch.appearances,
        too_small_appearance_count=stretch.too_small,
        time_uncertain=listed.time_uncertain,
    )


def to_unlisted(unlisted: Unlisted) -> scan_pb2.UnlistedFootage:
    """Return a recording whose stretches are not known as protobuf has it."""
    return scan_pb2.UnlistedFootage(
        footage_id=unlisted.footage_id,
        reason=scan_pb2.UnlistedReason.Value(f"UNLISTED_REASON_{unlisted.reason.name}"),
        appearance_count=unlisted.appearances,
    )


def _to_effort(effort: FootageEffort) -> scan_pb2.FootageEffort:
    return scan_pb2.FootageEffort(
        footage_id=effort.footage_id,
        decoded_duration=wire.to_duration(effort.looked_at),
        passed_over_duration=wire.to_duration(effort.passed_over),
        thoroughness=[
            scan_pb2.Thoroughness.Value(f"THOROUGHNESS_{how.name}") for how in effort.thoroughness
        ],
        true_start_time=wire.to_timestamp(effort.true_start),
    )


def _to_gap(gap: Gap) -> scan_pb2.CoverageGap:
    return scan_pb2.CoverageGap(
        footage_id=gap.footage_id,
        interval=wire.to_interval(gap.start_time, gap.end_time),
        reason=_GAP_REASONS[gap.reason],
        detail=gap.detail,
    )


def _error(summary: ScanSummary) -> status_pb2.Status | None:
    if summary.state is not ScanState.FAILED:
        return None
    problems = sorted(summary.problems) or ["no recording of its scope was left, or could be read"]
    return status_pb2.Status(
        code=code_pb2.FAILED_PRECONDITION,
        message="nothing could be searched: " + "; ".join(problems),
    )


def to_candidate(candidate: Candidate) -> scan_pb2.ScanCandidate:
    """Return a candidate as protobuf has it."""
    return scan_pb2.ScanCandidate(
        sighting_id=candidate.sighting_id,
        subject_id=candidate.subject_id,
        camera_id=candidate.camera_id,
        footage_id=candidate.footage_id,
        interval=types_pb2.TimeInterval(
            start_time=wire.to_timestamp(candidate.start_time),
            end_time=wire.to_timestamp(candidate.end_time),
        ),
        score=candidate.score,
        threshold=candidate.threshold,
        policy_id=candidate.policy_id,
        figures=common_convert.to_figures(candidate.figures) if candidate.figures else None,
        rival_score=candidate.rival_score,
        time_uncertain=candidate.time_uncertain,
    )
