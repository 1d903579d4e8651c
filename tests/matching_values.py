"""A model, vectors and a policy that the tests of matching share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeward.core.policy import Measurement, PolicyFile, Rate, figures_of
from homeward.matching.policies.model import ThresholdPolicy

MODEL = "a" * 64
SIZE = 16
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MADE = datetime(2026, 1, 1, tzinfo=UTC)
SHIPPED = "yunet-sface/1"


def unit_vector(seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).standard_normal(SIZE)
    return (values / np.linalg.norm(values)).astype(np.float32)


def policy_file(policy_id: str = SHIPPED, **changes: Any) -> PolicyFile:
    measured = Measurement(
        gallery_size=500,
        fpir=Rate(0.01, 0.005, 0.02, trials=1000),
        fnir=Rate(0.04, 0.03, 0.06, trials=500),
        dataset="photographs",
        dataset_digest="",
        identities=1000,
        photographs=2000,
        seed=0,
        make_time=changes.pop("make_time", MADE),
        limits="not CCTV",
    )
    return replace(PolicyFile(policy_id, "yunet-sface", MODEL, 0.45, measured), **changes)


def policy(threshold: float, *, model: str = MODEL) -> ThresholdPolicy:
    rate = Rate(0.01, 0.005, 0.02, trials=1000)
    measured = Measurement(500, rate, rate, "a test", "", 1, 1, 0, NOON, "none")
    return ThresholdPolicy(
        policy_id="p/1",
        model_digest=model,
        threshold=threshold,
        measurement=measured,
        figures=figures_of(measured, approved=True, gallery_size=1),
        approval=None,
        evaluation=False,
    )
