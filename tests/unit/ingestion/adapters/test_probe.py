from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from structlog.testing import capture_logs

from homeward.ingestion.adapters import probe as module
from homeward.ingestion.adapters.caged import EXAMINING, MediaCage, media_cage_server
from homeward.ingestion.adapters.containers import WITHOUT_TIMES
from homeward.ingestion.adapters.http_file import HttpBlocks
from homeward.ingestion.adapters.probe import (
    ASSUMED_RATE,
    MOST_TOLD,
    CagedProber,
    described,
    is_steady,
)
from homeward.ingestion.cage.messages import Examination as Facts
from homeward.ingestion.cage.messages import TrackFacts
from homeward.ingestion.footage.limits import (
    DAMAGED_SHARE,
    MAX_HOLES,
    MAX_KEY_PICTURES,
    MAX_SIDE_PX,
    MAX_SPAN,
    RARE_KEY_PICTURES,
    RARE_RATE,
)
from homeward.ingestion.footage.media import FootageProblem, Orientation, Presentation, Stretch
from homeward.ingestion.footage.timeline import UNKNOWN, VERSION, Examination
from homeward.servicekit import errors
from homeward.servicekit.cage import CageBrokenError
from homeward.servicekit.executor import BoundedExecutor
from kinds.dahua import dhav

TIMES = [number / 25 for number in range(100)]
FRAGMENTED = "frag_keyframe+empty_moov"

Look = Callable[[bytes], Facts]
Describe = Callable[[bytes], Examination]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.fixture(scope="module")
def cage() -> Iterator[MediaCage]:
    """One cage for all: a file that cannot be searched leaves it as it was."""
    with closing(media_cage_server()) as server, closing(MediaCage(server, EXAMINING)) as cage:
        yield cage


@pytest.fixture
def look(cage: MediaCage, server: Any) -> Look:
    return lambda content: cage.examine(HttpBlocks(server.serve(content)))[0]


@pytest.fixture
def describe(cage: MediaCage, server: Any) -> Describe:
    return lambda content: described(*cage.examine(HttpBlocks(server.serve(content))))


def test_a_good_file_is_described(describe: Describe, film: Any) -> None:
    examined = describe(film(TIMES))

    probe, video = examined.media, examined.media.video
    assert (probe.problems, probe.findings, probe.holes) == ((), (), ())
    assert (video.codec, video.width, video.height) == ("h264", 96, 64)
    assert (video.frame_count, video.key_frame_count) == (100, 10)
    assert video.steady
    assert (probe.duration, probe.uncertain_from) == (seconds(4), None)
    assert video.average_frame_rate == pytest.approx(25, rel=0.001)
    assert probe.version == VERSION


@pytest.mark.parametrize(
    ("container", "ticks"), [("mp4", 1000), ("mkv", 1000), ("ts", 1000), ("avi", 25), ("h264", 25)]
)
@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_picture_of_every_container_has_its_time(
    describe: Describe, film: Any, *, container: str, ticks: int, b_frames: int
) -> None:
    content = film(TIMES, container=container, ticks=ticks, b_frames=b_frames)

    timeline = describe(content).timeline

    assert len(timeline) == 100
    np.testing.assert_allclose(timeline.shown / 1e6, TIMES, atol=0.002)


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi"])
def test_pictures_are_told_where_they_are_in_the_file(
    describe: Describe, film: Any, container: str
) -> None:
    content = film(TIMES, container=container)

    timeline = describe(content).timeline

    assert np.all(np.diff(timeline.positions) > 0)
    assert int((timeline.positions + timeline.sizes).max()) <= len(content)


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
def test_what_is_no_media_file_is_said_to_be_none(look: Look, content: bytes, problem: str) -> None:
    assert look(content).problem.startswith(problem)


def test_a_still_picture_is_no_video(look: Look, still_picture: bytes) -> None:
    assert look(still_picture).problem == "it is a still picture, not a video"


def test_an_animated_picture_is_no_video(look: Look, film: Any) -> None:
    content = film(TIMES[:10], container="gif", encoder="gif", pixel_format="rgb8")

    assert look(content).problem == "it is an animated picture, not a video"


