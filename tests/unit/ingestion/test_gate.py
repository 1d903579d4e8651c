from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from homeward.ingestion.gate import (
    LOOK_PERIOD,
    MAX_RISE,
    MIN_CELLS,
    MIN_RISE,
    STRONG_RISE,
    Survey,
    course,
    groups_of,
    survey,
)
from homeward.ingestion.model import PacketGroup, Stretch, Thoroughness

GROUPS = 30
LENGTH = 2.0 * GROUPS
WHOLE = Stretch(timedelta(), timedelta(seconds=LENGTH))


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def starts(stretches: Sequence[Stretch]) -> list[float]:
    return [stretch.start.total_seconds() for stretch in stretches]


def offsets(times: Any) -> list[float]:
    return sorted(time.total_seconds() for time in times)


def recording(rises: dict[float, float] | None = None, *, noise: float = 0.0) -> list[PacketGroup]:
    """Groups of two seconds; by their start, how far the second second is above the quiet level."""
    rng = np.random.default_rng(1)
    groups = []
    for number in range(GROUPS):
        start = 2.0 * number
        grain = rng.uniform(-noise, noise, 2)
        rise = (rises or {}).get(start, 0.0)
        # As an encoder does: the pictures right after a key picture are larger.
        sizes = (round(24 * 5000 * (1 + grain[0])), round(25 * 2500 * (1 + grain[1] + rise)))
        # Key pictures vary too, or all of it would look like a constant bit rate.
        groups.append(PacketGroup(start, 150_000 + 30_000 * (number % 3), sizes, (24, 25)))
    return groups


def test_groups_begin_at_key_pictures_and_are_cut_to_the_piece() -> None:
    groups = groups_of(recording(), Stretch(seconds(3), seconds(7)))

    assert groups == (
        Stretch(seconds(3), seconds(4)),
        Stretch(seconds(4), seconds(6)),
        Stretch(seconds(6), seconds(7)),
    )


def test_where_packets_are_quiet_only_key_pictures_are_looked_at() -> None:
    surveyed = survey(recording(noise=0.02), WHOLE)

    assert surveyed.thoroughness is Thoroughness.GATED
    assert (surveyed.active, surveyed.slight) == (frozenset(), frozenset())
    assert offsets(surveyed.looks) == list(np.arange(0, LENGTH, LOOK_PERIOD.total_seconds()))
    assert course(surveyed, []).stretches == ()


@pytest.mark.parametrize(
    ("rise", "active", "slight"),
    [
        (MIN_RISE - 0.01, [], []),
        (MIN_RISE + 0.01, [], [20]),
        (STRONG_RISE - 0.01, [], [20]),
        (STRONG_RISE + 0.01, [20], []),
    ],
)
def test_the_further_packets_rise_the_more_is_done(
    rise: float, active: list[float], slight: list[float]
) -> None:
    surveyed = survey(recording({20.0: rise}), WHOLE)

    assert (offsets(surveyed.active), offsets(surveyed.slight)) == (active, slight)


def test_where_little_happens_both_ends_are_looked_at() -> None:
    surveyed = survey(recording({20.0: 0.2}), WHOLE)

    assert {seconds(20), seconds(22)} <= set(surveyed.looks)
    assert starts(course(surveyed, [seconds(22)]).stretches) == [20, 22, 24, 26, 28]
    assert starts(course(surveyed, []).stretches) == []


def test_after_something_happened_the_next_key_picture_is_looked_at() -> None:
    surveyed = survey(recording({20.0: 1.0}), WHOLE)

    assert seconds(22) in surveyed.looks
    assert starts(course(surveyed, []).stretches) == [20]


def test_a_face_in_a_quiet_stretch_has_it_decoded_from_look_to_look() -> None:
    surveyed = survey(recording(), WHOLE)

    chosen = course(surveyed, [seconds(24)])

    assert chosen.thoroughness is Thoroughness.GATED
    assert starts(chosen.stretches) == [16, 18, 20, 22, 24, 26, 28, 30]


def test_a_face_is_traced_back_no_further_than_to_the_first_move() -> None:
    surveyed = survey(recording({20.0: 0.2}), WHOLE)

    # Looks are at 16, 20, 22 and 30: who is there at 22 came when something moved, after 20.
    assert starts(course(surveyed, [seconds(22)]).stretches)[0] == 20


def test_faces_that_packets_did_not_tell_of_have_everything_decoded() -> None:
    surveyed = survey(recording(), WHOLE)

    chosen = course(surveyed, surveyed.looks[:3])

    assert chosen.thoroughness is Thoroughness.PACKETS_BLIND
    assert chosen.stretches == surveyed.groups


def test_a_few_surprises_are_no_reason_to_decode_everything() -> None:
    surveyed = survey(recording(), WHOLE)

    assert course(surveyed, surveyed.looks[:1]).thoroughness is Thoroughness.GATED


@pytest.mark.parametrize(
    ("packets", "why"),
    [
        ([], Thoroughness.NO_PROFILE),
        ([PacketGroup(at / 25, 90_000, (), ()) for at in range(500)], Thoroughness.INTRA_ONLY),
        (
            [PacketGroup(2.0 * n, 150_000, (200_000, 150_000), (24, 25)) for n in range(GROUPS)],
            Thoroughness.CONSTANT_RATE,
        ),
        (recording()[: MIN_CELLS - 1], Thoroughness.TOO_SHORT),
        (recording(noise=0.5), Thoroughness.RESTLESS),
    ],
    ids=lambda value: value if isinstance(value, Thoroughness) else "",
)
def test_where_packets_do_not_tell_everything_is_decoded(
    packets: list[PacketGroup], why: Thoroughness
) -> None:
    surveyed = survey(packets, WHOLE)

    assert surveyed.thoroughness is why
    assert course(surveyed, []).stretches == surveyed.groups


def test_noise_that_would_hide_somebody_small_is_too_much() -> None:
    quiet_enough = survey(recording(noise=0.07), WHOLE)
    too_noisy = survey(recording(noise=0.2), WHOLE)

    assert quiet_enough.thoroughness is Thoroughness.GATED
    assert too_noisy.thoroughness is Thoroughness.RESTLESS
    assert MAX_RISE < STRONG_RISE


def test_a_long_group_is_decoded_even_if_only_little_happens_in_it() -> None:
    packets = [
        PacketGroup(
            start=10.0 * number,
            key_bytes=150_000 + 30_000 * (number % 3),
            sizes=(120_000, *(62_500,) * 8, 75_000 if number == 4 else 62_500),
            pictures=(24, *(25,) * 9),
        )
        for number in range(12)
    ]

    surveyed = survey(packets, Stretch(timedelta(), seconds(120)))

    assert (offsets(surveyed.active), offsets(surveyed.slight)) == ([40], [])


def test_a_group_without_enough_pictures_to_judge_is_decoded() -> None:
    packets = recording()
    packets[5] = replace(packets[5], sizes=(5000,), pictures=(1,))

    assert survey(packets, WHOLE).active == {seconds(10)}


def test_a_recording_without_looks_is_searched_as_surveyed() -> None:
    groups = (Stretch(timedelta(), seconds(2)),)
    nothing = Survey(groups, frozenset(), frozenset(), (), Thoroughness.GATED)

    assert course(nothing, []).stretches == ()
