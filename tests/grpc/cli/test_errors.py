"""How a call that fails is told, whatever the command."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from cli_services import Homeward, enrolled
from cli_values import ANNA, LOST, written
from homeward.cli.__main__ import run


def test_a_refusal_is_told_with_reason_and_advice(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["subject", "show", ANNA]) == 5
    told = capsys.readouterr().err
    assert f"error: no subject {ANNA}\n" in told
    assert "reason: SUBJECT_NOT_FOUND\n" in told
    assert "advice: `homeward subject list --all` shows the subjects\n" in told


def test_a_service_that_does_not_answer_is_told_by_name_and_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["camera", "add", "gate", "--ingestion", "localhost:1"]) == 8
    told = capsys.readouterr().err
    assert "error: ingestion at localhost:1 (--ingestion) does not answer\n" in told
    assert "advice: try again in a few minutes; if it stays away, tell the operator" in told


def test_a_stack_that_is_gone_is_told_by_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "stack.json", b'{"ingestion": "localhost:1"}')
    assert run(["camera", "add", "gate", "--data", str(tmp_path)]) == 8
    assert f"`homeward up --data {tmp_path}`" in capsys.readouterr().err


def test_an_address_of_another_service_is_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sighting", "list", "--matching", homeward.address]) == 0
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("localhost:0")
    server.start()
    assert run(["sighting", "list", "--matching", f"localhost:{port}"]) == 1
    server.stop(None).wait()
    assert "is another service, or of another version" in capsys.readouterr().err


def test_a_read_that_meets_a_restart_is_repeated(homeward: Homeward) -> None:
    enrolled(homeward)
    homeward.subjects.failures = [LOST, LOST]
    assert run(["subject", "show", ANNA]) == 0


def test_every_call_has_a_deadline(homeward: Homeward) -> None:
    enrolled(homeward)
    run(["subject", "show", ANNA])
    run(["subject", "erase", ANNA, "--yes"])
    reading, looking, erasing = homeward.subjects.remaining_seconds
    assert reading == pytest.approx(30, abs=10)
    assert looking == pytest.approx(30, abs=10)
    assert erasing == pytest.approx(120, abs=10)