def test_a_recording_whose_clock_was_set_back_between_its_ends_is_read(
    describe: Describe, film: Any
) -> None:
    coded = [film(TIMES, container="ts", noise=noise) for noise in (False, True)]
    began = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (5, 1)]
    content = b"".join(dhav(one, began=at) for one, at in zip(coded, began, strict=True))

    media = describe(content).media

    assert media.video.frame_count == 200
    assert media.problems == (FootageProblem.CLOCK_STEPPED,)


def test_sound_alone_cannot_be_searched(look: Look, sound: bytes) -> None:
    assert look(sound).problem == "it has no picture track, only sound"


def test_a_track_of_an_unknown_kind_is_not_called_sound(look: Look, film: Any) -> None:
    content = film(TIMES[:10]).replace(b"avc1", b"xyz1")

    assert look(content).problem == "it has no picture track that can be read"


def test_an_edit_list_that_leaves_all_pictures_out_is_named(look: Look, film: Any) -> None:
    content = film(TIMES[:10])
    at = content.index(b"elst") + 12  # an edit of no length
    edited = content[:at] + bytes(4) + content[at + 4 :]

    assert look(edited).problem == (
        "its edit list leaves all of its pictures out: copy it without that list"
    )


def test_a_file_without_any_track_is_refused(look: Look) -> None:
    empty = b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x01moov" + (2**63 - 1).to_bytes(8)
    assert look(empty).problem == "it has no tracks: it is empty, or was cut off before its index"


@pytest.mark.parametrize("brand", [b"avif", b"avis", b"heic", b"mif1"])
def test_a_photograph_in_the_container_of_a_video_is_refused(
    look: Look, film: Any, brand: bytes
) -> None:
    content = film(TIMES[:10])
    at = content.index(b"ftyp") + 4
    branded = content[:at] + brand + content[at + 4 :]
    assert look(branded).problem == "it is a still picture, not a video"


def test_a_track_without_pictures_cannot_be_searched(look: Look, film: Any) -> None:
    content = film(TIMES, flags=FRAGMENTED)

    facts = look(content[: content.index(b"moof") - 4])

    assert facts.problem != ""


