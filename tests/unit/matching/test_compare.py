from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matching_values import MODEL, policy

from homeward.matching.compare import match
from homeward.matching.gallery.model import Template
from homeward.matching.gallery.ports import Reference
from homeward.servicekit.errors import FailedPreconditionError, Reason


def axis(number: int, model: str = MODEL) -> Template:
    return Template(np.eye(16, dtype=np.float32)[number], model)


async def test_each_probe_is_ranked_by_the_policys_threshold(matching: Any) -> None:
    await matching.gallery.put(Reference("subject", "photo", axis(0)))

    results = await match(
        [axis(1), axis(0)],
        matching.gallery,
        matching.completeness,
        policy=policy(0.45),
        subject_ids=(),
        limit=5,
    )

    assert [[found.subject_id for found in one] for one in results] == [[], ["subject"]]


async def test_a_match_stores_nothing(matching: Any) -> None:
    before = await matching.everything()

    await match(
        [axis(0)],
        matching.gallery,
        matching.completeness,
        policy=policy(0.45),
        subject_ids=(),
        limit=5,
    )

    assert await matching.everything() == before


async def test_match_refuses_a_template_from_another_model(matching: Any) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        await match(
            [axis(0, "b" * 64)],
            matching.gallery,
            matching.completeness,
            policy=policy(0.45),
            subject_ids=(),
            limit=5,
        )

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH


async def test_match_refuses_templates_that_the_threshold_was_not_measured_for(
    matching: Any,
) -> None:
    await matching.gallery.put(Reference("subject", "photo", axis(0)))
    other = policy(0.45, model="b" * 64)

    with pytest.raises(FailedPreconditionError) as refused:
        await match(
            [axis(0)],
            matching.gallery,
            matching.completeness,
            policy=other,
            subject_ids=(),
            limit=5,
        )

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH
