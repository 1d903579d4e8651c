"""Rejections to protobuf."""

from __future__ import annotations

from homeward.api.matching.v1 import sighting_pb2
from homeward.matching.convert import sightings as convert_sightings
from homeward.matching.sightings.model import Sighting
from homeward.matching.sightings.rejections import RejectedSpan
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
        told = rejected.rejection
        end = told.start_time + (rejected.end - rejected.start)
        message.interval.CopyFrom(wire.to_interval(told.start_time, end))
        message.reviewer = told.reviewer
        message.review_time.CopyFrom(wire.to_timestamp(told.review_time))
        if told.time_uncertain is not None:
            message.time_uncertain = told.time_uncertain
    return message


def to_reviewed(reviewed: Sighting | RejectedSpan) -> sighting_pb2.Sighting:
    """Return a sighting as a reviewer decided; of one that is gone, what is remembered."""
    if isinstance(reviewed, Sighting):
        return convert_sightings.to_sighting(reviewed)
    told = to_rejection(reviewed)
    return sighting_pb2.Sighting(
        sighting_id=told.sighting_id,
        subject_id=told.subject_id,
        footage_id=told.footage_id,
        interval=told.interval,
        start_offset=told.start_offset,
        end_offset=told.end_offset,
        state=sighting_pb2.Sighting.STATE_REJECTED,
        review=sighting_pb2.Review(
            decision=sighting_pb2.REVIEW_DECISION_REJECT,
            reviewer=told.reviewer,
            review_time=told.review_time,
        ),
        time_uncertain=told.time_uncertain if told.HasField("time_uncertain") else None,
    )
