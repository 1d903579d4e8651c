"""Another publisher's pack from file to policy and back, as docs/licensed-models.md says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import adaface
import pytest

from homeward.core import policies
from homeward.core.policy import read_policy, write_policy

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(500)]

SEARCH = ("search", "--everything", "--reason", "a trial")
PACK, POLICY = "onnx:adaface", "adaface/1"


def test_a_pack_goes_from_file_to_policy_and_back(
    new_stack: Callable[..., Any], street: Any, tmp_path: Path
) -> None:
    shipped = next(file for file in map(read_policy, policies.shipped()))
    stack = new_stack(
        "licensed",
        HOMEWARD_EVALUATION="false",
        HOMEWARD_MODEL_DIR=str(tmp_path / "packs"),
        HOMEWARD_MODEL_LICENCE="agreed for this test",
    )
    stack.run("subject", "add", "--case", "P-1", str(street.portraits[1]))
    stack.run("camera", "add", "street")
    stack.run(
        "footage", "add", str(street.footage), "--camera", "street",
        "--start", "2026-03-04T10:00:00Z",
    )  # fmt: skip
    approve(stack, shipped.policy_id, "--activate")
    before = search(stack)

    installed = stack.run(
        "model", "install", str(adaface.write(tmp_path / "adaface")), "--family", "adaface",
        "--training-data", "recogniser=none: SFace in AdaFace's clothes",
    )  # fmt: skip
    restart(stack, HOMEWARD_MODEL_PACK=PACK)
    moved = stack.run("subject", "reenrol", "--model", PACK, "--output", "json").json
    shown = stack.run("model", "show", "--output", "json").json["model"]
    measured = replace(shipped, policy_id=POLICY, model_name=PACK, model_digest=shown["digest"])
    (tmp_path / "policy.json").write_bytes(write_policy(measured))
    refused = stack.run(*SEARCH, code=7)
    stack.run("policy", "add", str(tmp_path / "policy.json"))
    approve(stack, POLICY, "--activate")
    after = search(stack)

    restart(stack, HOMEWARD_MODEL_PACK="yunet-sface")  # the way back is as long
    stack.run("subject", "reenrol", "--model", "yunet-sface")
    stack.run("policy", "activate", shipped.policy_id)
    back = search(stack)

    assert "HOMEWARD_MODEL_PACK=onnx:adaface" in installed.out
    assert moved["reenrolment"]["stage"] == "STAGE_DONE"
    recogniser = shown["files"][1]
    assert (shown["name"], shown["templateSize"]) == (PACK, adaface.SIZE)
    assert (recogniser["licence"], recogniser["trainingData"]) == (
        "agreed for this test",
        "none: SFace in AdaFace's clothes",
    )
    assert "reason: POLICY_MODEL_MISMATCH" in refused.err
    assert len(before) == 1
    # The stand-in answers as SFace does, if it is given blue first, as its manifest says; but it
    # takes one mean face off all, whatever their width.
    assert {name: pytest.approx(score, abs=0.03) for name, (_, score) in before.items()} == {
        name: score for name, (_, score) in after.items()
    }
    assert {policy for policy, _ in after.values()} == {POLICY}
    # Embedded anew: the same but for rounding.
    assert back == {
        name: (policy, pytest.approx(score, abs=1e-6)) for name, (policy, score) in before.items()
    }


def restart(stack: Any, **settings: str) -> None:
    stack.stop()
    stack.environment |= settings
    stack.start()


def approve(stack: Any, policy_id: str, *more: str) -> None:
    until = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    stack.run("policy", "approve", policy_id, "--by", "A. Prover", "--until", until, *more)


def search(stack: Any) -> dict[str, tuple[str, float]]:
    found = stack.run(*SEARCH, "--output", "json").json["candidates"]
    return {one["sightingId"]: (one["policyId"], one["score"]) for one in found}
