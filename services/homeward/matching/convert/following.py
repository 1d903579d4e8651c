"""What happens to sightings, on the wire."""

from __future__ import annotations

from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.matching.convert.rejections import to_reviewed
from homeward.matching.convert.sightings import SIGHTING_STATES
from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.feed import LONGEST_PLACE, ChangeKind
from homeward.matching.sightings.following import Followed
from homeward.matching.sightings.model import ErasedSighting, SightingState
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

_CHANGES = {
    ChangeKind.RECORDED: sighting_service_pb2.WatchSightingsResponse.CHANGE_RECORDED,
    ChangeKind.ALTERED: sighting_service_pb2.WatchSightingsResponse.CHANGE_ALTERED,
    ChangeKind.REVIEWED: sighting_service_pb2.WatchSightingsResponse.CHANGE_REVIEWED,
    ChangeKind.ERASED: sighting_service_pb2.WatchSightingsResponse.CHANGE_ERASED,
}


def place_from(request: sighting_service_pb2.WatchSightingsRequest) -> str:
    """Return the place in the feed after which to go on; empty to begin."""
    place = wire.text(request.resume_token, "resume_token", most=LONGEST_PLACE)
    if place and request.from_oldest:
        raise invalid_field("from_oldest", "must not be set beside resume_token")
    return place


def to_followed(
    followed: Followed | str, rules: ReviewRules
) -> sighting_service_pb2.WatchSightingsResponse:
    """Return a change, or a place alone, as protobuf has it."""
    if isinstance(followed, str):
        return sighting_service_pb2.WatchSightingsResponse(resume_token=followed)
    told = followed.told
    state = told.change.state
    return sighting_service_pb2.WatchSightingsResponse(
        sighting=_to_now(followed, rules),
        resume_token=told.place,
        change=_CHANGES[told.change.kind],
        state=SIGHTING_STATES[state] if state else sighting_pb2.Sighting.STATE_ERASED,
        change_time=wire.to_timestamp(told.time),
    )


def _to_now(followed: Followed, rules: ReviewRules) -> sighting_pb2.Sighting:
    if not isinstance(followed.sighting, ErasedSighting):
        return to_reviewed(followed.sighting, rules, reviewer="")
    rejected = followed.told.change.state is SightingState.REJECTED
    return sighting_pb2.Sighting(
        sighting_id=followed.sighting.sighting_id,
        subject_id=followed.sighting.subject_id,
        state=sighting_pb2.Sighting.STATE_REJECTED
        if rejected
        else sighting_pb2.Sighting.STATE_ERASED,
    )
