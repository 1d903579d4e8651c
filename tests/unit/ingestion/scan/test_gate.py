from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from homeward.ingestion.footage.media import PacketGroup, Stretch
from homeward.ingestion.footage.packets import Packets
from homeward.ingestion.scan import gate
from homeward.ingestion.scan.gate import (
    EVEN_RATE,
    GLANCE_PERIOD,
    MAX_NOISE,
    MAX_RISE,
    MIN_CELLS,
    MIN_GRAIN,
    MIN_RISE,
    STILL_RISE,
    STRONG_RISE,
    Profile,
    Survey,
    course,
    groups_of,
)
from homeward.ingestion.scan.model import Thoroughness

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


def survey(
    packets: Sequence[PacketGroup], piece: Stretch, segment_end: timedelta | None = None
) -> Survey:
    return gate.survey(Profile.of(Packets.of(packets)), piece, segment_end)


def test_groups_begin_at_key_pictures_and_are_cut_to_the_piece() -> None:
    groups = groups_of(Packets.of(recording()).starts, Stretch(seconds(3), seconds(7)))

    assert groups == (
        Stretch(seconds(3), seconds(4)),
        Stretch(seconds(4), seconds(6)),
        Stretch(seconds(6), seconds(7)),
    )


def test_where_packets_are_quiet_only_key_pictures_are_looked_at() -> None:
    surveyed = survey(recording(noise=0.02), WHOLE)

    assert surveyed.thoroughness is Thoroughness.GATED
    assert (surveyed.active, surveyed.slight) == (frozenset(), frozenset())
    assert offsets(surveyed.glances) == list(np.arange(0, LENGTH, GLANCE_PERIOD.total_seconds()))
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

    assert {seconds(20), seconds(22)} <= set(surveyed.glances)
    assert starts(course(surveyed, [seconds(22)]).stretches) == [20, 22, 24, 26, 28]
    assert starts(course(surveyed, []).stretches) == []


def test_after_something_happened_the_next_key_picture_is_looked_at() -> None:
    surveyed = survey(recording({20.0: 1.0}), WHOLE)

    assert seconds(22) in surveyed.glances
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

    chosen = course(surveyed, surveyed.glances[:3])

    assert chosen.thoroughness is Thoroughness.PACKETS_BLIND
    assert chosen.stretches == surveyed.groups


def test_a_few_surprises_are_no_reason_to_decode_everything() -> None:
    surveyed = survey(recording(), WHOLE)

    assert course(surveyed, surveyed.glances[:1]).thoroughness is Thoroughness.GATED


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


@pytest.mark.parametrize(("length", "active"), [(120, False), (121, True)])
def test_a_group_in_which_there_is_nothing_to_look_at_is_decoded(
    length: float,
    active: bool,  # noqa: FBT001 - a parameter
) -> None:
    packets = recording(noise=0.02)
    last = Stretch(seconds(LENGTH - 2), seconds(LENGTH - 2 + length))

    surveyed = survey(packets, Stretch(seconds(0), last.end))

    assert surveyed.thoroughness is Thoroughness.GATED
    assert (last.start in surveyed.active) is active
    assert seconds(120) == gate.MAX_QUIET


def test_a_group_without_enough_pictures_to_judge_is_decoded() -> None:
    packets = recording()
    packets[5] = replace(packets[5], sizes=(5000,), pictures=(1,))

    assert survey(packets, WHOLE).active == {seconds(10)}


def test_a_recording_without_looks_is_searched_as_surveyed() -> None:
    groups = (Stretch(timedelta(), seconds(2)),)
    nothing = Survey(groups, frozenset(), frozenset(), (), Thoroughness.GATED)

    assert course(nothing, []).stretches == ()


MANY = 400
HOURLIKE = Stretch(timedelta(), timedelta(seconds=2.0 * MANY))
GROUP_BYTES = 330_000


def even(
    *,
    groups: int = MANY,
    grain: float = 0.01,
    control: float = 0.0,
    rises: dict[float, float] | None = None,
) -> list[PacketGroup]:
    """Groups of two seconds, in which nobody is.

    Args:
        groups: How many.
        grain: Standard deviation of the bytes of a group, as a part of them.
        control: How much of it the next group makes up for: 0 for no rate control, 1 for all.
        rises: By starts of groups, how far their pictures are above their level.
    """
    rng = np.random.default_rng(2)
    wanted = rng.normal(0, grain * GROUP_BYTES, groups + 1)
    packets = []
    for number in range(groups):
        start = 2.0 * number
        more = wanted[number + 1] - control * wanted[number]
        rise = 1 + (rises or {}).get(start, 0.0)
        sizes = (round((100_000 + more / 2) * rise), round((80_000 + more / 2) * rise))
        packets.append(PacketGroup(start, 150_000, sizes, (24, 25)))
    return packets


def test_a_recording_of_nobody_is_not_taken_for_one_of_a_constant_bit_rate() -> None:
    surveyed = survey(even(), HOURLIKE)

    assert (surveyed.thoroughness, surveyed.still) == (Thoroughness.GATED, True)
    assert surveyed.active == frozenset()
    assert offsets(surveyed.glances) == list(
        np.arange(0, 2.0 * MANY, GLANCE_PERIOD.total_seconds())
    )


