"""`homeward review`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli_services import Homeward, enrolled
from cli_values import ANNA, BEGIN, EXPECTATION, SIGHTING, Refusal, worth, written
from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.cli.__main__ import run
from homeward.cli.review import keyboard

LINE = f"{SIGHTING},confirm,the same scar"
Walk = Callable[..., int]


@pytest.fixture
def walk(monkeypatch: pytest.MonkeyPatch) -> Walk:
    """Reviews with keys that are pressed one after the other."""

    def review(keys: str, *arguments: str) -> int:
        left = iter(keys)
        monkeypatch.setattr(keyboard, "somebody_is_there", lambda: True)
        monkeypatch.setattr(keyboard, "quiet", contextlib.nullcontext)
        monkeypatch.setattr(keyboard, "key", lambda: next(left))
        monkeypatch.setattr(keyboard, "forget_pressed", lambda: None)
        return run(["review", "--pictures", "none", *arguments])

    return review


def reviewed(homeward: Homeward) -> list[Any]:
    kind = sighting_service_pb2.ReviewSightingRequest
    return [one for one in homeward.sightings.requests if isinstance(one, kind)]


def test_a_candidate_is_shown_with_what_it_is_judged_by(
    homeward: Homeward, walk: Walk, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    subject = enrolled(homeward)
    subject.reference_photos.add(photo_id="p1", quality=0.3)
    subject.reference_photos.add(photo_id="p2", quality=0.81)
    sighting = homeward.sightings.sighting
    sighting.photo_id, sighting.face_height_px, sighting.rival_score = "p2", 64, 0.58
    sighting.figures.CopyFrom(worth())
    other = sighting_pb2.Sighting(
        sighting_id=ANNA,
        subject_id=ANNA,
        camera_id="door",
        score=0.55,
        state=sighting_pb2.Sighting.STATE_CONFIRMED,
    )
    other.interval.start_time.FromSeconds(BEGIN.seconds + 90)
    listed = sighting_service_pb2.ListSightingsResponse(sightings=[sighting, other])
    monkeypatch.setattr(homeward.sightings, "ListSightings", lambda *_: listed)

    assert walk("q") == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    text = " ".join(line.strip() for line in lines)
    assert max(map(len, lines)) <= 80
    assert "Anna (MP-1): score 0.612 ?, threshold 0.450" in text
    assert EXPECTATION in text
    assert "Face 64 pixels high in the recording; quality of the reference 0.81 of 1." in text
    assert "LOOK TWICE: somebody else who is enrolled scores 0.580" in text
    assert "c confirm  r reject  i inconclusive" in text
    assert "The search covered 100 % of the 10m00s of footage asked for." in text


def test_a_decision_is_sent_and_the_lease_is_of_who_reviews(
    homeward: Homeward, walk: Walk, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--reviewer", "R. Viewer", "--case", "MP-1", "--camera", "gate")

    assert walk("2cq", *arguments) == 0
    lease = homeward.sightings.requests[0]
    assert (list(lease.case_references), list(lease.camera_ids)) == (["MP-1"], ["gate"])
    assert lease.reviewer == "R. Viewer"
    (sent,) = reviewed(homeward)
    assert (sent.sighting_id, sent.reason, sent.reviewer) == (
        SIGHTING,
        "same scar or mark",
        "R. Viewer",
    )
    out = capsys.readouterr().out
    assert f"Recorded. Sighting {SIGHTING} is confirmed" in out
    assert "Recorded: 1 confirmed." in out


def test_what_is_not_decided_on_is_given_back(homeward: Homeward, walk: Walk) -> None:
    assert walk("q") == 0

    back = homeward.sightings.requests[-1]
    assert isinstance(back, sighting_service_pb2.ReturnSightingsRequest)
    assert list(back.sighting_ids) == [SIGHTING]


def test_reasons_come_from_a_setting(
    homeward: Homeward, walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEWARD_REVIEW_REASONS", "a limp; a tattoo")
    walk("2cq")

    assert [one.reason for one in reviewed(homeward)] == ["a tattoo"]


def test_the_second_of_two_is_told_that_somebody_has_judged(
    homeward: Homeward, walk: Walk, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.sighting.reviews_withheld = True
    walk("q")

    assert "Another person has judged it before you." in capsys.readouterr().out


def test_a_picture_is_written_to_a_file_and_removed(
    homeward: Homeward, walk: Walk, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    assert walk("q", "--pictures", "file") == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if "Picture: " in line]
    path = Path(shown[0].removeprefix("Picture: ").partition(" (")[0])

    assert path.name == f"{SIGHTING}.png"
    assert not path.exists()


def test_it_needs_somebody_at_a_terminal(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["review"]) == 2
    assert "--batch FILE.csv takes decisions from a file" in capsys.readouterr().err
    assert homeward.sightings.requests == []


@pytest.mark.parametrize(
    "arguments", [("--output", "json"), ("--batch", "DECISIONS", "--camera", "gate")]
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    file = written(tmp_path, "decisions.csv", b"sighting,decision\n")

    assert run(["review", *(file if one == "DECISIONS" else one for one in arguments)]) == 2


def test_decisions_come_from_a_file(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "decisions.csv", f"sighting,decision,reason\n{LINE}\n".encode())

    assert run(["review", "--batch", file, "--reviewer", "P. Rogram"]) == 0
    (sent,) = reviewed(homeward)
    assert (sent.decision, sent.reason, sent.reviewer) == (
        sighting_pb2.REVIEW_DECISION_CONFIRM,
        "the same scar",
        "P. Rogram",
    )
    assert capsys.readouterr().out == f"{SIGHTING}\tconfirm\tconfirmed\n"


def test_a_refused_one_of_a_file_is_told_and_makes_another_exit_code(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.reviewed = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, "SIGHTING_LEASED", "somebody has it"
    )
    content = f"sighting,decision,reason\n{LINE}\n{LINE}\n"
    file = written(tmp_path, "decisions.csv", content.encode())

    assert run(["review", "--batch", file, "--output", "json"]) == 10
    (first, second) = json.loads(capsys.readouterr().out)["results"]
    assert first == {
        "line": 2,
        "sighting": SIGHTING,
        "decision": "confirm",
        "error": "somebody has it",
        "reason": "SIGHTING_LEASED",
    }
    assert second["line"] == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"sighting\n", "has no column decision"),
        (b"sighting,decision\n", "has no decisions"),
        (b"sighting,decision\n,confirm\n", "line 2: names no sighting"),
        (b"sighting,decision\nabcdefgh,perhaps\n", "line 2: 'perhaps' is no decision"),
        (b"sighting,decision\nabc\xff,confirm\n", "is not CSV in UTF-8"),
        (b'sighting,decision\n"abc,confirm\n', "is not CSV in UTF-8"),
    ],
)
def test_a_file_with_a_fault_is_refused_before_anything_is_sent(
    homeward: Homeward,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    content: bytes,
    told: str,
) -> None:
    file = written(tmp_path, "decisions.csv", content)

    assert run(["review", "--batch", file]) == 4
    assert told in capsys.readouterr().err
    assert homeward.sightings.requests == []
