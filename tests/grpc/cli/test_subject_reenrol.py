"""`homeward subject reenrol`."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from cli_services import Homeward, enrolled
from cli_values import ANNA, LOST, Refusal
from homeward.api.matching.v1 import subject_service_pb2
from homeward.cli.__main__ import run

Reenrolled = subject_service_pb2.ReenrolSubjectsResponse


def reenrolled(stage: int, done: int = 0, total: int = 0, **told: Any) -> Reenrolled:
    return Reenrolled(
        stage=stage,
        model_name="new-pack",
        model_digest="b" * 64,
        done_photo_count=done,
        total_photo_count=total,
        **told,
    )


def unusable(photo_id: str, *problems: str) -> subject_service_pb2.UnusablePhoto:
    return subject_service_pb2.UnusablePhoto(subject_id=ANNA, photo_id=photo_id, problems=problems)


REENROL = ("subject", "reenrol", "--model", "new-pack")


def test_a_reenrolment_that_breaks_off_is_gone_on_with(
    homeward: Homeward, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.reenrolments = [
        [reenrolled(Reenrolled.STAGE_EMBEDDING, 8, 20), LOST],
        [LOST],
        [
            reenrolled(Reenrolled.STAGE_WAITING),
            reenrolled(Reenrolled.STAGE_EMBEDDING, 20, 20),
            reenrolled(Reenrolled.STAGE_MOVING_SIGHTINGS),
            reenrolled(Reenrolled.STAGE_DONE),
        ],
    ]

    assert run([*REENROL, "--accept-lost"]) == 0

    assert [(each.model, each.accept_lost) for each in homeward.subjects.requests] == [
        ("new-pack", True)
    ] * 3
    assert pauses == [1, 2]
    assert "The gallery is of new-pack (bbbbbbbbbbbb) now." in capsys.readouterr().out


def test_photographs_that_a_pack_cannot_use_are_listed_once_with_the_reason(
    homeward: Homeward, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    told = reenrolled(
        Reenrolled.STAGE_EMBEDDING, 2, 2, unusable_photos=[unusable("photo-1", "TOO_SMALL")]
    )
    homeward.subjects.reenrolments = [[told, LOST], [told, reenrolled(Reenrolled.STAGE_DONE)]]

    assert run(REENROL) == 10

    assert pauses == [1]
    printed = capsys.readouterr().out
    assert printed.count("photo-1") == 1
    assert "the face is too small" in printed


def test_who_would_be_lost_is_named_and_nothing_is_done(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    homeward.subjects.reenrolments = [
        [
            reenrolled(Reenrolled.STAGE_EMBEDDING, 2, 2, lost_subject_ids=[ANNA]),
            Refusal(grpc.StatusCode.FAILED_PRECONDITION, "SUBJECTS_LOST", "one would be lost"),
        ]
    ]

    assert run(REENROL) == 7

    printed = capsys.readouterr()
    assert ANNA in printed.out
    assert "MP-1" in printed.out
    assert "is of new-pack" not in printed.out
    assert "with --accept-lost the same command goes on" in printed.err


def test_a_reenrolment_prints_one_document(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.reenrolments = [
        [
            reenrolled(
                Reenrolled.STAGE_EMBEDDING, 2, 2, unusable_photos=[unusable("p", "BLURRED")]
            ),
            reenrolled(Reenrolled.STAGE_DONE, lost_subject_ids=[ANNA]),
        ]
    ]

    assert run([*REENROL, "--output", "json"]) == 10

    document = json.loads(capsys.readouterr().out)
    assert document["reenrolment"]["stage"] == "STAGE_DONE"
    assert document["reenrolment"]["lostSubjectIds"] == [ANNA]
    assert document["unusablePhotos"] == [
        {"subjectId": ANNA, "photoId": "p", "problems": ["BLURRED"]}
    ]