@pytest.mark.parametrize("grain", [0.004, 0.01, 0.04])
def test_sizes_that_make_up_for_each_other_show_a_rate_control(grain: float) -> None:
    # At the largest, four seconds vary by more than `EVEN_RATE`.
    surveyed = survey(even(grain=grain, control=1.0), HOURLIKE)

    assert surveyed.thoroughness is Thoroughness.CONSTANT_RATE


def test_key_pictures_that_are_paid_for_by_the_others_show_a_rate_control() -> None:
    packets = [
        replace(group, key_bytes=GROUP_BYTES - sum(group.sizes)) for group in even(grain=0.01)
    ]

    assert survey(packets, HOURLIKE).thoroughness is Thoroughness.CONSTANT_RATE


@pytest.mark.parametrize(
    ("grain", "why"), [(0.01, Thoroughness.CONSTANT_RATE), (0.03, Thoroughness.GATED)]
)
def test_in_doubt_an_even_rate_is_constant_and_an_uneven_one_is_not(
    grain: float, why: Thoroughness
) -> None:
    assert survey(even(grain=grain, control=0.35), HOURLIKE).thoroughness is why


@pytest.mark.parametrize(
    ("grain", "why"),
    [
        (0.8 * MIN_GRAIN, Thoroughness.CONSTANT_RATE),
        (1.3 * MIN_GRAIN, Thoroughness.GATED),
    ],
)
def test_pictures_of_one_size_are_padded(grain: float, why: Thoroughness) -> None:
    assert survey(even(grain=grain), HOURLIKE).thoroughness is why


@pytest.mark.parametrize(("grain", "still"), [(1.1 * EVEN_RATE, True), (1.9 * EVEN_RATE, False)])
def test_a_still_recording_has_an_even_rate(grain: float, *, still: bool) -> None:
    # Two groups make four seconds, which vary by less than one of them.
    assert survey(even(grain=grain), HOURLIKE).still is still


@pytest.mark.parametrize(
    ("groups", "why"), [(46, Thoroughness.CONSTANT_RATE), (60, Thoroughness.GATED)]
)
def test_an_even_rate_counts_as_constant_until_there_is_enough_to_judge_by(
    groups: int, why: Thoroughness
) -> None:
    whole = Stretch(timedelta(), seconds(2.0 * groups))

    assert survey(even(groups=groups), whole).thoroughness is why


def test_groups_that_lack_pictures_do_not_hide_a_rate_control() -> None:
    packets = even(grain=0.004, control=1.0)
    packets[50::25] = [
        replace(group, sizes=(80_000, 60_000), pictures=(20, 20)) for group in packets[50::25]
    ]

    assert survey(packets, HOURLIKE).thoroughness is Thoroughness.CONSTANT_RATE


@pytest.mark.parametrize(
    ("rise", "active"), [(STILL_RISE - 0.015, []), (STILL_RISE + 0.015, [200])]
)
def test_in_a_still_recording_a_small_rise_has_a_group_decoded(
    rise: float, active: list[float]
) -> None:
    surveyed = survey(even(grain=0.003, rises={200.0: rise}), HOURLIKE)

    assert surveyed.still
    assert (offsets(surveyed.active), surveyed.slight) == (active, frozenset())


def test_a_second_surprise_in_a_still_recording_has_everything_decoded() -> None:
    surveyed = survey(even(), HOURLIKE)

    assert course(surveyed, surveyed.glances[:1]).thoroughness is Thoroughness.GATED
    assert course(surveyed, surveyed.glances[:2]).thoroughness is Thoroughness.PACKETS_BLIND


def test_beyond_the_segment_one_look_is_taken_where_nothing_happens() -> None:
    surveyed = survey(recording(), WHOLE, seconds(30))

    assert offsets(surveyed.glances) == [0, 8, 16, 24, 32]


def test_beyond_the_segment_looks_still_follow_what_happens() -> None:
    surveyed = survey(recording({40.0: 1.0}), WHOLE, seconds(30))

    assert offsets(surveyed.glances) == [0, 8, 16, 24, 32, 42]


@pytest.mark.parametrize(
    ("noise", "why"),
    [(MAX_NOISE - 0.005, Thoroughness.GATED), (MAX_NOISE + 0.005, Thoroughness.RESTLESS)],
)
def test_pictures_nearly_as_large_as_key_pictures_hide_people(
    noise: float, why: Thoroughness
) -> None:
    key_bytes = round((24 * 5000 + 25 * 2500) / 49 / noise)
    packets = [
        replace(group, key_bytes=round(key_bytes * (0.8, 1.0, 1.2)[number % 3]))
        for number, group in enumerate(recording({20.0: 1.0}))
    ]

    assert survey(packets, WHOLE).thoroughness is why


@pytest.mark.parametrize(
    ("noise", "why"),
    [(MAX_NOISE - 0.005, Thoroughness.GATED), (MAX_NOISE + 0.005, Thoroughness.RESTLESS)],
)
def test_a_recording_with_an_even_rate_may_be_too_noisy_too(
    noise: float, why: Thoroughness
) -> None:
    packets = [replace(group, key_bytes=round(180_000 / 49 / noise)) for group in even()]

    assert survey(packets, HOURLIKE).thoroughness is why
