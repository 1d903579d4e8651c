from __future__ import annotations

import click
import pytest

from homeward.api.common.v1.error_reason_pb2 import ErrorReason
from homeward.cli import errors
from homeward.cli.errors import CallError, CliError, ExitCode

WITHOUT_ADVICE = {"FIELD_INVALID", "UNSPECIFIED"}
"""The field's rule is the advice."""


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("INVALID_ARGUMENT", ExitCode.INVALID),
        ("NOT_FOUND", ExitCode.NOT_FOUND),
        ("ALREADY_EXISTS", ExitCode.CONFLICT),
        ("ABORTED", ExitCode.CONFLICT),
        ("FAILED_PRECONDITION", ExitCode.PRECONDITION),
        ("UNAVAILABLE", ExitCode.UNAVAILABLE),
        ("DEADLINE_EXCEEDED", ExitCode.UNAVAILABLE),
        ("RESOURCE_EXHAUSTED", ExitCode.LIMIT),
        ("INTERNAL", ExitCode.INTERNAL),
        ("UNKNOWN", ExitCode.INTERNAL),
    ],
)
def test_the_status_decides_the_exit_code(status: str, code: ExitCode) -> None:
    assert CallError("no", status=status).exit_code is code


@pytest.mark.parametrize(
    ("reason", "metadata", "command"),
    [
        (
            "POLICY_NOT_APPROVED",
            {"policy_id": "yunet-sface/2"},
            "`homeward policy approve yunet-sface/2 --by NAME --until DATE --activate`",
        ),
        ("POLICY_NOT_APPROVED", {"policy_id": ""}, "`homeward policy add FILE`"),
        ("POLICY_NOT_APPROVED", {}, "`homeward policy add FILE`"),
        (
            "POLICY_EXPIRED",
            {"policy_id": "p/1", "expire_time": "2026-03-04T12:00:00Z"},
            "`homeward policy approve p/1 --by NAME --until DATE`",
        ),
        (
            "MODEL_NOT_SERVED",
            {"model": "new-pack", "served": "yunet-sface"},
            "`homeward subject reenrol --model yunet-sface`",
        ),
        ("MODEL_NOT_SERVED", {}, "`homeward subject reenrol --model NAME`"),
        ("GALLERY_INCOMPLETE", {}, "`homeward subject rebuild`"),
        ("EMBEDDING_MODEL_MISMATCH", {}, "`homeward subject reenrol --model NAME`"),
    ],
)
def test_advice_names_the_command_with_what_the_service_told(
    reason: str, metadata: dict[str, str], command: str
) -> None:
    assert command in errors.advise(reason, metadata)


def test_every_reason_that_is_not_about_a_field_has_advice() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in list(ErrorReason.keys())}
    silent = {
        reason
        for reason in reasons - WITHOUT_ADVICE
        if not CallError("no", status="INTERNAL", reason=reason, metadata={"verdict": "x"}).advice
    }
    assert silent == set()


def test_every_exit_code_is_explained() -> None:
    assert set(errors.EXIT_CODE_HELP) == set(ExitCode)


def test_a_refused_photograph_is_told_in_words_for_each_problem() -> None:
    refused = CallError(
        "the photograph cannot serve",
        status="INVALID_ARGUMENT",
        reason="PHOTO_REFUSED",
        metadata={"verdict": "PHOTO_PROBLEM_TOO_SMALL,BLURRED"},
    )
    assert refused.advice == (
        "the face is too small: use a larger original or a closer photograph; "
        "the face is blurred: use a sharper photograph"
    )


def test_an_error_is_told_with_reason_and_advice(capsys: pytest.CaptureFixture[str]) -> None:
    error = CliError("it is gone", exit_code=ExitCode.NOT_FOUND, reason="X", advice="look again")
    assert errors.report(error) == 5
    assert capsys.readouterr().err == "error: it is gone\nreason: X\nadvice: look again\n"


def test_a_local_file_problem_is_told_with_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.report(PermissionError(13, "Permission denied", "a.jpg")) == 4
    assert capsys.readouterr().err == "error: a.jpg: Permission denied\n"


def test_an_interruption_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.report(click.Abort()) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_wrong_command_line_is_told_by_click(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.report(click.UsageError("no such option")) == 2
    assert "no such option" in capsys.readouterr().err


def test_a_fault_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.report(ZeroDivisionError("x")) == 1
    assert capsys.readouterr().err.startswith("error: unexpected: ZeroDivisionError: x\n")


def test_a_fault_shows_where_on_demand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEWARD_DEBUG", "1")
    errors.report(ZeroDivisionError("x"))
    assert "ZeroDivisionError" in capsys.readouterr().err
