"""Changing the model pack of a running installation, as docs/models.md says it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import two_packs

from homeward.core import policies
from homeward.core.policy import read_policy, write_policy

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def test_the_model_pack_is_changed_and_everybody_is_found_with_the_new_one(
    new_stack: Callable[..., Any], street: Any, tmp_path: Path
) -> None:
    program = (sys.executable, two_packs.__file__)
    stack = new_stack("packs", program=program)
    for number in (1, 2):
        stack.run("subject", "add", "--case", f"P-{number}", str(street.portraits[number]))
    stack.run("camera", "add", "street")
    stack.run(
        "footage", "add", str(street.footage), "--camera", "street",
        "--start", "2026-03-04T10:00:00Z",
    )  # fmt: skip
    before = stack.run("search", "--output", "json").json["candidates"]

    unknown = stack.run("subject", "reenrol", "--model", two_packs.NAME, code=7)
    stack.stop()
    stack.environment |= {"HOMEWARD_MODEL_PACK": two_packs.NAME}
    stack.start()
    refused = stack.run("search", code=7)
    status = stack.run("status")
    moved = stack.run("subject", "reenrol", "--model", two_packs.NAME, "--output", "json").json
    kept = stack.run("sighting", "list", "--output", "json").json["sightings"]
    stack.run("policy", "add", str(policy_file(tmp_path)))
    stack.run("policy", "activate", "turned/1")
    after = stack.run("search", "--output", "json").json["candidates"]
    sightings = stack.run("sighting", "list", "--output", "json").json["sightings"]
    stack.run("sighting", "review", sightings[0]["sightingId"], "--confirm")
    stack.run("subject", "close", sightings[0]["subjectId"], "--yes")
    left = stack.run("sighting", "list", "--output", "json").json["sightings"]

    assert before
    assert "reason: MODEL_NOT_SERVED" in unknown.err
    assert moved["reenrolment"]["stage"] == "STAGE_DONE"
    assert moved["unusablePhotos"] == []
    assert "reason: EMBEDDING_MODEL_MISMATCH" in refused.err
    assert "run the embedding service with yunet-sface" in refused.err
    assert "run the embedding service with yunet-sface" in status.out
    assert ids(kept) == ids(before)
    # Nobody is asked twice: what was found again is the same sighting, in the new pack's terms.
    assert ids(after) == ids(sightings) == ids(before)
    assert {one["modelDigest"] for one in sightings} == {two_packs.DIGEST}
    assert {one["policyId"] for one in after} == {"turned/1"}
    assert {one["subjectId"] for one in left} == {
        one["subjectId"] for one in before if one["subjectId"] != sightings[0]["subjectId"]
    }


def ids(found: list[dict[str, Any]]) -> set[str]:
    return {one["sightingId"] for one in found}


def policy_file(folder: Path) -> Path:
    """Write the shipped policy as if it had been measured with the turned pack."""
    shipped = (read_policy(data) for data in policies.shipped())
    measured = next(file for file in shipped if file.model_name == "yunet-sface")
    path = folder / "turned.json"
    path.write_bytes(
        write_policy(replace(measured, policy_id="turned/1", model_digest=two_packs.DIGEST))
    )
    return path
