"""Sightings on the wire."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from homeward.api.matching.v1 import (
    sighting_pb2,
    sighting_service_pb2,
)
from homeward.common import convert as common_convert
from homeward.matching.convert.ids import MAX_SCOPE, scope_from
from homeward.matching.convert.subjects import to_box
from homeward.matching.sightings import deciding
from homeward.matching.sightings.blind import as_told
from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.lost import Lost
from homeward.matching.sightings.model import (
    Decision,
    Disposition,
    Review,
    Sighting,
    SightingState,
    SightingStill,
)
from homeward.matching.sightings.ports import SightingCursor, SightingFilter
from homeward.servicekit import wire
from homeward.servicekit.errors import InvalidArgumentError, invalid_field
from homeward.servicekit.paging import invalid_token

MOST_LOST = 1000
"""Lost sightings that are named; all are counted."""

SIGHTING_STATES = {
    SightingState.UNREVIEWED: sighting_pb2.Sighting.STATE_UNREVIEWED,
    SightingState.CONFIRMED: sighting_pb2.Sighting.STATE_CONFIRMED,
    SightingState.REJECTED: sighting_pb2.Sighting.STATE_REJECTED,
    SightingState.INCONCLUSIVE: sighting_pb2.Sighting.STATE_INCONCLUSIVE,
    SightingState.AWAITING_SECOND: sighting_pb2.Sighting.STATE_AWAITING_SECOND,
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
    Disposition.FOOTAGE_REMOVED: sighting_service_pb2.RecordedSighting.DISPOSITION_FOOTAGE_REMOVED,
    Disposition.SCAN_REFUSED: sighting_service_pb2.RecordedSighting.DISPOSITION_SCAN_REFUSED,
    Disposition.STILLS_NEEDED: sighting_service_pb2.RecordedSighting.DISPOSITION_STILLS_NEEDED,
}


def to_recorded(
    disposition: Disposition, sighting: Sighting | None, rules: ReviewRules
) -> sighting_service_pb2.RecordedSighting:
    """Return what became of a finding as protobuf has it."""
    return sighting_service_pb2.RecordedSighting(
        disposition=_DISPOSITIONS[disposition],
        sighting=to_sighting(sighting, rules) if sighting else None,
    )


def to_sighting(held: Sighting, rules: ReviewRules, *, reader: str = "") -> sighting_pb2.Sighting:
    """Return a sighting as protobuf has it, as far as its reader is told of decisions.

    Args:
        held: The sighting.
        rules: What is asked of those who review; by them, somebody is awaited.
        reader: Who reads it, where callers are not checked and the request says so.
    """
    sighting = as_told(held, rules, stated=reader)
    awaited = deciding.awaited(held, rules)
    confirmed = sighting.state is SightingState.CONFIRMED
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
        state=SIGHTING_STATES[sighting.state],
        review=_to_review(sighting.review) if sighting.review else None,
        create_time=wire.to_timestamp(sighting.create_time),
        delete_time=None if confirmed else wire.to_timestamp(sighting.delete_time),
        figures=common_convert.to_figures(sighting.figures) if sighting.figures else None,
        rival_score=sighting.rival_score,
        time_uncertain=sighting.time_uncertain,
        still_gone=sighting.still_gone,
        footage_sha256=sighting.footage_sha256,
        clock_offset=wire.to_duration(sighting.clock_offset)
        if sighting.clock_offset is not None
        else None,
        reviews=map(_to_review, sighting.given_reviews),
        requesters=sighting.requesters,
        awaited_review=sighting_pb2.AwaitedReview(
            confirmation_count=awaited,
            excluded_reviewers=deciding.excluded(sighting, rules),
        )
        if awaited
        else None,
        reviews_withheld=sighting != held,
        stills=map(_to_still, sighting.given_stills),
    )


def _to_still(still: SightingStill) -> sighting_pb2.SightingStill:
    return sighting_pb2.SightingStill(
        offset=wire.to_duration(still.offset),
        time=wire.to_timestamp(still.time),
        score=still.score,
        face_height_px=still.face_height_px,
        face_box=to_box(still.face_box) if still.face_box else None,
        quality=still.quality,
    )


def _to_review(review: Review) -> sighting_pb2.Review:
    return sighting_pb2.Review(
        decision=_DECISIONS[review.decision],
        reason=review.reason,
        reviewer=review.reviewer,
        review_time=wire.to_timestamp(review.review_time),
    )


def states_from(
    states: Collection[sighting_pb2.Sighting.State.ValueType],
) -> frozenset[SightingState]:
    """Return the states of a filter; empty for any."""
    known = {value: state for state, value in SIGHTING_STATES.items()}
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


def filter_from(request: sighting_service_pb2.ListSightingsRequest) -> SightingFilter:
    """Return which sightings are to be listed."""
    start, end = wire.from_interval(request, "interval")
    wire.count_between(len(request.camera_ids), "camera_ids", least=0, most=MAX_SCOPE)
    wire.count_between(len(request.footage_ids), "footage_ids", least=0, most=MAX_SCOPE)
    return SightingFilter(
        subject_ids=scope_from(request.subject_ids, "subject_ids"),
        footage_ids=frozenset(request.footage_ids),
        camera_ids=frozenset(request.camera_ids),
        scan_ids=scope_from(request.scan_ids, "scan_ids"),
        states=states_from(request.states),
        start=start,
        end=end,
    )


def only_prefix_from(request: sighting_service_pb2.ListSightingsRequest) -> str:
    """Return how the ids begin that are to be listed, with no other filter beside it."""
    for field, _ in request.ListFields():
        if field.name not in ("id_prefix", "page_size", "page_token"):
            raise invalid_field(field.name, "must be empty beside id_prefix")
    return wire.uuid_prefix(request.id_prefix, "id_prefix")


def last_from(place: str) -> str:
    """Return the id after which a list in the order of ids goes on; empty for its beginning."""
    try:
        return wire.uuid_text(place, "page_token") if place else ""
    except InvalidArgumentError as error:
        raise invalid_token() from error


def to_cursor(cursor: SightingCursor) -> str:
    """Return how far a list was told, for a page token."""
    return json.dumps([cursor.score, *cursor.sighting_ids])


def cursor_from(place: str) -> SightingCursor | None:
    """Return how far a list was told; None for its beginning."""
    if not place:
        return None
    try:
        score, *names = json.loads(place)
        return SightingCursor(float(score), tuple(wire.uuid_text(name, "") for name in names))
    except (ValueError, TypeError, AttributeError, RecursionError, InvalidArgumentError) as error:
        raise invalid_token() from error


def to_page(
    sightings: Sequence[Sighting], token: str, rules: ReviewRules
) -> sighting_service_pb2.ListSightingsResponse:
    """Return a page of sightings as protobuf has it."""
    return sighting_service_pb2.ListSightingsResponse(
        sightings=[to_sighting(sighting, rules) for sighting in sightings], next_page_token=token
    )


def to_lost(lost: Lost) -> sighting_service_pb2.LostSightings:
    """Return what is lost as protobuf has it."""
    return sighting_service_pb2.LostSightings(
        sightings=[
            sighting_service_pb2.LostSighting(
                sighting_id=one.sighting_id,
                subject_id=one.subject_id,
                footage_id=one.footage_id,
                start_offset=wire.to_duration(one.start),
                end_offset=wire.to_duration(one.end),
                confirmed=one.confirmed,
            )
            for one in lost.sightings[:MOST_LOST]
        ],
        sighting_count=len(lost.sightings),
        confirmed_still_count=lost.confirmed_stills,
    )
