from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from homeward.ingestion.adapters.http_file import HttpFile
from homeward.ingestion.adapters.probe import Outcome, SubprocessProber, examine
from homeward.ingestion.model import FootageProblem
from homeward.servicekit import errors

TIMES = [number / 25 for number in range(100)]
FRAGMENTED = "frag_keyframe+empty_moov"


def look(server: Any, content: bytes) -> Outcome:
    with HttpFile(server.serve(content)) as file:
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
    probe = await SubprocessProber().probe(server.serve(film(TIMES)))

    assert (probe.video.codec, probe.video.frame_count) == ("h264", 100)
    assert abs(probe.duration - timedelta(seconds=4)) < timedelta(seconds=0.05)
    assert probe.problems == ()


async def test_the_prober_tells_what_was_cut_off(server: Any, film: Any) -> None:
    content = film(TIMES, flags="faststart", noise=True)

    probe = await SubprocessProber().probe(server.serve(content[: len(content) // 2]))

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
