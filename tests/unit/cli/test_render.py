from __future__ import annotations

import json

import pytest

from homeward.api.matching.v1.subject_pb2 import AGE_GROUP_CHILD, Subject
from homeward.cli import render
from homeward.cli.render import View


def test_a_table_in_a_pipe_is_a_line_a_row_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    View("text").table(("id", "label", "age"), [("1", "[bold]Anna[/bold] B", "")])
    assert capsys.readouterr().out == "ID\tLABEL\tAGE\n1\t[bold]Anna[/bold] B\t\n"


def test_a_table_on_a_terminal_takes_nothing_for_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "on_terminal", lambda: True)
    View("text").table(("id", "label"), [("1", "[bold]Anna[/bold]")])
    assert "1   [bold]Anna[/bold]" in capsys.readouterr().out


def test_what_could_steer_a_terminal_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    View("text").table(("label",), [("\x1b[2JAnna\n",)])
    assert capsys.readouterr().out == "LABEL\n\\x1b[2JAnna \n"


def test_json_is_one_document_of_protobuf_json(capsys: pytest.CaptureFixture[str]) -> None:
    View("json").document({"subjects": [Subject(subject_id="1", age_group=AGE_GROUP_CHILD)]})
    assert json.loads(capsys.readouterr().out) == {
        "subjects": [{"subjectId": "1", "ageGroup": "AGE_GROUP_CHILD"}]
    }


def test_sentences_stay_out_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    View("json").say("done")
    assert capsys.readouterr() == ("", "done\n")


def test_ids_are_short_on_a_terminal_and_full_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "3f2a91c0-5b5e-4f9e-9d55-aa3b8c9a1f10"
    assert View("text").ids([name]) == {name: name}
    monkeypatch.setattr(render, "on_terminal", lambda: True)
    assert View("text").ids([name]) == {name: "3f2a91c0"}


def test_the_short_id_of_a_recording_has_its_camera_and_minute() -> None:
    name = "stage-20261120t115500000000z-8b41e96f04cb7ffb"
    assert render.short_ids([name]) == {name: "stage-20261120t1155"}


def test_short_ids_are_long_enough_to_tell_them_apart() -> None:
    assert render.short_ids(["0123456789a", "0123456789b", "0123456789b"]) == {
        "0123456789a": "0123456789a",
        "0123456789b": "0123456789b",
    }
    assert render.short_ids(["01234567xa", "01234567ya"]) == {
        "01234567xa": "01234567x",
        "01234567ya": "01234567y",
    }


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5.0 TiB")]
)
def test_sizes_are_told_in_binary_units(count: int, text: str) -> None:
    assert render.size(count) == text
