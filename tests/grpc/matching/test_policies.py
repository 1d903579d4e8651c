from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from matching_world import (
    BY_POLICY,
    NOON,
    OTHER_MODEL,
    POLICY,
    World,
    activate,
    add_policy,
    approve,
    expire,
    fields_at_fault,
    get_policy,
    policy_file,
    refusal,
)

from homeward.api.common.v1 import policy_pb2 as figures_pb2
from homeward.api.matching.v1 import matching_service_pb2 as matching
from homeward.api.matching.v1 import policy_pb2
from homeward.api.matching.v1 import policy_service_pb2 as policies
from homeward.core.policy import MOST_BYTES, Ages, Basis, Cohort, Rate
from homeward.servicekit.errors import Reason
from homeward.servicekit.wire import to_timestamp


async def test_a_policy_goes_from_file_to_use_to_its_end(world: World) -> None:
    states = policy_pb2.Policy
    added = (await add_policy(world, policy_file("yunet-sface/2"))).policy
    approved = (await approve(world, "yunet-sface/2", note="a pilot")).policy
    activated = (await activate(world, "yunet-sface/2")).policy
    expired = (await expire(world, "yunet-sface/2")).policy

    assert [(one.state, one.active) for one in (added, approved, activated, expired)] == [
        (states.STATE_UNAPPROVED, False),
        (states.STATE_APPROVED, False),
        (states.STATE_APPROVED, True),
        (states.STATE_EXPIRED, True),
    ]
    assert (approved.approval.approver, approved.approval.note) == ("A. Prover", "a pilot")
    assert expired.approval.expire_reason == "flawed data"


async def test_get_policy_tells_what_was_measured(world: World) -> None:
    policy = (await get_policy(world)).policy

    measured = policy.measurement
    assert (policy.model_name, policy.shipped, policy.active) == ("yunet-sface", True, True)
    assert (measured.gallery_size, measured.identity_count, measured.photograph_count) == (
        500,
        1000,
        2000,
    )
    assert (measured.fpir.low, measured.fpir.value, measured.fpir.high) == (0.005, 0.01, 0.02)
    (cohort,) = measured.cohorts
    assert (cohort.name, cohort.fpir.trial_count) == ("18 to 30", 100)
    assert not cohort.HasField("fnir")


async def test_the_ages_that_a_policy_was_measured_on_travel_with_each_candidate(
    world: World,
) -> None:
    rate = Rate(0.3, 0.2, 0.4, trials=50)
    band = Cohort(
        "6 to 12", 30, rate, rate, "age", Ages(6, 12), Basis.FOOTAGE, 28, fnir_identities=25
    )
    await add_policy(world, policy_file("yunet-sface/2", cohorts=(band,)))
    await approve(world, "yunet-sface/2")
    await activate(world, "yunet-sface/2")

    (cohort,) = (await get_policy(world, "yunet-sface/2")).policy.measurement.cohorts
    in_force = (
        await world.matching.GetThresholdPolicy(matching.GetThresholdPolicyRequest())
    ).policy
    (told,) = in_force.figures.age_figures

    assert (cohort.attribute, cohort.fpir_identity_count, cohort.fnir_identity_count) == (
        "age",
        28,
        25,
    )
    assert (cohort.ages.youngest_years, cohort.ages.oldest_years) == (6, 12)
    assert told.ages == cohort.ages
    assert told.basis == cohort.basis == figures_pb2.MEASUREMENT_BASIS_FOOTAGE
    assert (told.identity_count, told.fnir.trial_count) == (25, 50)


async def test_list_policies_goes_page_by_page(world: World) -> None:
    await add_policy(world, policy_file("yunet-sface/2"))
    first = await world.policies.ListPolicies(policies.ListPoliciesRequest(page_size=1))
    second = await world.policies.ListPolicies(
        policies.ListPoliciesRequest(page_size=1, page_token=first.next_page_token)
    )

    assert [one.policy_id for one in [*first.policies, *second.policies]] == [
        POLICY,
        "yunet-sface/2",
    ]
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"no policy",
        b"{}",
        b"x" * (MOST_BYTES + 1),
        policy_file("yunet-sface"),
        policy_file("yunet sface/1"),
        policy_file("yunet-sface/1/2"),
        policy_file("-/1"),
        policy_file("x" * 200 + "/1"),
        policy_file("yunet-sface/2", gallery_size=0),
    ],
    ids=range(10),
)
async def test_add_policy_refuses_what_is_no_policy(world: World, file: bytes) -> None:
    assert await fields_at_fault(add_policy(world, file)) == ["file"]


async def test_add_policy_refuses_another_file_under_an_id(world: World) -> None:
    changed = policy_file(identities=999)

    assert await refusal(add_policy(world, changed)) == (
        grpc.StatusCode.ALREADY_EXISTS,
        Reason.POLICY_EXISTS,
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"approver": " "}, "approver"),
        ({"approver": "x" * 201}, "approver"),
        ({"valid_until_time": None}, "valid_until_time"),
        ({"valid_until_time": to_timestamp(NOON)}, "valid_until_time"),
        ({"valid_until_time": to_timestamp(NOON + timedelta(days=367))}, "valid_until_time"),
        ({"note": "x" * 1001}, "note"),
    ],
)
async def test_approve_policy_refuses_a_field_that_breaks_its_rule(
    world: World, changes: dict[str, Any], field: str
) -> None:
    assert await fields_at_fault(approve(world, **changes)) == [field]


@pytest.mark.parametrize("reason", ["", "x" * 1001])
async def test_expire_policy_needs_a_reason(world: World, reason: str) -> None:
    assert await fields_at_fault(expire(world, reason=reason)) == ["reason"]


@pytest.mark.parametrize("call", [activate, expire])
async def test_what_nobody_has_approved_is_neither_activated_nor_expired(
    world: World, call: Any
) -> None:
    await add_policy(world, policy_file("yunet-sface/2"))

    assert await refusal(call(world, "yunet-sface/2")) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_NOT_APPROVED,
    )


async def test_activate_policy_refuses_one_that_has_expired(world: World) -> None:
    await expire(world)

    assert await refusal(activate(world)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_EXPIRED,
    )


async def test_activate_policy_refuses_one_of_another_pack(world: World) -> None:
    await add_policy(world, policy_file("other/1", model_digest=OTHER_MODEL))
    await approve(world, "other/1")

    assert await refusal(activate(world, "other/1")) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_MODEL_MISMATCH,
    )


@pytest.mark.parametrize("rpc", BY_POLICY)
async def test_a_policy_that_is_not_there_is_not_found(world: World, rpc: str) -> None:
    assert await refusal(BY_POLICY[rpc](world, "yunet-sface/9")) == (
        grpc.StatusCode.NOT_FOUND,
        Reason.POLICY_NOT_FOUND,
    )


@pytest.mark.parametrize("name", ["", "x" * 201])
@pytest.mark.parametrize("rpc", BY_POLICY)
async def test_a_policy_is_named_by_its_id(world: World, rpc: str, name: str) -> None:
    assert await fields_at_fault(BY_POLICY[rpc](world, name)) == ["policy_id"]
