"""A stack as a force runs it: nobody is compared with anybody until somebody answers for that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SEARCH = ("search", "--everything", "--reason", "a trial")


def test_a_strict_stack_searches_only_while_somebody_answers_for_its_policy(
    new_stack: Callable[..., Any], street: Any
) -> None:
    strict = new_stack("strict", HOMEWARD_EVALUATION="false")
    strict.run("subject", "add", "--case", "P-1", str(street.portraits[2]))
    strict.run("camera", "add", "street")
    strict.run(
        "footage", "add", str(street.footage), "--camera", "street",
        "--start", "2026-03-04T10:00:00Z",
    )  # fmt: skip
    untargeted = strict.run("search", code=4)
    refused = strict.run(*SEARCH, code=7)
    scans = strict.run("scan", "list", "--output", "json").json["scans"]

    policies = strict.run("policy", "list", "--output", "json").json["policies"]
    (shipped,) = [one for one in policies if one["modelName"] == "yunet-sface"]
    until = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    strict.run(
        "policy", "approve", shipped["policyId"], "--by", "A. Prover", "--until", until,
        "--activate", token=strict.issue("A. Prover", "operator"),
    )  # fmt: skip
    found = strict.run(*SEARCH, "--output", "json").json
    told = strict.run("status")
    strict.run("policy", "expire", shipped["policyId"], "--reason", "a trial", "--yes")
    ended = strict.run(*SEARCH, code=7)

    said = Path(f"{strict.data}.log").read_text()
    approve = f"homeward policy approve {shipped['policyId']} --by NAME --until DATE --activate"
    assert "searches are refused: no threshold policy is active" in said
    assert approve in said
    assert approve in refused.err
    assert "reason: POLICY_NOT_APPROVED" in refused.err
    assert "reason: SCAN_NOT_TARGETED" in untargeted.err
    assert scans == []
    assert found["candidates"]
    assert {one["policyId"] for one in found["candidates"]} == {shipped["policyId"]}
    assert {one["figures"]["approved"] for one in found["candidates"]} == {True}
    assert {one["figures"]["gallerySize"] for one in found["candidates"]} == {1}
    assert "approved by A. Prover until" in told.out
    assert "reason: POLICY_EXPIRED" in ended.err


def test_a_stack_in_evaluation_mode_says_so(stack: Any) -> None:
    assert "NOT approved, in evaluation mode" in stack.run("status").out
