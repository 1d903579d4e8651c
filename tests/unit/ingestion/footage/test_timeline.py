from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeward.ingestion.footage.clocks import MAX_JUMP, MAX_OUTLIERS, Steps, place
from homeward.ingestion.footage.media import PacketGroup, Stretch
from homeward.ingestion.footage.packets import Packets
from homeward.ingestion.footage.timeline import (
    KEY,
    MAX_ANSWER,
    MAX_GROUP_SECONDS,
    UNKNOWN,
    Spans,
    Timeline,
    decode,
    encode,
)
from homeward.ingestion.scan.cut import pieces_of
from homeward.ingestion.scan.gate import Profiles
from homeward.ingestion.scan.model import Thoroughness

many = settings(max_examples=200, deadline=None, derandomize=True)
"""As many examples as find something, and the same ones each time."""

HOUR = 3_600_000
WRAP = 1 << 33
CLOCK = 1 / 90_000
"""Seconds of a tick of a transport stream."""


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def steady(count: int = 100, start: int = 0, step: int = 40) -> list[int]:
    """The stamps of pictures at one rate: 25 a second, where a tick is a millisecond."""
    return [start + step * number for number in range(count)]


def shown(timeline: Timeline) -> list[float]:
    """When pictures are shown, in the file's order, seconds."""
    return (timeline.times / 1e6).tolist()


def expected(count: int = 100, step: float = 0.04) -> Any:
    return pytest.approx([number * step for number in range(count)], abs=1e-6)


def test_pictures_at_one_rate_are_shown_at_that_rate(make: Any) -> None:
    timeline, steps = place(make.stamps(steady(start=7000)))

    assert shown(timeline) == expected()
    assert (timeline.duration, len(timeline.holes), steps) == (seconds(4), 0, Steps())


def test_pictures_that_are_predicted_from_later_ones_are_shown_in_their_order(make: Any) -> None:
    # I0 P3 B1 B2, P6 B4 B5: decoded one picture ahead of when they are shown.
    pts = [0, 120, 40, 80, 240, 160, 200]

    timeline, steps = place(make.stamps(pts, steady(7, start=-80)))

    assert timeline.order.tolist() == [0, 2, 3, 1, 5, 6, 4]
    assert shown(timeline) == [0, 0.12, 0.04, 0.08, 0.24, 0.16, 0.2]
    assert (timeline.duration, steps) == (seconds(0.28), Steps())


