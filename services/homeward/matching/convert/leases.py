"""Leases on sightings on the wire."""

from __future__ import annotations

from collections.abc import Sequence

from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.matching.convert import sightings as convert_sightings
from homeward.matching.convert.ids import MAX_SCOPE, scope_from
from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.leases import SightingLease
from homeward.matching.sightings.leasing import HandedOut, LeaseQuery
from homeward.servicekit import wire

MOST_HELD = 20
"""Sightings that a reviewer is handed at once."""
USUALLY_HELD = 4
"""As many, where a request does not say how many."""
MOST_CASES = 100
"""Cases that a request may name."""


def query_from(request: sighting_service_pb2.LeaseSightingsRequest) -> LeaseQuery:
    """Return which candidates are to be handed out."""
    wire.count_between(len(request.case_references), "case_references", least=0, most=MOST_CASES)
    wire.count_between(len(request.camera_ids), "camera_ids", least=0, most=MAX_SCOPE)
    return LeaseQuery(
        subject_ids=scope_from(request.subject_ids, "subject_ids"),
        case_references=frozenset(request.case_references),
        camera_ids=frozenset(request.camera_ids),
        excluded=scope_from(request.excluded_sighting_ids, "excluded_sighting_ids"),
        include_inconclusive=request.include_inconclusive,
    )


def count_from(count: int) -> int:
    """Return how many a reviewer is to hold."""
    wire.number_between(count, "count", least=0, most=2**31 - 1)
    return min(count or USUALLY_HELD, MOST_HELD)


def held_from(sighting_ids: Sequence[str]) -> list[str]:
    """Return the sightings whose leases are meant, each once."""
    wire.count_between(len(sighting_ids), "sighting_ids", least=1, most=MOST_HELD)
    names = [
        wire.uuid_text(name, f"sighting_ids[{index}]") for index, name in enumerate(sighting_ids)
    ]
    return list(dict.fromkeys(names))


def to_lease(lease: SightingLease) -> sighting_pb2.SightingLease:
    """Return a lease as protobuf has it."""
    return sighting_pb2.SightingLease(
        sighting_id=lease.sighting_id, expire_time=wire.to_timestamp(lease.expire_time)
    )


def to_handed_out(
    handed: HandedOut, rules: ReviewRules, *, reviewer: str
) -> sighting_service_pb2.LeaseSightingsResponse:
    """Return what a reviewer has been handed as protobuf has it."""
    return sighting_service_pb2.LeaseSightingsResponse(
        sightings=[
            convert_sightings.to_sighting(one, rules, reader=reviewer)
            for one, _ in handed.sightings
        ],
        leases=[to_lease(lease) for _, lease in handed.sightings],
        open_count=handed.open,
        held_by_others_count=handed.held_by_others,
        own_search_count=handed.own_searches,
    )
