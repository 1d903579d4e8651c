"""`homeward status`."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import json

import pytest
from grpc_health.v1 import health_pb2

from cli_services import Homeward
from cli_values import EXPECTATION, NOT_APPROVED, UNAPPROVED
from homeward.cli.__main__ import run


def test_status_tells_services_model_and_threshold(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status"]) == 0
    told = capsys.readouterr().out
    assert f"matching\t{homeward.address}" in told
    assert "Model: yunet-sface" in told
    assert "0.450 (yunet-sface/1, approved by A. Prover until 2026-11-20 10:00:12 UTC)" in told
    assert EXPECTATION in told
    assert "Measured on: LFW. Not CCTV." in told


def test_status_tells_evaluation_mode(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.policy.evaluation = True
    homeward.matching.policy.figures.approved = False
    assert run(["status"]) == 0
    told = capsys.readouterr().out
    assert "Threshold: 0.450 (yunet-sface/1, NOT approved, in evaluation mode)" in told
    assert UNAPPROVED in told


def test_status_tells_that_the_gallery_has_outgrown_the_policy(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.policy.figures.gallery_size = 501
    assert run(["status"]) == 0
    assert "WARNING: policy yunet-sface/1 was measured with 500 people" in capsys.readouterr().out


def test_status_tells_why_searches_are_refused(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.refusal = NOT_APPROVED
    assert run(["status"]) == 0
    said = capsys.readouterr().out
    assert "SEARCHES ARE REFUSED: approve one" in said
    assert "Advice: `homeward policy list` shows the policies" in said
    assert run(["status", "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    refused = document["searchesRefused"]
    assert (refused["reason"], refused["message"]) == ("POLICY_NOT_APPROVED", "approve one")
    assert "`homeward policy add FILE.json`" in refused["advice"]
    assert "thresholdPolicy" not in document


def test_status_tells_which_service_does_not_answer(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--embedding", "localhost:1", "--output", "json"]) == 8
    states = json.loads(capsys.readouterr().out)["services"]
    assert [each["state"] for each in states] == [
        "serving",
        "serving",
        "embedding at localhost:1 (--embedding) does not answer",
    ]


def test_status_tells_a_service_that_is_not_ready(homeward: Homeward) -> None:
    homeward.health.status = health_pb2.HealthCheckResponse.NOT_SERVING
    assert run(["status"]) == 8