@pytest.mark.parametrize("decoding", [True, False], ids=["dts", "pts only"])
@pytest.mark.parametrize(
    "second",
    [0, 98_000, 90_000, 100_000 + MAX_JUMP // timedelta(milliseconds=1) + 4000],
    ids=["starts anew", "a little back", "ten seconds back", "ahead by more than a day"],
)
def test_what_follows_a_clock_that_is_set_follows_at_once(
    make: Any, second: int, *, decoding: bool
) -> None:
    pts = steady(start=100_000) + steady(start=second)

    timeline, steps = place(make.stamps(pts, None if decoding else [None] * 200))

    assert shown(timeline) == expected(200)
    assert steps == Steps(backward=(seconds(4),))
    assert (timeline.duration, len(timeline.holes)) == (seconds(8), 0)


def test_a_clock_may_be_set_again_and_again(make: Any) -> None:
    pts = steady(start=100_000) + steady(start=5000) + steady(start=50)

    timeline, steps = place(make.stamps(pts))

    assert shown(timeline) == expected(300)
    assert steps.backward == (seconds(4), seconds(8))


def test_a_clock_that_is_set_among_pictures_out_of_order_loses_none(make: Any) -> None:
    pts = [0, 120, 40, 80, 240, 160, 200]
    both = [*(one + 100_000 for one in pts), *pts]
    dts = steady(7, start=99_920) + steady(7, start=-80)

    timeline, steps = place(make.stamps(both, dts))

    assert (timeline.shown / 1e6).tolist() == expected(14)
    assert timeline.order.tolist() == [0, 2, 3, 1, 5, 6, 4, 7, 9, 10, 8, 12, 13, 11]
    assert len(steps.backward) == 1


@pytest.mark.parametrize("decoding", [True, False], ids=["dts", "pts only"])
def test_a_clock_that_goes_ahead_by_hours_leaves_a_hole(make: Any, *, decoding: bool) -> None:
    pts = steady() + steady(start=5 * HOUR)

    timeline, steps = place(make.stamps(pts, None if decoding else [None] * 200))

    assert list(timeline.holes) == [Stretch(seconds(4), seconds(5 * 3600))]
    assert (timeline.duration, steps) == (seconds(5 * 3600 + 4), Steps())


def test_a_clock_that_a_demuxer_takes_to_have_wrapped_has_been_set_back(make: Any) -> None:
    step = 3600
    first, second = steady(100, 900_000, step), steady(100, WRAP + 90_000, step)

    timeline, steps = place(make.stamps(first + second, tick=CLOCK))

    assert shown(timeline) == expected(200)
    assert steps.backward == (seconds(4),)


def test_a_clock_that_wraps_and_goes_on_makes_no_hole(make: Any) -> None:
    step = 3600
    first, second = steady(100, 900_000, step), steady(100, WRAP + 900_000 + 100 * step, step)

    timeline, steps = place(make.stamps(first + second, tick=CLOCK))

    assert shown(timeline) == expected(200)
    assert (steps, len(timeline.holes)) == (Steps(), 0)


def test_a_clock_that_a_demuxer_unwraps_goes_on(make: Any) -> None:
    timeline, steps = place(make.stamps(steady(200, WRAP - 360_000, 3600), tick=CLOCK))

    assert shown(timeline) == expected(200)
    assert steps == Steps()


def with_wild(wild: Sequence[int], value: int) -> list[int]:
    """Steady stamps, some of which are replaced."""
    return [value if number in wild else stamp for number, stamp in enumerate(steady())]


@pytest.mark.parametrize("value", [10**9, -(10**9), 3 * HOUR], ids=["far ahead", "back", "hours"])
@pytest.mark.parametrize("decoding", ["both", "pts", "none"])
def test_one_wild_stamp_among_good_ones_is_ignored(make: Any, value: int, decoding: str) -> None:
    wild = with_wild([50], value)
    dts = {"both": wild, "pts": steady(), "none": [None] * 100}[decoding]

    timeline, steps = place(make.stamps(wild, dts))

    assert shown(timeline) == expected()
    assert steps == Steps(outliers=1)


def test_as_many_wild_stamps_in_a_row_as_may_be_are_ignored(make: Any) -> None:
    timeline, steps = place(make.stamps(with_wild(range(50, 50 + MAX_OUTLIERS), 10**9)))

    assert steps == Steps(outliers=MAX_OUTLIERS)
    assert shown(timeline) == expected()


@pytest.mark.parametrize("decoding", [True, False], ids=["dts", "pts only"])
def test_several_wild_stamps_are_ignored_one_by_one(make: Any, *, decoding: bool) -> None:
    wild = with_wild([20, 70], 10**9)
    wild[40] = -(10**8)

    timeline, steps = place(make.stamps(wild, None if decoding else [None] * 100))

    assert steps == Steps(outliers=3)
    assert shown(timeline) == expected()


def test_a_clock_that_is_away_for_longer_has_been_set(make: Any) -> None:
    away = steady(2 * MAX_OUTLIERS, start=10**9)
    pts = steady(50) + away + steady(50, start=2000 + 40 * len(away))

    timeline, steps = place(make.stamps(pts))

    assert shown(timeline) == expected(100 + len(away))
    assert (steps.outliers, len(steps.backward)) == (0, 2)


def test_a_hole_after_a_wild_stamp_is_a_hole(make: Any) -> None:
    pts = with_wild([50], 10**9) + steady(start=60_000)

    timeline, steps = place(make.stamps(pts, [None] * 200))

    assert list(timeline.holes) == [Stretch(seconds(4), seconds(60))]
    assert steps == Steps(outliers=1)


def test_pictures_between_sparse_stamps_are_shown_in_steps(make: Any) -> None:
    pts = [stamp if number % 10 == 0 else None for number, stamp in enumerate(steady())]

    timeline, steps = place(make.stamps(pts, [None] * 100))

    assert shown(timeline) == expected()
    assert steps == Steps(untimed=90)


def test_a_picture_without_a_stamp_is_shown_between_its_neighbours(make: Any) -> None:
    pts = [None if number == 50 else stamp for number, stamp in enumerate(steady())]

    timeline, steps = place(make.stamps(pts, steady()))

    assert shown(timeline) == expected()
    assert steps == Steps(untimed=1)


@pytest.mark.parametrize(("rate", "step"), [(25.0, 0.04), (10.0, 0.1)])
def test_pictures_without_any_stamps_are_shown_at_the_stated_rate(
    make: Any, rate: float, step: float
) -> None:
    timeline, steps = place(make.stamps([None] * 100, rate=rate))

    assert shown(timeline) == expected(step=step)
    assert steps == Steps(untimed=100)


def test_pictures_that_have_stamps_of_decoding_alone_are_shown_by_those(make: Any) -> None:
    dts = steady(50) + steady(50, start=4000)

    timeline, _ = place(make.stamps([None] * 100, dts))

    assert list(timeline.holes) == [Stretch(seconds(2), seconds(4))]
    assert timeline.duration == seconds(6)


def test_what_a_cut_file_has_before_its_first_stamp_is_hidden(make: Any) -> None:
    pts = [None] * 10 + steady(90)

    timeline, steps = place(make.stamps(pts, [None] * 10 + steady(90)))

    assert (len(timeline), len(timeline.order)) == (100, 90)
    assert (timeline.shown / 1e6).tolist() == expected(90)
    assert (timeline.duration, steps.untimed) == (seconds(3.6), 10)


def test_where_few_pictures_have_stamps_those_before_the_first_one_are_shown(make: Any) -> None:
    pts = [stamp if number % 10 == 5 else None for number, stamp in enumerate(steady())]

    timeline, _ = place(make.stamps(pts, [None] * 100))

    assert shown(timeline) == expected()


def test_what_an_edit_list_leaves_out_is_hidden_and_the_rest_begins_at_0(make: Any) -> None:
    timeline, _ = place(make.stamps(steady(), hidden=range(10)))

    assert timeline.order.tolist() == list(range(10, 100))
    assert (timeline.shown[0], timeline.duration) == (0, seconds(3.6))


def test_an_edit_list_that_leaves_everything_out_is_ignored(make: Any) -> None:
    timeline, _ = place(make.stamps(steady(), hidden=range(100)))

    assert shown(timeline) == expected()
    assert len(timeline.order) == 100


def test_hidden_pictures_answer_for_no_time_and_are_decoded_from(make: Any) -> None:
    timeline, _ = place(make.stamps(steady(), hidden=range(10)))

    assert timeline.entry(seconds(0)) == 0
    assert timeline.last_before(seconds(0.04)) == 10


@pytest.mark.parametrize("b_pictures", [False, True], ids=["in order", "out of order"])
def test_a_cut_in_the_middle_by_an_edit_list_sets_no_clock(make: Any, *, b_pictures: bool) -> None:
    # Of the second part, pictures from 6 s on are decoded and those from 7 s on are shown at 4 s.
    lead = steady(25, 3000)
    kept = steady(100, 4000)
    dts = [*steady(), *lead, *kept]
    if b_pictures:
        kept[0:3] = [4080, 4000, 4040]

    timeline, steps = place(make.stamps([*steady(), *lead, *kept], dts, hidden=range(100, 125)))

    assert (steps, len(timeline.holes), timeline.duration) == (Steps(), 0, seconds(8))
    assert timeline.shown.tolist() == [40_000 * number for number in range(200)]
    assert timeline.entry(seconds(4)) == 100
    assert timeline.entry(seconds(3.96)) == 50


def test_a_stamp_of_decoding_that_comes_twice_sets_no_clock(make: Any) -> None:
    pts = [0, *(at + offset for at in range(40, 3640, 120) for offset in (80, 0, 40))]
    dts = [0, 40, *steady(len(pts) - 2, 40)]  # as MPEG-1 in Matroska has them

    timeline, steps = place(make.stamps(pts, dts))

    assert steps == Steps()
    assert timeline.shown.tolist() == [40_000 * number for number in range(len(pts))]


@pytest.mark.parametrize("share", [2, 5, 25])
def test_pictures_of_a_clock_that_is_coarser_than_they_are_lie_evenly(
    make: Any, share: int
) -> None:
    coarse = [at // (40 * share) * 40 * share for at in steady()]

    timeline, steps = place(make.stamps(coarse))

    assert steps == Steps()
    assert shown(timeline) == expected()


def test_a_hole_between_pictures_of_a_coarse_clock_stays_a_hole(make: Any) -> None:
    coarse = [at // 1000 * 1000 + (60_000 if at >= 2000 else 0) for at in steady()]

    timeline, _ = place(make.stamps(coarse))

    assert list(timeline.holes) == [Stretch(seconds(2), seconds(62))]


def test_a_few_pictures_that_share_a_time_stay(make: Any) -> None:
    pts = steady()
    pts[51] = pts[50]

    timeline, _ = place(make.stamps(pts, [None] * 100))

    assert shown(timeline) == pytest.approx([at / 1000 for at in pts])


@pytest.mark.parametrize("slow", [0.5, 1.0, 2.0, 5.0])
def test_a_recorder_that_slows_down_leaves_no_hole(make: Any, slow: float) -> None:
    fast = [number / 25 for number in range(50)]
    times = [*fast, *(2 + slow * number for number in range(20))]

    assert len(make.timeline_at(times).holes) == 0


@pytest.mark.parametrize(("lost", "holes"), [(1.4, 0), (2.0, 1), (60.0, 1)])
def test_where_pictures_come_often_a_wait_of_seconds_is_a_hole(
    make: Any, lost: float, holes: int
) -> None:
    half = [number / 25 for number in range(50)]
    timeline = make.timeline_at([*half, *(2 + lost + at for at in half)])

    assert len(timeline.holes) == holes
    assert timeline.holes.total == seconds(lost) * holes


@pytest.mark.parametrize("at", ["the beginning", "the end"])
def test_a_picture_far_from_the_others_makes_none_answer_for_longer(make: Any, at: str) -> None:
    often = [number / 25 for number in range(50)]
    times = {"the beginning": [0.0, *(60 + one for one in often)], "the end": [*often, 60.0]}

    timeline = make.timeline_at(times[at])

    assert len(timeline.holes) == 1
    assert timeline.pictured.total == seconds(51 / 25)


def test_pictures_every_few_seconds_answer_until_the_next_one(make: Any) -> None:
    timeline = make.timeline_at([5.0 * number for number in range(20)])

    assert (len(timeline.holes), timeline.duration) == (0, seconds(100))


def test_a_picture_a_minute_answers_for_a_few_seconds(make: Any) -> None:
    timeline = make.timeline_at([60.0 * number for number in range(10)])

    assert timeline.pictured.total == 10 * MAX_ANSWER
    assert (len(timeline.holes), timeline.duration) == (9, seconds(9 * 60) + MAX_ANSWER)


def test_a_single_picture_answers_for_a_moment(make: Any) -> None:
    assert make.timeline_at([0.0]).duration == seconds(0.04)


def test_a_timeline_is_read_as_it_was_written(make: Any) -> None:
    pts = [None, 0, 120, 40, None, 240]
    timeline, _ = place(make.stamps(pts, [-80, None, 0, 40, 80, None], hidden=[0]))
    timeline = Timeline(
        timeline.times,
        timeline.dts,
        timeline.pts,
        np.array([UNKNOWN, 100, UNKNOWN, 2**40, 200, 300], np.int64),
        timeline.sizes,
        timeline.flags,
    )

    read = decode(encode(timeline))

    assert_same(read, timeline)
    assert UNKNOWN in read.pts


def assert_same(one: Timeline, other: Timeline) -> None:
    for name in ("times", "dts", "pts", "positions", "sizes", "flags"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def holed(make: Any) -> Timeline:
    """Two seconds of pictures, ten without any, two more; a key picture each second."""
    half = [number / 25 for number in range(50)]
    made: Timeline = make.timeline_at([*half, *(12 + at for at in half)], keys=range(0, 100, 25))
    return made


@pytest.mark.parametrize(
    ("at", "since"),
    [(0, 0), (0.03, 0), (0.04, 0.04), (1.99, 1.96), (2, 2), (7, 7), (12, 12), (13.97, 13.96)],
)
def test_a_time_belongs_to_the_picture_that_is_shown_then(
    make: Any, at: float, since: float
) -> None:
    assert holed(make).shown_at(seconds(at)) == seconds(since)


@pytest.mark.parametrize(
    ("at", "end"),
    [(-1, 0.04), (0, 0.04), (0.05, 0.08), (1.96, 2), (7, 2), (12, 12.04), (13.96, 14), (99, 14)],
)
def test_a_picture_answers_until_the_next_one_or_as_long_as_usual(
    make: Any, at: float, end: float
) -> None:
    assert holed(make).end_of(seconds(at)) == seconds(end)


@pytest.mark.parametrize(
    ("at", "earlier", "entry"),
    [
        (0, 0, 0),
        (0.99, 0, 0),
        (1, 0, 25),
        (1.99, 0, 25),
        (7, 0, 25),
        (12, 0, 50),
        (12, 1, 25),
        (13.5, 2, 25),
        (1, 2, 0),
        (99, 0, 75),
    ],
)
def test_decoding_begins_at_the_last_key_picture_shown_by_then(
    make: Any, at: float, earlier: int, entry: int
) -> None:
    assert holed(make).entry(seconds(at), earlier=earlier) == entry


def test_without_a_key_picture_by_then_decoding_begins_with_the_file(make: Any) -> None:
    timeline = make.timeline_at([0, 0.04, 0.08], keys=[2])

    assert timeline.entry(seconds(0.04)) == 0


@pytest.mark.parametrize(
    ("end", "last"), [(0, -1), (0.04, 0), (0.041, 3), (0.08, 3), (0.12, 3), (0.121, 3), (9, 5)]
)
def test_all_pictures_before_a_time_are_decoded_by_the_last_of_them(
    make: Any, end: float, last: int
) -> None:
    # In the file's order; the second one is shown fourth.
    timeline = make.timeline_at([0, 0.12, 0.08, 0.04, 0.16, 0.2])

    assert timeline.last_before(seconds(end)) == last


def test_pictures_are_summed_up_by_second_after_each_key_picture(make: Any) -> None:
    timeline = make.timeline_at([0, 0.04, 0.96, 1, 2], keys=[0, 4], sizes=[900, 10, 20, 5, 800])

    first, second = timeline.groups
    assert (first.start, first.key_bytes, first.sizes, first.pictures) == (0, 900, (30, 5), (2, 1))
    assert (second.start, second.key_bytes, second.sizes, second.pictures) == (2, 800, (), ())


def test_pictures_are_summed_up_in_the_order_in_which_they_are_shown(make: Any) -> None:
    timeline = make.timeline_at([0, 0.12, 0.04, 0.08], sizes=[900, 30, 10, 10])

    (group,) = timeline.groups
    assert (group.sizes, group.pictures) == ((50,), (3,))


def test_of_pictures_far_beyond_their_key_picture_nothing_is_told(make: Any) -> None:
    timeline = make.timeline_at([0, 0.04, float(MAX_GROUP_SECONDS)])

    (group,) = timeline.groups
    assert group.pictures == (1,)


def test_pictures_before_the_first_key_picture_are_told_too(make: Any) -> None:
    timeline = make.timeline_at([0, 0.5, 1.0, 1.5], keys=[2], sizes=[1, 2, 4, 8])

    assert [(one.start, one.key_bytes, one.sizes) for one in timeline.groups] == [
        (0, 1, (2,)),
        (1, 4, (8,)),
    ]


WAITS = st.one_of(
    st.just(40_000),
    st.integers(0, 200_000),
    st.sampled_from([1_000_000, 1_600_000, 2_000_000, 20_000_000, 4000 * 1_000_000]),
)
"""Microseconds from a picture to the next one."""


@st.composite
def pictures(draw: Any) -> dict[str, Any]:
    """The pictures of a recording, in the file's order: for `Make.timeline_at`."""
    waits = draw(st.lists(WAITS, max_size=60))
    times = np.cumsum([0, *waits]) / 1e6
    count = len(times)
    swapped = np.arange(count)
    for place_ in draw(st.sets(st.integers(0, max(0, count - 2)), max_size=10)):
        swapped[place_ : place_ + 2] = swapped[place_ : place_ + 2][::-1].copy()
    first = int(np.flatnonzero(swapped == 0)[0])
    return {
        "times": times[swapped].tolist(),
        "keys": sorted({0, *draw(st.sets(st.integers(0, count - 1)))}),
        "sizes": draw(st.lists(st.integers(1, 100_000), min_size=count, max_size=count)),
        "hidden": sorted(draw(st.sets(st.integers(0, count - 1), max_size=5)) - {first}),
    }


@given(pictures())
@many
def test_a_picture_answers_at_most_until_the_next_one(make: Any, film: dict[str, Any]) -> None:
    timeline = make.timeline_at(**film)

    assert np.all(timeline.ends >= timeline.shown)
    assert np.all(timeline.ends[:-1] <= timeline.shown[1:])
    assert np.all(timeline.ends - timeline.shown <= MAX_ANSWER // timedelta(microseconds=1))


@given(pictures())
@many
def test_pictures_and_holes_are_all_of_a_recording(make: Any, film: dict[str, Any]) -> None:
    timeline = make.timeline_at(**film)

    whole = Spans.between(timedelta(), timeline.duration)
    assert timeline.pictured.total + timeline.holes.total == timeline.duration
    np.testing.assert_array_equal((timeline.pictured | timeline.holes).edges, whole.edges)
    assert len(timeline.pictured & timeline.holes) == 0


@given(pictures())
@many
def test_a_timeline_that_is_written_is_read_as_it_was(make: Any, film: dict[str, Any]) -> None:
    timeline = make.timeline_at(**film)

    assert_same(decode(encode(timeline)), timeline)


def summed(timeline: Timeline) -> list[tuple[float, dict[int, int], dict[int, int]]]:
    """Add up one picture after the other: by key picture, bytes and pictures of each second."""
    groups: list[tuple[float, dict[int, int], dict[int, int]]] = []
    key = 0
    for number in timeline.order.tolist():
        at = int(timeline.times[number])
        if not groups or timeline.flags[number] & KEY:
            key = at
            groups.append((at / 1e6, {}, {}))
        elif (at - key) // 1_000_000 < MAX_GROUP_SECONDS:
            _, sizes, counts = groups[-1]
            second = (at - key) // 1_000_000
            sizes[second] = sizes.get(second, 0) + int(timeline.sizes[number])
            counts[second] = counts.get(second, 0) + 1
    return groups


@given(pictures())
@many
def test_groups_are_what_adding_up_one_picture_after_the_other_gives(
    make: Any, film: dict[str, Any]
) -> None:
    timeline = make.timeline_at(**film)

    assert [
        (
            group.start,
            {second: size for second, size in enumerate(group.sizes) if size},
            {second: count for second, count in enumerate(group.pictures) if count},
        )
        for group in timeline.groups
    ] == summed(timeline)


def grouped(timeline: Timeline) -> list[PacketGroup]:
    """Add up one key picture after the other, all of its seconds."""
    return [
        PacketGroup(
            start,
            int(timeline.sizes[first]),
            tuple(sizes.get(second, 0) for second in range(max(sizes, default=-1) + 1)),
            tuple(counts.get(second, 0) for second in range(max(sizes, default=-1) + 1)),
        )
        for first, (start, sizes, counts) in zip(
            [
                number
                for place_, number in enumerate(timeline.order.tolist())
                if place_ == 0 or timeline.flags[number] & KEY
            ],
            summed(timeline),
            strict=True,
        )
    ]


@given(pictures())
@many
def test_groups_have_all_of_their_seconds_up_to_the_last_picture(
    make: Any, film: dict[str, Any]
) -> None:
    timeline = make.timeline_at(**film)

    assert list(timeline.groups) == grouped(timeline)
    assert list(Packets.of(timeline.groups)) == grouped(timeline)
    assert timeline.groups[-2:] == grouped(timeline)[-2:]


def test_of_pictures_that_are_all_keys_each_is_a_group(make: Any) -> None:
    timeline = make.timeline_at([0, 0.04, 0.08], keys=[0, 1, 2], sizes=[3, 4, 5])

    assert list(timeline.groups) == [
        PacketGroup(0.0, 3, (), ()),
        PacketGroup(0.04, 4, (), ()),
        PacketGroup(0.08, 5, (), ()),
    ]
    assert Profiles().of(timeline).unfit is Thoroughness.INTRA_ONLY


@given(pictures(), st.integers(-1_000_000, 30_000_000), st.integers(0, 2))
@many
def test_the_entry_is_the_last_key_picture_in_the_file_of_those_shown_by_then(
    make: Any, film: dict[str, Any], at: int, earlier: int
) -> None:
    timeline = make.timeline_at(**film)

    shown = [number for number in timeline.keys.tolist() if timeline.times[number] <= at]
    before = timeline.keys[: int(np.searchsorted(timeline.keys, max(shown, default=-1))) + 1]
    expected = before[-1 - earlier] if shown and len(before) > earlier else 0
    assert timeline.entry(timedelta(microseconds=at), earlier=earlier) == expected


@given(pictures(), st.integers(-1_000_000, 30_000_000), st.integers(0, 2))
@many
def test_all_pictures_from_a_time_on_come_after_the_entry(
    make: Any, film: dict[str, Any], at: int, earlier: int
) -> None:
    timeline = make.timeline_at(**film)
    when = timedelta(microseconds=at)

    entry = timeline.entry(when, earlier=earlier)

    assert 0 <= entry <= timeline.entry(when)
    assert entry == 0 or entry in timeline.keys
    assert timeline.times[timeline.entry(when)] <= max(at, timeline.times[0])


@given(pictures(), st.integers(-1_000_000, 30_000_000))
@many
def test_all_pictures_before_a_time_come_up_to_the_last_one(
    make: Any, film: dict[str, Any], at: int
) -> None:
    timeline = make.timeline_at(**film)

    last = timeline.last_before(timedelta(microseconds=at))

    before = timeline.order[timeline.shown < at]
    assert last == max(before.tolist(), default=-1)


@pytest.mark.parametrize(("gop", "least", "most"), [(50, 73, 75), (1, 105, 107)])
def test_a_timeline_takes_so_many_bytes_a_picture(
    make: Any, gop: int, least: int, most: int
) -> None:
    count = 10_000
    timeline = make.timeline_at(np.arange(count) / 25, keys=range(0, count, gop))

    timeline.prepare()
    profile = Profiles().of(timeline)

    held = [*vars(timeline).values(), *timeline._entries]
    held += [profile.starts, profile.known, profile.rises]
    arrays = {id(one): one.nbytes for one in held if isinstance(one, np.ndarray)}
    assert least <= sum(arrays.values()) / count <= most


STAMPS = st.one_of(
    st.none(),
    st.integers(-(2**33), 2**33),
    st.integers(0, 5000),
    st.integers(-(2**63) + 1, 2**63 - 1),
)


@st.composite
def stamps(draw: Any) -> dict[str, Any]:
    """What a file may say, sense or nonsense: for `Make.stamps`."""
    count = draw(st.integers(1, 40))
    some = st.lists(STAMPS, min_size=count, max_size=count)
    regular = st.builds(steady, st.just(count), st.integers(-(2**40), 2**40), st.integers(1, 4000))
    mended = st.builds(
        lambda good, bad, places: [bad[n] if n in places else one for n, one in enumerate(good)],
        regular,
        some,
        st.sets(st.integers(0, count - 1), max_size=3),
    )
    clock = st.one_of(some, regular, mended)
    return {
        "pts": draw(clock),
        "dts": draw(st.one_of(st.none(), clock)),
        "hidden": sorted(draw(st.sets(st.integers(0, count - 1), max_size=5))),
        "tick": draw(st.sampled_from([0.001, CLOCK, 1 / 25, 1e-9, 1.0])),
        "rate": draw(st.sampled_from([25.0, 1.0, 0.01, 1000.0])),
    }


@given(stamps())
@many
def test_whatever_a_file_says_its_pictures_are_on_one_line(make: Any, said: dict[str, Any]) -> None:
    timeline, steps = place(make.stamps(**said))

    assert len(timeline) == len(said["pts"])
    assert timeline.shown[0] == 0
    assert np.all(np.diff(timeline.shown) >= 0)
    assert timeline.duration >= timedelta()
    assert timeline.pictured.total + timeline.holes.total == timeline.duration
    assert all(at >= timedelta() for at in steps.backward)
    assert steps.untimed == said["pts"].count(None)


@given(
    waits=st.lists(st.integers(1, 3_600_000), min_size=1, max_size=60),
    start=st.integers(-(2**40), 2**40),
    decoding=st.booleans(),
)
@many
def test_a_clock_that_only_goes_ahead_is_taken_as_it_is(
    make: Any, waits: list[int], start: int, *, decoding: bool
) -> None:
    pts = np.cumsum([start, *waits]).tolist()

    timeline, steps = place(make.stamps(pts, None if decoding else [None] * len(pts)))

    assert timeline.times.tolist() == [(stamp - start) * 1000 for stamp in pts]
    assert steps == Steps()


FAR = 2**63 - 1


@pytest.mark.parametrize(
    "said",
    [
        {"pts": [0, FAR, -FAR, 40], "tick": 1.0},
        {"pts": [10**9, 3 * 10**9], "dts": [0, 40]},
        {"pts": [100_000, 100_040, 0, 40, 80], "hidden": [0, 1, 2]},
    ],
    ids=["beyond 64 bits", "all wild", "a clock set among what is hidden"],
)
def test_nonsense_makes_a_timeline_all_the_same(make: Any, said: dict[str, Any]) -> None:
    timeline, steps = place(make.stamps(**said))

    assert timeline.shown[0] == 0
    assert np.all(np.diff(timeline.shown) >= 0)
    assert timeline.duration >= timedelta()
    assert all(at >= timedelta() for at in steps.backward)


EDGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


def spans(pairs: Sequence[tuple[int, int]]) -> Spans:
    edges = np.array(pairs, np.int64).reshape(-1, 2)
    return Spans.of(edges[:, 0], edges[:, 1])


def instants(spans: Spans) -> set[int]:
    return {at for start, end in spans.edges.tolist() for at in range(start, end)}


@given(EDGES, EDGES)
@many
def test_spans_are_joined_cut_and_taken_away_as_sets_of_instants_are(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    one, other = spans(first), spans(second)

    assert instants(one) == {at for start, end in first for at in range(start, end)}
    assert instants(one | other) == instants(one) | instants(other)
    assert instants(one & other) == instants(one) & instants(other)
    assert instants(one - other) == instants(one) - instants(other)


@pytest.mark.parametrize("combine", [operator.or_, operator.and_, operator.sub])
@given(first=EDGES, second=EDGES)
@many
def test_spans_are_in_order_and_do_not_touch(
    combine: Callable[[Spans, Spans], Spans],
    first: list[tuple[int, int]],
    second: list[tuple[int, int]],
) -> None:
    made = combine(spans(first), spans(second))

    assert np.all(np.diff(made.edges.reshape(-1)) > 0)
    assert made.total == timedelta(microseconds=len(instants(made)))
    assert len(list(made)) == len(made)


@given(
    st.integers(1, 600),
    st.lists(st.integers(1, 599), max_size=20, unique=True),
    st.integers(1, 400),
)
@many
def test_pieces_are_all_of_a_recording_whatever_its_holes(
    make: Any, duration: int, cuts: list[int], length: int
) -> None:
    inner = sorted(cut for cut in cuts if cut < duration)
    holes = list(zip(inner[::2], inner[1::2], strict=False))
    probe = make.media(duration, holes=holes)

    pieces = pieces_of(probe, seconds(length))

    assert pieces[0].start == timedelta()
    assert pieces[-1].end == probe.duration
    assert [one.end for one in pieces[:-1]] == [one.start for one in pieces[1:]]
    pictured = Spans.between(timedelta(), probe.duration) - Spans.among(probe.holes)
    held = [(Spans.among([one]) & pictured).total for one in pieces]
    assert held[:-1] == [seconds(length)] * (len(pieces) - 1)
    assert timedelta() < held[-1] <= seconds(length)
