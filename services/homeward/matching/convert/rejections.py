"""Rejections to protobuf."""

from __future__ import annotations

from homeward.api.matching.v1 import sighting_pb2
from homeward.matching.convert import sightings as convert_sightings
from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.ledger import RejectedSpan
from homeward.matching.sightings.model import Sighting
from homeward.servicekit import wire


def to_rejection(rejected: RejectedSpan) -> sighting_pb2.Rejection:
    """Return what is remembered of a rejected sighting as protobuf has it."""
    message = sighting_pb2.Rejection(
        sighting_id=rejected.sighting_id,
        subject_id=rejected.subject_id,
        footage_id=rejected.footage_id,
        start_offset=wire.to_duration(rejected.start),
        end_offset=wire.to_duration(rejected.end),
    )
    if rejected.rejection is not None:
        rejection = rejected.rejection
        end = rejection.start_time + (rejected.end - rejected.start)
        message.interval.CopyFrom(wire.to_interval(rejection.start_time, end))
        message.reviewer = rejection.reviewer
        message.review_time.CopyFrom(wire.to_timestamp(rejection.review_time))
        if rejection.time_uncertain is not None:
            message.time_uncertain = rejection.time_uncertain
    return message


def to_reviewed(
    reviewed: Sighting | RejectedSpan, rules: ReviewRules, *, reviewer: str
) -> sighting_pb2.Sighting:
    """Return a sighting as a reviewer decided; of one that is gone, what is remembered."""
    if isinstance(reviewed, Sighting):
        return convert_sightings.to_sighting(reviewed, rules, reader=reviewer)
    remembered = to_rejection(reviewed)
    return sighting_pb2.Sighting(
        sighting_id=remembered.sighting_id,
        subject_id=remembered.subject_id,
        footage_id=remembered.footage_id,
        interval=remembered.interval,
        start_offset=remembered.start_offset,
        end_offset=remembered.end_offset,
        state=sighting_pb2.Sighting.STATE_REJECTED,
        review=sighting_pb2.Review(
            decision=sighting_pb2.REVIEW_DECISION_REJECT,
            reviewer=remembered.reviewer,
            review_time=remembered.review_time,
        ),
        time_uncertain=remembered.time_uncertain if remembered.HasField("time_uncertain") else None,
    )
