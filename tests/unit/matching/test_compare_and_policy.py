from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from homeward.matching.model import Template, ThresholdPolicy
from homeward.matching.ports import Reference
from homeward.matching.usecases.compare import match
from homeward.matching.usecases.policy import PolicySource
from homeward.servicekit.errors import (
    FailedPreconditionError,
    Reason,
    UnavailableError,
    unavailable,
)

MODEL = "a" * 64


def axis(number: int, model: str = MODEL) -> Template:
    return Template(np.eye(16, dtype=np.float32)[number], model)


def policy(threshold: float) -> ThresholdPolicy:
    return ThresholdPolicy("p", MODEL, threshold, "a test", measured=False)


async def test_each_probe_is_ranked_by_the_policys_threshold(matching: Any) -> None:
    await matching.gallery.put(Reference("subject", "photo", axis(0)))

    results = await match(
        [axis(1), axis(0)], matching.gallery, policy=policy(0.45), subject_ids=(), limit=5
    )

    assert [[found.subject_id for found in one] for one in results] == [[], ["subject"]]


async def test_a_match_stores_nothing(matching: Any) -> None:
    before = await matching.everything()

    await match([axis(0)], matching.gallery, policy=policy(0.45), subject_ids=(), limit=5)

    assert await matching.everything() == before


async def test_match_refuses_a_template_from_another_model(matching: Any) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        await match(
            [axis(0, "b" * 64)], matching.gallery, policy=policy(0.45), subject_ids=(), limit=5
        )

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH


async def test_the_policy_names_model_and_threshold_and_that_it_is_not_measured(
    matching: Any,
) -> None:
    in_force = await PolicySource(matching.faces, 0.45).in_force()

    assert (in_force.policy_id, in_force.model_digest) == ("yunet-sface/provisional-0.45", MODEL)
    assert (in_force.threshold, in_force.measured) == (0.45, False)
    assert in_force.basis.startswith("provisional: ")


async def test_the_policy_waits_for_a_model_that_is_not_told_yet(
    matching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise unavailable("embedding", "e:1", "start it")

    source = PolicySource(matching.faces, 0.45)
    with monkeypatch.context() as down:
        down.setattr(matching.faces, "model", fails)
        with pytest.raises(UnavailableError):
            await source.in_force()

    assert (await source.in_force()).model_digest == MODEL
