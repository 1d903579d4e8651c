from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from matching_world import (
    FIELD,
    MODEL,
    NOBODY,
    OTHER_MODEL,
    POLICY,
    World,
    create,
    expire,
    refusal,
    template,
)

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import matching_service_pb2 as matching
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import Reason
from homeward.servicekit.wire import to_timestamp


@pytest.mark.usefixtures("subject_id")
@pytest.mark.parametrize(("margin", "told"), [(0.0, 0), (0.125, 0), (0.5, 1)])
async def test_match_tells_of_subjects_within_the_margin(
    world: World, margin: float, told: int
) -> None:
    alike = types_pb2.Template(values=[0.2, 0.96**0.5, 0, 0], model_digest=MODEL)

    answer = await world.matching.Match(matching.MatchRequest(probes=[alike], margin=margin))

    assert len(answer.results[0].candidates) == told


async def test_match_answers_candidates_and_policy(world: World, subject_id: str) -> None:
    answer = await world.matching.Match(matching.MatchRequest(probes=[template(0), template(1)]))

    alike, unlike = answer.results
    assert [(one.subject_id, one.score) for one in alike.candidates] == [(subject_id, 1.0)]
    assert list(unlike.candidates) == []
    assert answer.policy.policy_id == POLICY


async def test_match_tells_what_its_policy_is_worth_for_all_that_are_enrolled(
    world: World, full_id: str
) -> None:
    answer = await world.matching.Match(matching.MatchRequest(probes=[template()]))

    assert [one.subject_id for one in answer.results[0].candidates] == [full_id]
    figures = answer.policy.figures
    assert (figures.approved, figures.gallery_size, figures.measured_gallery_size) == (True, 1, 500)
    assert figures.expected_fpir.value == pytest.approx(1 - 0.99 ** (1 / 500))
    assert (figures.fnir.low, figures.fnir.high, figures.fnir.trial_count) == (0.03, 0.06, 500)


async def test_match_tells_what_its_policy_is_worth_for_those_in_its_scope(
    world: World, subject_id: str
) -> None:
    request = matching.MatchRequest(probes=[template()], subject_ids=[subject_id, NOBODY])

    assert (await world.matching.Match(request)).policy.figures.gallery_size == 2


@pytest.mark.parametrize(
    "asked",
    [
        {"probes": []},
        {"probes": [template()] * 257},
        {"probes": [types_pb2.Template(values=[1.0])]},
        {"probes": [types_pb2.Template(values=[], model_digest=MODEL)]},
        {"probes": [types_pb2.Template(values=[0.5, 0.5], model_digest=MODEL)]},
        {"probes": [types_pb2.Template(values=[float("nan")] * 4, model_digest=MODEL)]},
        {"probes": [template(), template(model=OTHER_MODEL)]},
        {"probes": [template()], "limit": 51},
        {"probes": [template()], "limit": -1},
        {"probes": [template()], "margin": -0.01},
        {"probes": [template()], "margin": 0.51},
        {"probes": [template()], "subject_ids": ["no id"]},
        {"probes": [template()], "subject_ids": [NOBODY] * 1001},
    ],
)
async def test_match_refuses_a_field_that_breaks_its_rule(
    world: World, asked: dict[str, Any]
) -> None:
    assert await refusal(world.matching.Match(matching.MatchRequest(**asked))) == FIELD


async def test_match_refuses_a_template_from_another_model(world: World, subject_id: str) -> None:
    request = matching.MatchRequest(probes=[template(model=OTHER_MODEL)], subject_ids=[subject_id])

    assert await refusal(world.matching.Match(request)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.EMBEDDING_MODEL_MISMATCH,
    )


async def test_get_threshold_policy_answers_the_policy(world: World, clock: Clock) -> None:
    answer = await world.matching.GetThresholdPolicy(matching.GetThresholdPolicyRequest())

    policy = answer.policy
    assert policy.model_digest == MODEL
    assert policy.threshold == pytest.approx(0.45)
    assert (policy.approver, policy.evaluation) == ("A. Prover", False)
    assert policy.valid_until_time == to_timestamp(clock.now() + timedelta(days=30))
    assert (policy.measurement.dataset, policy.measurement.limits) == ("photographs", "not CCTV")


@pytest.mark.usefixtures("closed_id", "subject_id")
async def test_get_threshold_policy_counts_those_who_can_be_found(
    world: World, stated: Any
) -> None:
    await create(world, stated())  # without a photograph

    answer = await world.matching.GetThresholdPolicy(matching.GetThresholdPolicyRequest())

    assert answer.policy.figures.gallery_size == 1


async def test_get_threshold_policy_tells_the_figures_of_another_gallery(world: World) -> None:
    request = matching.GetThresholdPolicyRequest(gallery_size=1000)

    figures = (await world.matching.GetThresholdPolicy(request)).policy.figures

    assert figures.expected_fpir.value == pytest.approx(1 - 0.99**2)


@pytest.mark.parametrize("size", [-1, 10_000_001])
async def test_get_threshold_policy_refuses_a_gallery_that_there_cannot_be(
    world: World, size: int
) -> None:
    request = matching.GetThresholdPolicyRequest(gallery_size=size)

    assert await refusal(world.matching.GetThresholdPolicy(request)) == FIELD


SEARCHES: dict[str, Callable[[World], Any]] = {
    "Match": lambda world: world.matching.Match(matching.MatchRequest(probes=[template()])),
    "GetThresholdPolicy": lambda world: world.matching.GetThresholdPolicy(
        matching.GetThresholdPolicyRequest()
    ),
}


@pytest.mark.parametrize("rpc", SEARCHES)
async def test_without_an_approval_in_force_nobody_is_compared(world: World, rpc: str) -> None:
    await expire(world)

    assert await refusal(SEARCHES[rpc](world)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_EXPIRED,
    )
