from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from matching_world import (
    BY_POLICY,
    BY_SIGHTING,
    BY_SUBJECT,
    FOOTAGE,
    NOBODY,
    World,
    add_policy,
    create,
    erase_footage,
    policy_file,
    record,
    refusal,
    rejections,
    template,
)

from homeward.api.matching.v1 import matching_service_pb2 as matching
from homeward.api.matching.v1 import policy_service_pb2 as policies
from homeward.api.matching.v1 import retention_service_pb2 as retention_pb
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.servicekit.errors import Reason
from required_fields import call_with_nothing, calls_with_required_fields

DOWN = (grpc.StatusCode.UNAVAILABLE, Reason.COMPONENT_UNAVAILABLE)


@pytest.mark.parametrize(
    "method",
    calls_with_required_fields(
        matching.DESCRIPTOR,
        policies.DESCRIPTOR,
        retention_pb.DESCRIPTOR,
        sightings.DESCRIPTOR,
        subjects.DESCRIPTOR,
    ),
    ids=lambda method: method.full_name,
)
async def test_a_call_without_its_required_fields_is_refused(world: World, method: Any) -> None:
    stubs = {
        "MatchingService": world.matching,
        "PolicyService": world.policies,
        "RetentionService": world.retention,
        "SightingService": world.sightings,
        "SubjectService": world.subjects,
    }

    call = call_with_nothing(stubs[method.containing_service.name], method)

    assert await refusal(call) == (grpc.StatusCode.INVALID_ARGUMENT, Reason.FIELD_INVALID)


ANY_CALL: dict[str, Callable[[World, str], Any]] = {
    **BY_SUBJECT,
    **BY_SIGHTING,
    **BY_POLICY,
    "AddPolicy": lambda world, _: add_policy(world, policy_file()),
    "ListPolicies": lambda world, _: world.policies.ListPolicies(policies.ListPoliciesRequest()),
    "ListSubjects": lambda world, _: world.subjects.ListSubjects(subjects.ListSubjectsRequest()),
    "Match": lambda world, _: world.matching.Match(matching.MatchRequest(probes=[template()])),
    "GetThresholdPolicy": lambda world, _: world.matching.GetThresholdPolicy(
        matching.GetThresholdPolicyRequest()
    ),
    "ListSightings": lambda world, _: world.sightings.ListSightings(
        sightings.ListSightingsRequest()
    ),
    "ListRejections": lambda world, _: rejections(world),
    "EraseFootageSightings": lambda world, _: erase_footage(world, FOOTAGE),
    "WatchSightings": lambda world, _: world.sightings.WatchSightings(
        sightings.WatchSightingsRequest()
    ).read(),
}


@pytest.mark.parametrize("rpc", ANY_CALL)
async def test_an_engine_that_does_not_answer_is_unavailable(world: World, rpc: str) -> None:
    world.break_down()

    assert await refusal(ANY_CALL[rpc](world, NOBODY)) == DOWN


async def test_create_subject_without_its_engine_is_unavailable(world: World, stated: Any) -> None:
    world.break_down()

    assert await refusal(create(world, stated())) == DOWN


async def test_record_sightings_without_its_engine_is_unavailable(
    world: World, finding: Any
) -> None:
    found = finding()
    world.break_down()

    assert await refusal(record(world, found)) == DOWN
