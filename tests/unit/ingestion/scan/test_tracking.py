from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from homeward.ingestion.scan.faces import Box, Face
from homeward.ingestion.scan.tracking import (
    ALIKE,
    LOST_AFTER,
    MAX_ALIKE_JUMP,
    MAX_JUMP,
    MAX_LENGTH,
    MAX_SCALE,
    Patch,
    Tracker,
    is_cut,
)

STEP = timedelta(seconds=0.2)


def looks(grey: float) -> Patch:
    return np.full((8, 6), grey, np.float32)


SAME = looks(100)


def follow(
    tracker: Tracker[str],
    pictures: Sequence[Sequence[Face]],
    patches: Sequence[Sequence[Patch]] | None = None,
) -> list[list[str]]:
    """Run a tracker; what it kept of a new face is its picture and place in it.

    Without patches, all look the same.
    """
    names = []
    for number, faces in enumerate(pictures):
        at = number * STEP
        seen = patches[number] if patches else [SAME for _ in faces]
        tracks = [
            track or tracker.begin(at, face.box, patch, f"{number}.{place}")
            for place, (face, patch, track) in enumerate(
                zip(faces, seen, tracker.assign(at, faces, seen), strict=True)
            )
        ]
        names.append([track.kept for track in tracks])
    return names


def test_a_walker_who_moves_more_than_a_face_width_per_picture_is_one_track(make: Any) -> None:
    walk = [[make.face(x=100 + 50 * step, width=40)] for step in range(8)]

    assert follow(Tracker(), walk) == [["0.0"]] * 8


def test_a_face_that_appears_further_away_than_anybody_walks_is_somebody_else(make: Any) -> None:
    jump = [[make.face(x=100, width=40)], [make.face(x=400, width=40)]]

    assert follow(Tracker(), jump) == [["0.0"], ["1.0"]]


@pytest.mark.parametrize(
    ("sizes", "difference", "same"),
    [
        (MAX_JUMP - 0.01, 100, True),
        (MAX_JUMP + 0.01, ALIKE + 0.1, False),
        (MAX_JUMP + 0.01, ALIKE, True),
        (MAX_ALIKE_JUMP - 0.01, ALIKE, True),
        (MAX_ALIKE_JUMP + 0.01, 0, False),
    ],
)
def test_how_far_a_face_may_jump_grows_with_it_and_with_how_it_looks(
    make: Any, sizes: float, difference: float, *, same: bool
) -> None:
    diagonal = float(np.hypot(80, 100))
    faces = [[make.face(x=0, width=80)], [make.face(x=sizes * diagonal, width=80)]]

    names = follow(Tracker(), faces, [[looks(50)], [looks(50 + difference)]])

    assert (names[0] == names[1]) is same


def test_who_walks_behind_somebody_does_not_take_over_their_track(make: Any) -> None:
    """Each moves by two sizes of a face, to just beside where the other one was."""
    walk = [
        [make.face(x=100 + 130 * step), make.face(x=100 + 130 * (step - 1) - 20)]
        for step in range(6)
    ]

    names = follow(Tracker(), walk, [[looks(60), looks(90)]] * 6)

    assert names == [["0.0", "0.1"]] * 6


def test_a_track_looks_as_it_did_lately(make: Any) -> None:
    tracker: Tracker[str] = Tracker()

    follow(tracker, [[make.face()]] * 3, [[looks(40)], [looks(60)], [looks(100)]])

    (track,) = tracker.open
    np.testing.assert_allclose(track.patch, looks(75))


@pytest.mark.parametrize(
    ("factor", "same"),
    [
        (MAX_SCALE - 0.01, True),
        (MAX_SCALE + 0.01, False),
        (1 / (MAX_SCALE - 0.01), True),
        (1 / (MAX_SCALE + 0.01), False),
    ],
)
def test_a_face_that_changes_size_too_much_is_somebody_else(
    make: Any, factor: float, *, same: bool
) -> None:
    names = follow(Tracker(), [[make.face(width=40)], [make.face(width=40 * factor)]])

    assert (names[0] == names[1]) is same