def test_a_file_cut_off_before_its_index_cannot_be_searched(look: Look, film: Any) -> None:
    content = film(TIMES, noise=True)

    problem = look(content[: len(content) // 2]).problem

    assert problem == "it is not a video of a kind that is read, or it was cut off before its index"


@pytest.mark.parametrize("flags", ["faststart", FRAGMENTED])
def test_a_file_cut_off_after_its_index_is_kept_as_truncated(
    describe: Describe, film: Any, flags: str
) -> None:
    content = film(TIMES, flags=flags, noise=True)

    probe = describe(content[: len(content) * 6 // 10]).media

    assert probe.problems == (FootageProblem.TRUNCATED,)
    assert 30 <= probe.video.frame_count <= 70


def test_a_cut_off_file_tells_how_much_it_lacks(describe: Describe, film: Any) -> None:
    content = film(TIMES, flags="faststart", noise=True)

    probe = describe(content[: len(content) * 6 // 10]).media

    assert probe.duration + probe.missing == pytest.approx(seconds(4), abs=seconds(0.1))
    assert probe.missing > seconds(1)
    (finding,) = probe.findings
    assert finding.detail.startswith("the file ends before the length that it states: 1.")


def test_of_several_tracks_the_one_that_shows_most_is_searched(
    describe: Describe, two_tracks: bytes
) -> None:
    probe = describe(two_tracks).media

    assert (probe.video.width, probe.video.presentation.track) == (96, 1)
    (finding,) = probe.findings
    assert finding.problem is FootageProblem.OTHER_TRACKS
    assert finding.detail == (
        "it has 2 picture tracks; track 1 (96 x 64, h264) is searched, and not track 0 (48 x 32,"
        " h264): what is on those needs a file of its own"
    )


def test_a_large_cover_is_not_taken_for_the_recording(describe: Describe, covered: bytes) -> None:
    media = describe(covered).media

    assert (media.video.width, media.video.frame_count) == (96, 50)
    assert media.problems == (FootageProblem.OTHER_TRACKS,)


def test_a_packet_that_says_that_nothing_changes_is_no_key_picture(
    describe: Describe, unchanged: bytes
) -> None:
    video = describe(unchanged).media.video

    assert (video.frame_count, video.key_frame_count) == (50, 5)


@pytest.mark.parametrize("container", ["flv", "mp4"])
def test_it_is_told_where_much_of_a_file_comes_after_its_last_picture(
    describe: Describe, film: Any, container: str
) -> None:
    content = film(TIMES, container=container, noise=True)

    media = describe(content + content).media

    assert media.duration == seconds(4)
    (finding,) = media.findings
    assert finding.problem is FootageProblem.REST_UNREAD
    assert finding.detail.startswith("50% of the file come after its last picture, which is 4.0 s")


def test_a_transport_stream_that_numbers_its_tracks_anew_goes_on(
    describe: Describe, renumbered: bytes
) -> None:
    timeline = describe(renumbered).timeline

    # The last picture of the first part comes last: only then is it known to be complete.
    np.testing.assert_allclose(timeline.shown / 1e6, TIMES, atol=0.042)


def test_a_squeezed_recording_is_as_wide_as_it_is_shown(describe: Describe, film: Any) -> None:
    video = describe(film(TIMES, aspect=Fraction(2, 1))).media.video

    assert (video.width, video.height, video.presentation.pixel_aspect) == (192, 64, 2.0)


def test_a_cage_is_as_good_after_a_file_that_cannot_be_read(look: Look, film: Any) -> None:
    assert look(b"no video").problem
    assert look(film(TIMES)).problem == ""


@pytest.fixture
async def prober() -> AsyncIterator[CagedProber]:
    async with BoundedExecutor("probe", workers=1, queue=1) as executor:
        with closing(CagedProber(executor)) as prober:
            yield prober


async def test_the_prober_describes_a_file_from_a_cage_of_its_own(
    prober: CagedProber, server: Any, film: Any
) -> None:
    probe = (await prober.probe(server.serve(film(TIMES)))).media

    assert (probe.video.codec, probe.video.frame_count) == ("h264", 100)
    assert abs(probe.duration - timedelta(seconds=4)) < timedelta(seconds=0.05)
    assert probe.problems == ()


async def test_the_prober_logs_what_keeps_its_cages_in(prober: CagedProber) -> None:
    with capture_logs() as logs:
        await prober.log_protections()
    (line,) = logs
    assert line["event"] == "recordings are read in a cage"
    assert line["calls_forbidden"]


async def test_the_prober_says_when_no_cage_starts(
    prober: CagedProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(errors.UnavailableError, match="a process of its own"):
        await prober.log_protections()


async def test_the_prober_tells_what_was_cut_off(
    prober: CagedProber, server: Any, film: Any
) -> None:
    content = film(TIMES, flags="faststart", noise=True)
    content = content[: len(content) // 2]

    probe = (await prober.probe(server.serve(content))).media

    assert probe.problems == (FootageProblem.TRUNCATED,)


async def test_the_prober_refuses_what_cannot_be_searched(prober: CagedProber, server: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError) as refused:
        await prober.probe(server.serve(b"no video"))

    assert refused.value.reason is errors.Reason.FOOTAGE_UNREADABLE
    assert refused.value.metadata["problem"].startswith("it is not a video")


async def test_the_prober_says_when_the_store_does_not_answer(
    prober: CagedProber, server: Any
) -> None:
    server.statuses = [500]

    with pytest.raises(errors.UnavailableError):
        await prober.probe(server.serve(b"no video"))


async def test_a_file_that_breaks_its_cage_is_refused_with_the_cause(
    prober: CagedProber, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise CageBrokenError("it crashed the decoder")

    monkeypatch.setattr(module.MediaCage, "examine", crash)

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await prober.probe(server.serve(b"a bomb"))

    assert refused.value.reason is errors.Reason.FOOTAGE_UNREADABLE
    assert refused.value.metadata["problem"] == "reading it was ended: it crashed the decoder"


@pytest.mark.parametrize(
    ("b_frames", "anchors", "references"),
    [(0, 25.0, 25.0), (3, 25 / 4, 25 / 2), (15, 2.0, 3.75)],
)
def test_pictures_that_others_are_predicted_from_are_counted(
    describe: Describe, film: Any, b_frames: int, anchors: float, references: float
) -> None:
    video = describe(film(TIMES, b_frames=b_frames, gop=100)).media.video

    assert video.anchor_rate == pytest.approx(anchors, rel=0.2)
    assert video.reference_rate == pytest.approx(references, rel=0.2)


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
    assert is_steady(np.array(times)) is steady


def test_a_probe_tells_how_large_pictures_are(describe: Describe, film: Any) -> None:
    groups = describe(film(TIMES, gop=50)).timeline.groups

    assert [group.start for group in groups] == [0.0, 2.0]
    assert [sum(group.pictures) for group in groups] == [49, 49]


def track(index: int = 0, **changes: Any) -> TrackFacts:
    facts = TrackFacts(index, "h264", 640, 360, pictures=100, size=100_000, decodes=True)
    return msgspec.structs.replace(facts, **changes)


def facts(**changes: Any) -> Facts:
    """What a cage says of a file of milliseconds."""
    given: Any = {"tracks": [track()], "tick": 0.001, "rate": 25.0, "count": 100}
    return Facts(**{**given, **changes})


def stamped(pts: Any, dts: Any = None) -> dict[str, Any]:
    """The stamps of pictures as a cage gives them; milliseconds."""
    count = len(pts)
    return {
        "dts": np.array(pts if dts is None else dts, np.int64),
        "pts": np.array(pts, np.int64),
        "positions": np.arange(count, dtype=np.int64) * 1000,
        "sizes": np.full(count, 1000, np.int64),
        "keys": (np.arange(count) % 50 == 0).astype(np.int64),
    }


STEADY = list(range(0, 8000, 40))


def findings(examined: Examination) -> list[tuple[FootageProblem, str]]:
    return [(one.problem, one.detail) for one in examined.media.findings]


def test_a_recording_with_a_hole_tells_where_and_how_long() -> None:
    examined = described(facts(), stamped([*range(0, 4000, 40), *range(14_000, 18_000, 40)]))

    assert examined.media.holes == (Stretch(seconds(4), seconds(14)),)
    assert examined.media.duration == seconds(18)
    assert examined.media.video.average_frame_rate == pytest.approx(25)
    assert findings(examined) == [
        (
            FootageProblem.PICTURES_MISSING,
            (
                "it has no pictures for 10.0 s, 4.0 s from its beginning; if the recorder paused"
                " there, times are right after it; if its clock was set, they are not"
            ),
        )
    ]


def test_a_recording_with_many_holes_names_the_first_ones() -> None:
    pictures = [start + at for start in range(0, 100_000, 20_000) for at in range(0, 4000, 40)]

    ((problem, detail),) = findings(described(facts(), stamped(pictures)))

    assert problem is FootageProblem.PICTURES_MISSING
    assert detail.startswith(
        "it has no pictures for 0:01:04, 4.0 s, 24.0 s, 44.0 s from its beginning and at 1 more"
    )
    assert MOST_TOLD == 3


def test_a_recording_whose_clock_is_set_tells_from_where_on_times_are_uncertain() -> None:
    examined = described(facts(), stamped([*range(100_000, 104_000, 40), *range(0, 4000, 40)]))

    assert examined.media.uncertain_from == seconds(4)
    assert (examined.media.duration, examined.media.holes) == (seconds(8), ())
    assert findings(examined) == [
        (
            FootageProblem.CLOCK_STEPPED,
            (
                "its clock is set anew 4.0 s from its beginning: what follows is taken to follow at"
                " once, and its times are uncertain"
            ),
        )
    ]


def test_a_recording_with_an_impossible_time_tells_that_it_is_ignored() -> None:
    wild = [*STEADY[:50], 10**9, *STEADY[51:]]

    assert findings(described(facts(), stamped(wild, STEADY))) == [
        (
            FootageProblem.TIMES_IGNORED,
            "impossible times of its pictures: 1; they are ignored",
        )
    ]


@pytest.mark.parametrize(
    ("rate", "duration", "detail"),
    [
        (10.0, 20, "10 a second are taken, as the pictures state"),
        (0.0, 200 / ASSUMED_RATE, "25 a second are taken, since nothing states another rate"),
    ],
)
def test_a_recording_without_times_tells_which_rate_is_taken(
    rate: float, duration: float, detail: str
) -> None:
    examined = described(facts(rate=rate), stamped([UNKNOWN] * 200))

    assert examined.media.duration == pytest.approx(seconds(duration), abs=seconds(0.01))
    assert findings(examined) == [
        (FootageProblem.NO_TIMES, f"it gives its pictures no times: {detail}")
    ]


@pytest.mark.parametrize("container", sorted(WITHOUT_TIMES))
def test_of_pictures_without_a_container_times_are_made_up(container: str) -> None:
    (finding,) = described(facts(container=container), stamped(STEADY)).media.findings

    assert finding.problem is FootageProblem.NO_TIMES


def test_a_rate_that_no_camera_has_is_not_taken() -> None:
    examined = described(facts(rate=1e6, tick=1e-6), stamped(range(200)))

    assert examined.media.duration == seconds(8)
    assert [problem for problem, _ in findings(examined)] == [FootageProblem.NO_TIMES]


@pytest.mark.parametrize(("declared", "problems"), [(8.4, []), (9.0, [FootageProblem.TRUNCATED])])
def test_pictures_that_a_recorder_left_out_are_not_missing_at_the_end(
    declared: float, problems: list[FootageProblem]
) -> None:
    stated = facts(declared_pictures=300, declared_seconds=declared)

    assert [problem for problem, _ in findings(described(stated, stamped(STEADY)))] == problems


def test_pictures_of_which_parts_are_missing_are_told() -> None:
    (finding,) = described(facts(count=200, damaged=10), stamped(STEADY)).media.findings

    assert finding.problem is FootageProblem.PICTURES_DAMAGED
    assert finding.detail.startswith("10 of its 200 pictures are damaged")


def test_a_few_damaged_pictures_are_not_worth_a_word() -> None:
    damaged = round(DAMAGED_SHARE * 1000)

    examined = described(facts(count=1000, damaged=damaged), stamped(range(0, 40_000, 40)))

    assert findings(examined) == []


def test_packets_that_are_lost_of_a_transport_stream_damage_pictures(
    describe: Describe, film: Any
) -> None:
    content = film(TIMES, container="ts", noise=True)
    packets = [content[at : at + 188] for at in range(0, len(content), 188)]

    media = describe(b"".join(one for at, one in enumerate(packets) if at % 101 != 100)).media

    assert media.problems == (FootageProblem.PICTURES_DAMAGED,)


def test_an_index_after_the_last_picture_is_not_worth_a_word() -> None:
    assert findings(described(facts(size=10_000_000, rest=1_000_000), stamped(STEADY))) == []


def test_a_recording_whose_beginning_does_not_decode_tells_how_much() -> None:
    assert findings(described(facts(first_decoded=50), stamped(STEADY))) == [
        (
            FootageProblem.BEGINNING_LOST,
            "its first 2.0 s do not decode: the picture that they build on is missing",
        )
    ]


def test_the_first_second_may_not_decode_without_a_word() -> None:
    assert findings(described(facts(first_decoded=24), stamped(STEADY))) == []


def test_a_track_without_pictures_is_no_other_track() -> None:
    tracks = [track(), track(1, pictures=0, size=0, decodes=False)]

    assert findings(described(facts(tracks=tracks), stamped(STEADY))) == []


def test_pictures_that_are_too_large_are_told_to_be_shrunk() -> None:
    large = [track(width=2 * MAX_SIDE_PX, height=1000)]

    examined = described(facts(tracks=large), stamped(STEADY))

    assert [problem for problem, _ in findings(examined)] == [FootageProblem.SHRUNK]
    assert (examined.media.video.width, examined.media.video.height) == (MAX_SIDE_PX, 500)


def test_a_recording_that_lies_on_its_side_is_as_wide_as_it_is_shown() -> None:
    turned = facts(transpose=True, mirror_x=True, pixel_aspect=2.0)

    video = described(turned, stamped(STEADY)).media.video

    assert (video.width, video.height) == (360, 1280)
    assert video.presentation == Presentation(
        0, Orientation(transpose=True, mirror_x=True, mirror_y=False), 2.0
    )


def test_pictures_that_an_edit_list_leaves_out_are_not_counted() -> None:
    arrays = stamped(STEADY)
    arrays["keys"][:10] |= 2

    examined = described(facts(), arrays)

    assert (len(examined.timeline), examined.media.video.frame_count) == (200, 190)
    assert examined.media.duration == seconds(8 - 0.4)


def bursts(holes: int) -> list[int]:
    """Ten pictures at a time, with so many holes between."""
    return [start + at for start in range(0, (holes + 1) * 3000, 3000) for at in range(0, 400, 40)]


WEEK = MAX_SPAN // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("pts", "problem"),
    [
        (
            range(0, WEEK + 10_000, 10_000),
            "its pictures lie 168:00:10 apart, more than 7 days: split it",
        ),
        (
            [0, 40, 80, *range(0, 9 * 86_400_000, 43_200_000)],
            "its pictures lie 216:00:10 apart, more than 7 days: split it",
        ),
        (
            bursts(MAX_HOLES + 1),
            (
                f"its pictures are missing at {MAX_HOLES + 1} places, more than {MAX_HOLES}: it is"
                " a series of pictures rather than a recording; split it, or convert it to one"
                " with a steady rate"
            ),
        ),
    ],
    ids=["a little too long", "too long", "too many holes"],
)
def test_what_is_no_recording_is_refused_with_what_to_do(pts: Any, problem: str) -> None:
    with pytest.raises(errors.InvalidArgumentError) as refused:
        described(facts(), stamped(pts))

    assert refused.value.reason is errors.Reason.FOOTAGE_UNREADABLE
    assert refused.value.metadata["problem"] == problem
    assert timedelta(days=7) == MAX_SPAN


def test_a_week_with_a_picture_in_ten_seconds_is_a_recording() -> None:
    examined = described(facts(), stamped(range(0, WEEK, 10_000)))

    assert (examined.media.duration, examined.media.holes) == (MAX_SPAN, ())
    assert findings(examined) == [
        (
            FootageProblem.PICTURES_RARE,
            "it has a picture every 10.0 s: whoever passes between two is on none",
        )
    ]


def test_as_many_holes_as_may_be_are_told() -> None:
    assert len(described(facts(), stamped(bursts(MAX_HOLES))).media.holes) == MAX_HOLES


@pytest.mark.parametrize(
    ("apart", "problems"), [(2000, []), (2001, [FootageProblem.PICTURES_RARE])]
)
def test_it_is_told_where_whoever_passes_may_be_on_no_picture(
    apart: int, problems: list[FootageProblem]
) -> None:
    examined = described(facts(), stamped(range(0, 200 * apart, apart)))

    assert [problem for problem, _ in findings(examined)] == problems
    assert RARE_RATE == 1 / 2


def with_keys(count: int, *keys: int) -> dict[str, Any]:
    """The stamps of so many pictures at 25 a second, of which these are key pictures."""
    arrays = stamped(range(0, 40 * count, 40))
    arrays["keys"][:] = 0
    arrays["keys"][list(keys)] = 1
    return arrays


def test_it_is_told_where_key_pictures_are_rare() -> None:
    key = RARE_KEY_PICTURES
    # After the first key picture as many as may be, after the second one more.
    examined = described(facts(), with_keys(2 * key + 4, 0, key + 1, 2 * key + 3))

    keyless = Stretch(seconds((key + 1) / 25), seconds((2 * key + 3) / 25))
    assert examined.media.keyless == (keyless,)
    assert findings(examined) == [
        (
            FootageProblem.KEY_PICTURES_RARE,
            (
                f"it has up to {key + 1} pictures in a row without a key picture: a"
                " search of a part of them decodes all that come before, and takes longer; a"
                " conversion with more key pictures is searched faster"
            ),
        )
    ]


@pytest.mark.parametrize("keys", [(0,), (2,)], ids=["a key picture at first", "one a little later"])
def test_a_recording_with_one_key_picture_is_searched_from_there(keys: tuple[int, ...]) -> None:
    examined = described(facts(), with_keys(2 * RARE_KEY_PICTURES, *keys))

    (keyless,) = examined.media.keyless
    assert keyless == Stretch(seconds(keys[0] / 25), examined.media.duration)


def test_more_pictures_without_a_key_picture_are_refused_with_what_to_do() -> None:
    assert described(facts(), with_keys(MAX_KEY_PICTURES + 1, 0)).media.keyless

    with pytest.raises(errors.InvalidArgumentError) as refused:
        described(facts(), with_keys(MAX_KEY_PICTURES + 2, 0))

    assert refused.value.reason is errors.Reason.FOOTAGE_UNREADABLE
    assert refused.value.metadata["problem"] == (
        f"it has {MAX_KEY_PICTURES + 1} pictures in a row without a key picture; at most"
        f" {MAX_KEY_PICTURES} are searched: convert it, with key pictures"
    )
