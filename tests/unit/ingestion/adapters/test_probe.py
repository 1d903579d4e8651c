from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from homeward.ingestion.adapters.http_file import HttpBlocks, HttpFile
from homeward.ingestion.adapters.probe import (
    Outcome,
    SubprocessProber,
    examine,
    is_steady,
    packet_groups,
)
from homeward.ingestion.model import FootageProblem, PacketGroup
from homeward.servicekit import errors

TIMES = [number / 25 for number in range(100)]
FRAGMENTED = "frag_keyframe+empty_moov"


def look(server: Any, content: bytes) -> Outcome:
    with HttpFile(HttpBlocks(server.serve(content))) as file:
        return examine(file)


def test_a_good_file_is_described(server: Any, film: Any) -> None:
    outcome = look(server, film(TIMES))

    assert (outcome.problem, outcome.truncated) == ("", False)
    assert (outcome.codec, outcome.width, outcome.height) == ("h264", 96, 64)
    assert (outcome.frames, outcome.key_frames) == (100, 10)
    assert outcome.seconds == pytest.approx(4, abs=0.05)
    assert outcome.frame_rate == pytest.approx(25, rel=0.02)


SESSION = b"""v=0
o=- 0 0 IN IP4 127.0.0.1
s=live
c=IN IP4 127.0.0.1
t=0 0
m=video 40000 RTP/AVP 96
a=rtpmap:96 H264/90000
"""
"""What makes FFmpeg open a socket and wait for live pictures."""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is not a video"),
        (b"x", "it is not a video"),
        (b"Dear investigator,\nplease find attached\n" * 100, "it is not a video"),
        (SESSION, "it is not a video"),
        (b"ffconcat version 1.0\nfile a.mp4\n", "it is not a video"),
        (b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n", "it is not a video"),
    ],
    ids=["nothing", "a byte", "a text", "a live session", "a list of files", "a playlist"],
)
def test_what_is_no_media_file_is_said_to_be_none(
    server: Any, content: bytes, problem: str
) -> None:
    assert look(server, content).problem.startswith(problem)


def test_a_still_picture_is_no_video(server: Any, still_picture: bytes) -> None:
    assert look(server, still_picture).problem == "it is a still picture, not a video"


def test_sound_alone_cannot_be_searched(server: Any, sound: bytes) -> None:
    assert look(server, sound).problem == "it has no picture track, only sound"


def test_a_track_without_pictures_cannot_be_searched(server: Any, film: Any) -> None:
    content = film(TIMES, flags=FRAGMENTED)

    outcome = look(server, content[: content.index(b"moof") - 4])

    assert outcome.problem != ""


def test_a_file_cut_off_before_its_index_cannot_be_searched(server: Any, film: Any) -> None:
    content = film(TIMES, noise=True)

    problem = look(server, content[: len(content) // 2]).problem

    assert problem == "it is not a video, or it was cut off before its index"


@pytest.mark.parametrize("flags", ["faststart", FRAGMENTED])
def test_a_file_cut_off_after_its_index_is_kept_as_truncated(
    server: Any, film: Any, flags: str
) -> None:
    content = film(TIMES, flags=flags, noise=True)

    outcome = look(server, content[: len(content) * 6 // 10])

    assert (outcome.problem, outcome.truncated) == ("", True)
    assert 30 <= outcome.frames <= 70


def test_a_cut_off_file_tells_how_much_it_lacks(server: Any, film: Any) -> None:
    content = film(TIMES, flags="faststart", noise=True)

    outcome = look(server, content[: len(content) * 6 // 10])

    assert outcome.seconds + outcome.missing_seconds == pytest.approx(4, abs=0.1)
    assert outcome.missing_seconds > 1


async def test_the_prober_describes_a_file_from_a_process_of_its_own(
    server: Any, film: Any
) -> None:
    probe = (await SubprocessProber().probe(server.serve(film(TIMES)))).probe

    assert (probe.video.codec, probe.video.frame_count) == ("h264", 100)
    assert abs(probe.duration - timedelta(seconds=4)) < timedelta(seconds=0.05)
    assert probe.problems == ()


async def test_the_prober_tells_what_was_cut_off(server: Any, film: Any) -> None:
    content = film(TIMES, flags="faststart", noise=True)

    content = content[: len(content) // 2]

    probe = (await SubprocessProber().probe(server.serve(content))).probe

    assert probe.problems == (FootageProblem.TRUNCATED,)


async def test_the_prober_refuses_what_cannot_be_searched(server: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError) as refused:
        await SubprocessProber().probe(server.serve(b"no video"))

    assert refused.value.reason is errors.Reason.FOOTAGE_UNREADABLE
    assert refused.value.metadata["problem"].startswith("it is not a video")


async def test_the_prober_says_when_the_store_does_not_answer(server: Any) -> None:
    server.statuses = [500]

    with pytest.raises(errors.UnavailableError):
        await SubprocessProber().probe(server.serve(b"no video"))


def test_packets_are_summed_up_by_second_after_each_key_picture() -> None:
    seen = [(0, 900, True), (40, 10, False), (960, 20, False), (1000, 5, False), (2000, 800, True)]

    groups = packet_groups(seen, 0.001)

    assert groups == [
        PacketGroup(0.0, 900, (30, 5), (2, 1)),
        PacketGroup(2.0, 800, (), ()),
    ]


def test_packets_are_summed_up_in_the_order_in_which_they_are_shown() -> None:
    decoding_order = [(0, 900, True), (120, 30, False), (40, 10, False), (80, 10, False)]

    (group,) = packet_groups(decoding_order, 0.001)

    assert (group.sizes, group.pictures) == ((50,), (3,))


def test_times_begin_with_the_first_picture() -> None:
    assert [group.start for group in packet_groups([(5000, 1, True), (7000, 1, True)], 0.001)] == [
        0.0,
        2.0,
    ]


def test_damaged_time_stamps_tell_nothing_of_packets() -> None:
    assert packet_groups([(0, 1, True), (10**12, 1, False)], 0.001) == []


@pytest.mark.parametrize(("b_frames", "anchors"), [(0, 25.0), (3, 25 / 4)])
def test_pictures_that_others_are_predicted_from_are_counted(
    server: Any, film: Any, b_frames: int, anchors: float
) -> None:
    outcome = look(server, film(TIMES, b_frames=b_frames, gop=100))

    assert outcome.anchor_rate == pytest.approx(anchors, rel=0.15)


@pytest.mark.parametrize(
    ("times", "steady"),
    [
        (range(0, 4000, 40), True),
        ([*range(0, 4000, 40), *range(5000, 9000, 40)], True),
        ([number * 1001 for number in range(100)], True),
        ([*range(0, 2000, 40), *range(2000, 7000, 200)], False),
        ([0], False),
    ],
    ids=["25 a second", "a second is missing", "29.97 a second", "variable", "one picture"],
)
def test_a_rate_is_steady_or_not(times: Any, steady: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_steady(times) is steady


async def test_a_probe_tells_the_packets(server: Any, film: Any) -> None:
    examined = await SubprocessProber().probe(server.serve(film(TIMES, gop=50)))

    assert [group.start for group in examined.packets] == [0.0, 2.0]
    assert [sum(group.pictures) for group in examined.packets] == [49, 49]
