from __future__ import annotations

import re

import click
import pytest

from homeward.api.common.v1.error_reason_pb2 import ErrorReason
from homeward.cli import errors
from homeward.cli.app import app
from homeward.cli.errors import CallError, CliError, ExitCode
from homeward.core.photo_problems import PHOTO_PROBLEMS

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
        ("POLICY_NOT_APPROVED", {"policy_id": ""}, "`homeward policy add FILE.json`"),
        ("POLICY_NOT_APPROVED", {}, "`homeward policy add FILE.json`"),
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


def test_for_each_problem_of_a_photograph_there_is_advice_alone() -> None:
    refused = CallError(
        "the photograph cannot serve",
        status="INVALID_ARGUMENT",
        reason="PHOTO_REFUSED",
        metadata={"verdict": "PHOTO_PROBLEM_TOO_SMALL,BLURRED"},
    )
    assert refused.advice == (
        "use a larger original or a closer photograph; use a sharper photograph"
    )


def test_there_is_advice_for_every_problem_of_a_photograph() -> None:
    assert errors.PHOTO_ADVICE.keys() == PHOTO_PROBLEMS.keys()


def test_an_error_is_told_with_reason_and_advice(capsys: pytest.CaptureFixture[str]) -> None:
    error = CliError("it is gone", exit_code=ExitCode.NOT_FOUND, reason="X", advice="look again")
    assert errors.report(error) == 5
    assert capsys.readouterr().err == "error: it is gone\nreason: X\nadvice: look again\n"


def test_a_local_file_problem_is_told_with_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.report(PermissionError(13, "Permission denied", "a.jpg")) == 4
    assert capsys.readouterr().err == "error: a.jpg: Permission denied\n"


def test_a_folder_that_is_not_there_is_told_with_what_to_look_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert errors.report(FileNotFoundError(2, "No such file or directory", "no/a.png")) == 4
    assert capsys.readouterr().err.endswith("advice: check the name and the folder\n")


def options(command: click.Command | None) -> set[str]:
    assert command is not None
    own = {name for param in command.params for name in (*param.opts, param.metavar or "")}
    if not isinstance(command, click.Group):
        return own
    context = click.Context(command)
    names = command.list_commands(context)
    return own.union(*(options(command.get_command(context, name)) for name in names))


def test_a_field_is_told_by_the_option_that_sets_it() -> None:
    refused = CallError(
        "valid_until_time: must be in the future",
        status="INVALID_ARGUMENT",
        reason="FIELD_INVALID",
    )
    assert refused.message == "--until: must be in the future"
    assert refused.advice == "correct --until"
    refused = CallError(
        "camera.camera_id: must be 1 to 63 of a-z, 0-9 and -",
        status="INVALID_ARGUMENT",
        reason="FIELD_INVALID",
    )
    assert refused.message == "CAM: must be 1 to 63 of a-z, 0-9 and -"
    assert set(errors.FIELD_OPTIONS.values()) - options(app) == set()


def named_commands() -> list[str]:
    reasons = [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()]  # noqa: SIM118 - no dict
    advice = [CallError("no", status="INTERNAL", reason=reason).advice for reason in reasons]
    return sorted({found for each in advice for found in re.findall(r"`homeward ([^`]+)`", each)})


@pytest.mark.parametrize("words", named_commands())
def test_a_command_that_advice_names_is_there_with_the_one_thing_that_it_needs(words: str) -> None:
    command: click.Command | None = app
    left = words.split()
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), left.pop(0))
    assert command is not None
    needed = [one for one in command.params if isinstance(one, click.Argument) and one.required]
    expected = [one.make_metavar(click.Context(command)).removesuffix("...") for one in needed[:1]]
    given = positional(command, left)
    if command.name == "add":  # which may need options as well: --help tells
        assert given in ([], expected)
    else:
        assert given == (expected if len(needed) == 1 else [])


def positional(command: click.Command, words: list[str]) -> list[str]:
    """Return the words that are no options of the command and no values of options."""
    flags = {
        name: param.is_flag
        for param in command.params
        if isinstance(param, click.Option)
        for name in param.opts
    }
    found = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            found.append(word)
        elif not flags[word]:
            next(rest)
    return found


def test_a_field_that_says_itself_what_it_is_has_no_advice() -> None:
    told = CallError("reason: is required", status="INVALID_ARGUMENT", reason="FIELD_INVALID")
    assert told.advice == ""


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
