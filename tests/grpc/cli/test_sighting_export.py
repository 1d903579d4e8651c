"""`homeward sighting export`."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from cli_services import Homeward, enrolled
from cli_values import ANNA, CHILD_WARNING, FOOTAGE, SIGHTING, Refusal, opened, worth, written
from homeward.api.common.v1.policy_pb2 import PolicyFigures
from homeward.api.matching.v1 import sighting_pb2
from homeward.cli.__main__ import run


def to_be_exported(homeward: Homeward, *, child: bool = False) -> sighting_pb2.Sighting:
    """Return the sighting, confirmed and found by a policy that somebody answers for."""
    enrolled(homeward, child=child)
    sighting = homeward.sightings.sighting
    sighting.state = sighting_pb2.Sighting.STATE_CONFIRMED
    sighting.figures.CopyFrom(worth())
    return sighting


@pytest.mark.parametrize(("uncertain", "marks"), [(True, 1), (False, 0)])
def test_an_export_tells_whether_its_time_is_uncertain(
    homeward: Homeward,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    uncertain: bool,
    marks: int,
) -> None:
    to_be_exported(homeward).time_uncertain = uncertain
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["sighting"]["timeUncertain"] is uncertain
    assert capsys.readouterr().out.count("* This time is uncertain") == marks


def test_an_export_of_a_child_carries_the_warning(homeward: Homeward, tmp_path: Path) -> None:
    to_be_exported(homeward, child=True)
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["caveats"][0].startswith(CHILD_WARNING)


def test_an_export_names_all_who_confirmed(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews = [
        sighting_pb2.Review(decision=decision, reviewer=name)
        for name, decision in [
            ("Anne", sighting_pb2.REVIEW_DECISION_CONFIRM),
            ("Bob", sighting_pb2.REVIEW_DECISION_REJECT),
            ("Cat", sighting_pb2.REVIEW_DECISION_CONFIRM),
        ]
    ]
    to_be_exported(homeward).reviews.extend(reviews)
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["confirmedBy"] == ["Anne", "Cat"]
    assert [one["reviewer"] for one in facts["sighting"]["reviews"]] == ["Anne", "Bob", "Cat"]
    assert "Confirmed by: Anne, Cat" in capsys.readouterr().out


def test_only_a_confirmed_sighting_is_exported(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_be_exported(homeward).state = sighting_pb2.Sighting.STATE_UNREVIEWED
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 7
    assert "sighting review ID --confirm" in capsys.readouterr().err
    to_be_exported(homeward)
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["sighting"]["subjectId"] == ANNA
    assert facts["exportTime"] == "2026-11-20T10:00:00Z"
    assert opened(tmp_path / facts["still"]).size == (640, 360)


@pytest.mark.parametrize(
    ("mark", "words"), [("", ()), ("", ("--unapproved",)), ("EVALUATION-", ("--unapproved",))]
)
def test_an_export_that_would_overwrite_is_refused_before_it_is_on_record(
    homeward: Homeward, tmp_path: Path, mark: str, words: tuple[str, ...]
) -> None:
    written(tmp_path, f"{mark}sighting-{SIGHTING}.jpg", b"old")
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path), *words]) == 4
    assert homeward.sightings.requests == []


def test_an_export_carries_what_it_takes_to_weigh_it_and_find_it_again(
    homeward: Homeward, tmp_path: Path
) -> None:
    sighting = to_be_exported(homeward)
    sighting.footage_id, sighting.footage_sha256 = FOOTAGE, "5b" * 32
    sighting.clock_offset.FromTimedelta(timedelta(seconds=-90))
    sighting.best_shot_offset.FromTimedelta(timedelta(seconds=42))
    sighting.face_height_px = 63.6

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0

    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    still = (tmp_path / facts["still"]).read_bytes()
    assert facts["subject"] == {"subjectId": ANNA, "caseReference": "MP-1", "label": "Anna"}
    assert facts["camera"] == {
        "cameraId": "gate",
        "place": "North gate",
        "clockOffset": "-90s",
        "clockOffsetSource": "",
    }
    assert facts["recording"] == {
        "footageId": FOOTAGE,
        "sha256": "5b" * 32,
        "bestShotOffset": "42s",
    }
    assert facts["policy"]["state"] == "approved"
    assert facts["faceHeightPx"] == 64
    assert facts["stillSha256"] == hashlib.sha256(still).hexdigest()
    assert "notice" not in facts


def test_an_export_of_what_an_earlier_version_found_tells_what_is_still_known(
    homeward: Homeward, tmp_path: Path
) -> None:
    to_be_exported(homeward).footage_id = FOOTAGE
    homeward.footage.sha256 = "5b" * 32

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0

    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["recording"]["sha256"] == "5b" * 32
    assert facts["camera"]["clockOffset"] is None


def test_an_export_says_so_when_nobody_knows_the_digest_any_more(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_be_exported(homeward).footage_id = FOOTAGE
    homeward.footage.refusals["GetFootage"] = Refusal(
        grpc.StatusCode.NOT_FOUND, "FOOTAGE_NOT_FOUND"
    )

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0

    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["recording"]["sha256"] is None
    assert "the recording's digest is left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("figures", "state"),
    [
        (worth(approved=False), "NOT APPROVED: found in evaluation mode; do not act on it"),
        (None, "unknown: an earlier version of Homeward found it, and did not tell; do not act on"),
    ],
)
def test_what_nobody_answers_for_is_exported_only_if_asked_for_and_marked(
    homeward: Homeward,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    figures: PolicyFigures | None,
    state: str,
) -> None:
    sighting = to_be_exported(homeward)
    sighting.ClearField("figures")
    if figures is not None:
        sighting.figures.CopyFrom(figures)

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 7
    assert "--unapproved" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path), "--unapproved"]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"EVALUATION-sighting-{SIGHTING}.{kind}" for kind in ("jpg", "json")]
    facts = json.loads((tmp_path / names[1]).read_text())
    assert next(iter(facts)) == "notice"
    assert state in facts["notice"]
    assert facts["policy"]["state"].startswith(state)
    assert facts["notice"] in capsys.readouterr().out