def test_two_walkers_who_cross_keep_their_tracks(make: Any) -> None:
    crossing = [
        [make.face(x=100 + 30 * step, y=100), make.face(x=400 - 30 * step, y=110)]
        for step in range(11)
    ]

    assert follow(Tracker(), crossing) == [["0.0", "0.1"]] * 11


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_of_faces_does_not_matter(make: Any, order: tuple[int, ...]) -> None:
    before = [make.face(x=100), make.face(x=150), make.face(x=200)]
    after = [make.face(x=110), make.face(x=160), make.face(x=210)]

    names = follow(Tracker(), [before, [after[place] for place in order]])

    assert names[1] == [f"0.{place}" for place in order]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_of_tracks_does_not_matter(make: Any, order: tuple[int, ...]) -> None:
    before = [make.face(x=100), make.face(x=150), make.face(x=200)]
    after = [make.face(x=160)]

    names = follow(Tracker(), [[before[place] for place in order], after])

    assert names[1] == [f"0.{order.index(1)}"]


def test_a_face_continues_one_track_only(make: Any) -> None:
    names = follow(Tracker(), [[make.face(x=100)], [make.face(x=105), make.face(x=110)]])

    assert names[1] == ["0.0", "1.1"]


def test_a_walker_hidden_for_a_moment_goes_on_where_they_would_be(make: Any) -> None:
    seen = [[make.face(x=100 + 40 * step)] for step in range(3)]
    hidden: list[list[Face]] = [[], []]

    names = follow(Tracker(), [*seen, *hidden, [make.face(x=100 + 40 * 5)]])

    assert names[-1] == ["0.0"]


@pytest.mark.parametrize(
    ("after", "lost"),
    [(LOST_AFTER, False), (LOST_AFTER + timedelta(milliseconds=1), True)],
)
def test_a_track_ends_when_it_was_not_seen_for_long(after: timedelta, *, lost: bool) -> None:
    tracker: Tracker[str] = Tracker()
    track = tracker.begin(STEP, Box(0, 0, 40, 50), SAME, "kept")

    assert tracker.ended(STEP + after) == [track] * lost
    assert tracker.open == [track] * (not lost)


def test_an_ended_track_is_not_continued(make: Any) -> None:
    tracker: Tracker[str] = Tracker()
    tracker.begin(timedelta(), make.face().box, SAME, "kept")
    later = LOST_AFTER * 2
    tracker.ended(later)

    assert tracker.assign(later, [make.face()], [SAME]) == [None]


def test_finishing_ends_every_track() -> None:
    tracker: Tracker[str] = Tracker()
    tracks = [tracker.begin(STEP, Box(x, 0, 40, 50), SAME, "kept") for x in (0, 500)]

    assert tracker.finish() == tracks
    assert tracker.open == []


def test_a_track_knows_when_it_was_first_and_last_seen(make: Any) -> None:
    tracker: Tracker[str] = Tracker()

    follow(tracker, [[make.face(x=100 + 10 * step)] for step in range(4)])

    (track,) = tracker.open
    assert (track.start, track.end, track.sights) == (timedelta(), 3 * STEP, 4)


def scene(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (18, 32)).astype(np.float32)


FLAT = np.full((18, 32), 90, np.float32)


@pytest.mark.parametrize(
    ("before", "after", "cut"),
    [
        (scene(1), scene(1), False),
        (scene(1), scene(2), True),
        (scene(1), 255 - scene(1), True),
        (scene(1), scene(1) * 0.4 + 20, False),
        (scene(1), np.roll(scene(1), 1, axis=0) * 0.4 + scene(1) * 0.6, False),
        (FLAT, scene(1), False),
        (scene(1), FLAT, False),
        (FLAT, FLAT, False),
    ],
    ids=[
        "same",
        "another scene",
        "its negative",
        "lights dimmed",
        "shaken",
        "after darkness",
        "into darkness",
        "dark",
    ],
)
def test_a_cut_is_where_a_picture_shows_another_scene(
    before: np.ndarray, after: np.ndarray, *, cut: bool
) -> None:
    assert is_cut(before, after) is cut


def test_a_track_is_cut_when_it_has_become_too_long(make: Any) -> None:
    tracker: Tracker[str] = Tracker()
    track = tracker.begin(timedelta(), make.face().box, SAME, "kept")
    track.follow(MAX_LENGTH, make.face().box, SAME)

    assert tracker.ended(MAX_LENGTH) == []
    assert tracker.ended(MAX_LENGTH + STEP) == [track]
