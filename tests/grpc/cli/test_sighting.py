"""`homeward sighting`."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from PIL import Image

from cli_services import Homeward, enrolled
from cli_values import (
    ANNA,
    BEGIN,
    CHILD_MEASURED,
    CHILD_WARNING,
    CHILDREN,
    EXPECTATION,
    FOOTAGE,
    IN_VIEW,
    SIGHTING,
    Refusal,
    jpeg,
    opened,
    worth,
    written,
)
from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.cli import picture, times
from homeward.cli.__main__ import run


def test_sightings_are_listed_as_asked(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sighting", "list", "--subject", ANNA, "--state", "unreviewed"]) == 0
    request = homeward.sightings.requests[0]
    assert list(request.subject_ids) == [ANNA]
    assert list(request.states) == [sighting_pb2.Sighting.STATE_UNREVIEWED]
    assert "\t0.612\t0.450\tunreviewed\t" in capsys.readouterr().out


def lose(homeward: Homeward) -> None:
    homeward.sightings.gone = True
    homeward.sightings.lost.sightings.add(
        sighting_id=SIGHTING,
        subject_id=ANNA,
        footage_id=FOOTAGE,
        start_offset=Duration(seconds=70),
        end_offset=Duration(seconds=74),
        confirmed=True,
    )
    homeward.sightings.lost.sighting_count = 3


def test_a_list_from_which_sightings_are_lost_says_so_and_where_to_search_again(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(homeward)
    homeward.sightings.lost.confirmed_still_count = 2

    assert run(["sighting", "list"]) == 0

    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("No sightings are held. WARNING: this list is not complete.")
    assert "that the store has lost: 3." in told
    assert f"{SIGHTING} {ANNA} {FOOTAGE}" in told
    assert "1:10" in told
    assert "Of these, 1 are named" in told
    assert "`homeward search --subject ID --footage ID`" in told
    assert "whose sightings are not in the store any more: 2." in told


def test_a_list_from_which_nothing_is_lost_says_nothing_of_it(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.gone = True

    assert run(["sighting", "list"]) == 0
    assert capsys.readouterr().out == "No sightings.\n"


def test_losses_are_in_the_json_of_a_list(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(homeward)

    assert run(["sighting", "list", "--output", "json"]) == 0

    lost = json.loads(capsys.readouterr().out)["lost"]
    assert (lost["sightingCount"], lost["sightings"][0]["footageId"]) == (3, FOOTAGE)


def test_a_sighting_that_is_lost_is_not_said_to_have_been_rejected(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(homeward)

    assert run(["sighting", "show", SIGHTING]) == 5

    told = " ".join(capsys.readouterr().err.split())
    assert f"sighting {SIGHTING} was recorded, and the store has lost it" in told
    assert f"with {ANNA} and {FOOTAGE}" in told


def rejection(**changes: Any) -> sighting_pb2.Rejection:
    values = {
        "sighting_id": SIGHTING,
        "subject_id": ANNA,
        "footage_id": FOOTAGE,
        "start_offset": Duration(seconds=10),
        "end_offset": Duration(seconds=14),
        "interval": IN_VIEW,
        "reviewer": "R. Viewer",
        "review_time": BEGIN,
    }
    return sighting_pb2.Rejection(**values | changes)


def test_rejections_are_listed_with_who_and_when_and_how_to_look_again(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.rejections.append(rejection())
    assert run(["sighting", "list", "--rejected", "--subject", ANNA]) == 0
    (request,) = homeward.sightings.requests
    assert list(request.subject_ids) == [ANNA]
    told = capsys.readouterr().out
    assert f"{ANNA}\t{FOOTAGE}\t0:00:10.0 to 0:00:14.0" in told
    assert "R. Viewer\t2026-11-20 10:00:00 UTC" in told
    assert "homeward search --include-rejected --subject ID" in told
    assert "A candidate is a lead" not in told


@pytest.mark.parametrize("given", [SIGHTING, SIGHTING[:8]], ids=["whole", "short"])
@pytest.mark.parametrize(
    "words",
    [("show",), ("review", "--confirm"), ("export", "--save", "never-made")],
    ids=lambda words: words[0],
)
def test_a_sighting_that_was_rejected_is_told_as_that(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], given: str, words: tuple[str, ...]
) -> None:
    homeward.sightings.gone = True
    homeward.sightings.rejections.append(rejection())
    assert run(["sighting", words[0], given, *words[1:]]) == 5
    told = capsys.readouterr().err
    assert told.startswith(
        f"error: sighting {SIGHTING} was rejected by R. Viewer at 2026-11-20 10:00:00 UTC,"
        " and erased\n"
    )
    assert "`homeward sighting list --rejected` shows where it was" in told


@pytest.mark.parametrize("given", [SIGHTING, SIGHTING[:8]], ids=["whole", "short"])
def test_a_sighting_of_which_nothing_is_remembered_is_not_told_as_rejected(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    homeward.sightings.gone = True
    homeward.sightings.rejections.append(rejection(sighting_id=ANNA))
    assert run(["sighting", "show", given]) == 5
    assert "was rejected" not in capsys.readouterr().err


def test_a_rejection_by_an_earlier_version_is_told_without_who_and_when(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.gone = True
    homeward.sightings.rejections.append(rejection(reviewer="", review_time=None))
    assert run(["sighting", "show", SIGHTING]) == 5
    assert f"error: sighting {SIGHTING} was rejected, and erased\n" in capsys.readouterr().err


def test_rejections_of_an_earlier_version_say_what_was_not_kept(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.rejections.append(rejection(interval=None, reviewer="", review_time=None))
    assert run(["sighting", "list", "--rejected"]) == 0
    assert capsys.readouterr().out.count("not kept") == 4


@pytest.mark.parametrize(
    ("window", "count"),
    [
        (("--from", "2026-11-20T09:00:00Z"), 1),
        (("--to", "2026-11-20T10:00:00Z"), 0),
        (("--from", "2026-11-21T09:00:00Z"), 0),
    ],
)
def test_rejections_are_listed_by_true_time(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], window: tuple[str, str], count: int
) -> None:
    homeward.sightings.rejections.append(rejection())
    assert run(["sighting", "list", "--rejected", *window, "--output", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rejections"]) == count


def test_rejections_have_no_state_to_ask_for(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sighting", "list", "--rejected", "--state", "confirmed"]) == 2
    assert "leave --state and --camera out" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("list",), ("show", SIGHTING)])
def test_a_sighting_tells_what_its_threshold_is_worth(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    homeward.sightings.sighting.figures.CopyFrom(worth())
    assert run(["sighting", *words]) == 0
    assert EXPECTATION in capsys.readouterr().out


def test_a_sighting_says_when_its_cameras_clock_was_corrected_since(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.sighting.clock_offset.CopyFrom(Duration())
    homeward.cameras.clock_offset = Duration(seconds=180)
    assert run(["sighting", "show", SIGHTING]) == 0
    told = capsys.readouterr().out
    assert "0.0s ahead. Since then that was corrected to 3m00s" in told


def test_a_sighting_tells_what_was_taken_off_its_cameras_clock(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.sighting.clock_offset.CopyFrom(Duration(seconds=180))
    homeward.cameras.clock_offset = Duration(seconds=180)
    assert run(["sighting", "show", SIGHTING]) == 0
    told = capsys.readouterr().out
    assert "taken to be ahead by 3m00s\n" in told
    assert "WARNING" not in told


def test_a_sighting_that_nobody_answers_for_says_so(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.sighting.figures.CopyFrom(worth(approved=False))
    assert run(["sighting", "show", SIGHTING]) == 0
    told = capsys.readouterr().out
    assert "0.450 (yunet-sface/1, NOT approved)" in told
    assert "EVALUATION ONLY: policy yunet-sface/1 had not been approved by anybody" in told


@pytest.mark.parametrize("words", [("list",), ("show", SIGHTING)])
def test_a_sighting_that_is_like_somebody_else_too_is_marked(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    homeward.sightings.sighting.rival_score = homeward.sightings.sighting.score - 0.02
    assert run(["sighting", *words]) == 0
    assert "? The score of another enrolled person is close" in capsys.readouterr().out


@pytest.mark.parametrize(("uncertain", "marks"), [(True, 1), (False, 0), (None, 0)])
@pytest.mark.parametrize(("words", "times"), [(("list",), 1), (("show", SIGHTING), 3)])
def test_a_sighting_whose_time_is_uncertain_is_marked_as_a_candidate_is(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    times: int,
    *,
    uncertain: bool | None,
    marks: int,
) -> None:
    homeward.sightings.sighting.MergeFrom(sighting_pb2.Sighting(time_uncertain=uncertain))
    assert run(["sighting", *words]) == 0
    told = capsys.readouterr().out
    assert told.count("UTC*") == marks * times
    assert told.count("* This time is uncertain: the recorder's clock was changed") == marks


@pytest.mark.parametrize(("uncertain", "unknown"), [(True, 0), (False, 0), (None, 1)])
def test_a_sighting_of_an_earlier_version_tells_that_nobody_knows_whether_its_times_are_certain(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    *,
    uncertain: bool | None,
    unknown: int,
) -> None:
    homeward.sightings.sighting.MergeFrom(sighting_pb2.Sighting(time_uncertain=uncertain))
    assert run(["sighting", "show", SIGHTING]) == 0
    told = capsys.readouterr().out
    assert told.count("did not tell whether they are certain") == unknown


@pytest.mark.parametrize("uncertain", [True, False])
@pytest.mark.parametrize("words", [("list",), ("show", SIGHTING)])
def test_a_sighting_as_json_tells_whether_its_time_is_uncertain(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    *,
    uncertain: bool,
) -> None:
    homeward.sightings.sighting.time_uncertain = uncertain
    assert run(["sighting", *words, "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (told,) = document.get("sightings") or [document["sighting"]]
    assert told["timeUncertain"] is uncertain


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[picture.Sheet]:
    """What is drawn."""
    drawn: list[picture.Sheet] = []

    def draw(sheet: picture.Sheet) -> Image.Image:
        drawn.append(sheet)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(picture, "drawn", draw)
    return drawn


def saved(tmp_path: Path) -> None:
    assert run(["sighting", "show", SIGHTING, "--save", str(tmp_path / "lead.png")]) == 0


@pytest.mark.parametrize(("uncertain", "lines"), [(True, 1), (False, 0)])
def test_a_saved_picture_says_that_its_time_is_uncertain(
    homeward: Homeward,
    tmp_path: Path,
    sheets: list[picture.Sheet],
    *,
    uncertain: bool,
    lines: int,
) -> None:
    enrolled(homeward)
    homeward.sightings.sighting.time_uncertain = uncertain

    saved(tmp_path)

    (sheet,) = sheets
    assert list(sheet.about).count("Time uncertain: clock set, or a long pause") == lines


def test_a_saved_picture_has_all_stills_and_says_what_each_is(
    homeward: Homeward, tmp_path: Path, sheets: list[picture.Sheet]
) -> None:
    enrolled(homeward)
    sighting = homeward.sightings.sighting
    sighting.best_shot_offset.FromSeconds(75)
    sighting.stills.add(face_height_px=30, time=BEGIN).offset.FromSeconds(74)
    sighting.stills.add(face_height_px=64, time=BEGIN, score=0.61).offset.FromSeconds(75)
    homeward.sightings.stills = [jpeg(60, 60), jpeg(300, 300)]

    saved(tmp_path)

    first, second = sheets[0].stills
    assert (first.face_height_px, first.best, second.best) == (30, False, True)
    assert list(first.lines) == [
        times.shown(BEGIN),
        "In the file at 0:01:14.0",
        "Score below the threshold",
    ]
    assert list(second.lines)[1:] == ["In the file at 0:01:15.0", "Score 0.610"]


def test_a_saved_picture_says_each_time_once_by_the_local_clock(
    homeward: Homeward, tmp_path: Path, sheets: list[picture.Sheet]
) -> None:
    enrolled(homeward)

    saved(tmp_path)

    (sheet,) = sheets
    (still,) = sheet.stills
    start, end = homeward.sightings.sighting.interval.start_time, IN_VIEW.end_time
    assert list(still.lines) == [times.shown(BEGIN)]
    assert f"In view from {times.shown(start)} to {times.shown(end)}" in sheet.about
    assert "UTC" not in " ".join(still.lines).replace(times.shown(BEGIN), "")


def test_a_saved_picture_has_all_photographs_and_says_which_is_most_alike(
    homeward: Homeward, tmp_path: Path, sheets: list[picture.Sheet]
) -> None:
    enrolled(homeward)
    photos = homeward.subjects.held[ANNA].reference_photos
    del photos[:]
    for name in ("first", "second", "third"):
        photos.add(photo_id=name)
    homeward.subjects.images = {"first": jpeg(30, 40)}
    homeward.sightings.sighting.photo_id = "second"

    saved(tmp_path)

    told = [(list(one.lines), one.best, bool(one.image)) for one in sheets[0].references]
    assert told == [
        (["Photograph 2 of 3", "Most alike"], True, True),
        (["Photograph 1 of 3"], False, True),
        (["Photograph 3 of 3"], False, False),
    ]


@pytest.mark.parametrize(
    ("rival", "told"), [(None, "no other enrolled person comes close"), (0.41, "0.410")]
)
def test_a_saved_picture_says_how_alike_somebody_else_is(
    homeward: Homeward,
    tmp_path: Path,
    sheets: list[picture.Sheet],
    rival: float | None,
    told: str,
) -> None:
    enrolled(homeward)
    if rival is not None:
        homeward.sightings.sighting.rival_score = rival

    saved(tmp_path)

    line = "Score of another person: "
    assert any(note.startswith(line + told) for note in sheets[0].notes)


@pytest.mark.parametrize("words", [("list",), ("show", SIGHTING)])
def test_a_sighting_of_a_child_says_that_children_were_not_measured(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    enrolled(homeward, child=True)
    homeward.sightings.sighting.figures.CopyFrom(worth())
    assert run(["sighting", *words]) == 0
    assert CHILD_WARNING in capsys.readouterr().out
    assert run(["sighting", *words, "--output", "json"]) == 0
    (caveat,) = json.loads(capsys.readouterr().out)["caveats"]
    assert caveat.startswith(CHILD_WARNING)


def test_a_sighting_of_a_child_by_a_policy_of_children_has_no_warning(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    homeward.sightings.sighting.figures.CopyFrom(worth(ages=[CHILDREN]))
    assert run(["sighting", "list"]) == 0
    told = capsys.readouterr().out
    assert "WARNING" not in told
    assert "\tchild\t" not in told
    assert CHILD_MEASURED in told


def test_sightings_of_many_subjects_are_told_of_whom_as_well(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.more = [f"{number:036}" for number in range(11)]
    for name in homeward.sightings.more:
        enrolled(homeward, name, child=True).label = f"Child {int(name)}"
    assert run(["sighting", "list", "--output", "json"]) == 0
    (caveat,) = json.loads(capsys.readouterr().out)["caveats"]
    assert "Child 4 and 6 more." in caveat


def test_a_sighting_whose_subject_cannot_be_read_is_told_all_the_same(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.failures = [Refusal(grpc.StatusCode.INTERNAL, message="broken")]
    assert run(["sighting", "list"]) == 0
    told = capsys.readouterr()
    assert SIGHTING in told.out
    assert "who is a child is left out: matching at" in told.err


def test_a_picture_of_a_child_carries_the_warning(homeward: Homeward, tmp_path: Path) -> None:
    paths = [tmp_path / "adult.png", tmp_path / "child.png"]
    enrolled(homeward)
    assert run(["sighting", "show", SIGHTING, "--save", str(paths[0])]) == 0
    enrolled(homeward, child=True)
    assert run(["sighting", "show", SIGHTING, "--save", str(paths[1])]) == 0
    adult, child = map(opened, paths)
    assert child.height > adult.height  # by its lines


def test_a_sighting_is_shown_without_reading_its_pictures(homeward: Homeward) -> None:
    assert run(["sighting", "show", SIGHTING]) == 0
    assert homeward.sightings.requests[0].view == sighting_service_pb2.SIGHTING_VIEW_BASIC


def test_a_sighting_whose_still_is_gone_says_so_and_writes_no_picture(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.still = b""
    homeward.sightings.sighting.still_gone = True
    path = tmp_path / "lead.png"

    assert run(["sighting", "show", SIGHTING, "--save", str(path)]) == 5
    refused = capsys.readouterr().err
    assert run(["sighting", "show", SIGHTING]) == 0
    shown = capsys.readouterr().out
    assert run(["sighting", "list"]) == 0

    assert f"the still of sighting {SIGHTING} is gone" in refused
    assert not path.exists()
    assert "gone: the object store does not have it any more" in shown
    assert "still gone" in capsys.readouterr().out


def test_a_sighting_whose_reference_photograph_is_gone_writes_no_picture(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.reference = b""

    assert run(["sighting", "show", SIGHTING, "--save", str(tmp_path / "lead.png")]) == 5

    assert "the reference photograph of sighting" in capsys.readouterr().err


def test_a_sighting_is_saved_as_a_picture(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    assert run(["sighting", "show", SIGHTING[:8], "--save", str(tmp_path / "lead.png")]) == 0
    assert opened(tmp_path / "lead.png").width > 800
    assert f"Picture: {tmp_path / 'lead.png'}" in capsys.readouterr().out


def test_a_picture_that_is_there_is_not_overwritten_unless_asked(
    homeward: Homeward, tmp_path: Path
) -> None:
    enrolled(homeward)
    path = written(tmp_path, "lead.png", b"old")
    assert run(["sighting", "show", SIGHTING, "--save", path]) == 4
    assert homeward.sightings.requests == []
    assert run(["sighting", "show", SIGHTING, "--save", path, "--force"]) == 0
    assert Path(path).read_bytes().startswith(b"\x89PNG")


def test_a_picture_is_a_png(homeward: Homeward) -> None:
    assert run(["sighting", "show", SIGHTING, "--save", "lead.jpg"]) == 2


def test_a_review_says_who_decided_and_why(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--reason", "scar", "--reviewer", "Jo")
    assert run(["sighting", "review", SIGHTING, "--confirm", *words]) == 0
    request = homeward.sightings.requests[0]
    assert request.decision == sighting_pb2.REVIEW_DECISION_CONFIRM
    assert (request.reason, request.reviewer) == ("scar", "Jo")
    assert f"Sighting {SIGHTING} is confirmed." in capsys.readouterr().out


YES_FROM_ANNE = sighting_pb2.Review(
    decision=sighting_pb2.REVIEW_DECISION_CONFIRM,
    reason="the scar",
    reviewer="Anne",
    review_time=BEGIN,
)
NO_FROM_BOB = sighting_pb2.Review(
    decision=sighting_pb2.REVIEW_DECISION_REJECT, reviewer="Bob", review_time=BEGIN
)


def half_confirmed(*more: sighting_pb2.Review) -> sighting_pb2.Sighting:
    return sighting_pb2.Sighting(
        state=sighting_pb2.Sighting.STATE_AWAITING_SECOND,
        review=YES_FROM_ANNE,
        reviews=[YES_FROM_ANNE, *more],
        requesters=["Asker"],
        awaited_review=sighting_pb2.AwaitedReview(
            confirmation_count=1, excluded_reviewers=["Anne", *(one.reviewer for one in more)]
        ),
    )


@pytest.mark.parametrize(
    ("words", "more", "told"),
    [
        (
            ("--confirm",),
            (),
            ("and not yet confirmed for good.", "one person other than Anne."),
        ),
        (
            ("--reject", "--yes"),
            (NO_FROM_BOB,),
            ("so that nothing is erased.", "one person other than Anne, Bob."),
        ),
    ],
)
def test_a_review_that_is_not_the_last_one_says_who_is_awaited(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    more: tuple[sighting_pb2.Review, ...],
    told: tuple[str, str],
) -> None:
    homeward.sightings.reviewed = half_confirmed(*more)
    assert run(["sighting", "review", SIGHTING, *words]) == 0
    what, who = told
    said = capsys.readouterr().out
    assert f"is confirmed by Anne, {what}" in said
    assert f"It awaits the decision of {who}" in said


def test_a_half_confirmed_sighting_is_listed_and_shown_as_such(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.sighting.MergeFrom(half_confirmed(NO_FROM_BOB))
    assert run(["sighting", "list", "--state", "awaiting-second"]) == 0
    assert list(homeward.sightings.requests[0].states) == [
        sighting_pb2.Sighting.STATE_AWAITING_SECOND
    ]
    assert run(["sighting", "show", SIGHTING]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "awaiting second" in told
    assert "confirmed by: Anne, 2026-11-20 10:00:00 UTC: the scar" in told
    assert "rejected by: Bob, 2026-11-20 10:00:00 UTC" in told
    assert "awaited: one person other than Anne, Bob" in told
    assert "asked for by: Asker" in told


def test_a_sighting_in_a_state_of_a_newer_homeward_is_listed(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.sighting.MergeFromString(b"\x90\x01\x63")  # state = 99
    assert run(["sighting", "list"]) == 0
    assert "a newer Homeward knows (99)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "reason", ["REVIEWER_DECIDED_BEFORE", "REVIEWER_IS_REQUESTER"], ids=str.lower
)
def test_who_may_not_confirm_is_told_that_a_colleague_must(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    homeward.sightings.reviewed = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, reason, "no", {"sighting_id": SIGHTING}
    )
    assert run(["sighting", "review", SIGHTING, "--confirm"]) == 7
    told = capsys.readouterr().err
    assert "have a colleague decide" in told
    assert f"`homeward sighting show {SIGHTING}`" in told


@pytest.mark.parametrize("words", [(), ("--confirm", "--reject")])
def test_a_review_needs_one_decision(homeward: Homeward, words: tuple[str, ...]) -> None:
    assert run(["sighting", "review", SIGHTING, *words]) == 2
    assert homeward.sightings.requests == []


def test_a_rejection_is_asked_about_first(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["sighting", "review", SIGHTING, "--reject"]) == 130
    assert homeward.sightings.requests == []
