from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from homeward.core.vision.regions import Region
from homeward.ingestion.adapters import caged, shared_pictures
from homeward.ingestion.adapters.caged import DECODING, EXAMINING, MediaCage, media_cage_server
from homeward.ingestion.adapters.http_file import HttpBlocks
from homeward.ingestion.adapters.media import (
    AHEAD,
    MOST_EARLIER,
    CagedFrameSource,
    Skip,
    skipped,
    task_of,
)
from homeward.ingestion.adapters.probe import described
from homeward.ingestion.cage.messages import Decode, Done, Examine, Open, Picture
from homeward.ingestion.footage.limits import RARE_KEY_PICTURES
from homeward.ingestion.footage.media import Orientation, Stretch, VideoTrack
from homeward.ingestion.footage.timeline import Timeline
from homeward.ingestion.scan.faces import Frame
from homeward.ingestion.scan.ports import Piece, Undecodable
from homeward.servicekit import errors
from homeward.servicekit.cage import Cage, CageBrokenError
from homeward.servicekit.executor import BoundedExecutor

PICTURE = 0.04
STEADY = [number * PICTURE for number in range(100)]
VARIABLE = [number * PICTURE for number in range(50)] + [2 + number * 0.2 for number in range(25)]
VIDEO = VideoTrack("h264", 96, 64, 25, 100, 10)
NTSC = [number * 1001 / 30000 for number in range(120)]
LATE = [5 + at for at in STEADY]
EXACT = 0.001
"""The clock of a film, seconds: no time is farther off."""


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@dataclass
class Held:
    """A recording that was taken in."""

    url: str
    video: VideoTrack
    timeline: Timeline

    @property
    def whole(self) -> Stretch:
        return Stretch(seconds(0), self.timeline.duration)


@pytest.fixture(scope="module")
def examining() -> Iterator[MediaCage]:
    with closing(media_cage_server()) as server, closing(MediaCage(server, EXAMINING)) as cage:
        yield cage


@pytest.fixture(scope="module")
def decoding() -> Iterator[MediaCage]:
    with closing(media_cage_server()) as server, closing(MediaCage(server, DECODING)) as cage:
        yield cage


Take = Callable[[bytes], Held]


@pytest.fixture
def take(examining: MediaCage, server: Any) -> Take:
    """Take a recording in, as the service does."""

    def taken(content: bytes) -> Held:
        url = server.serve(content)
        with closing(HttpBlocks(url)) as blocks:
            examined = described(*examining.examine(blocks))
        server.ranges.clear()
        return Held(url, examined.media.video, examined.timeline)

    return taken


Play = Callable[..., list[Frame]]


@pytest.fixture
def play(decoding: MediaCage) -> Play:
    """Decode a piece of a recording in a cage, and return its pictures."""

    def played(
        held: Held,
        piece: Piece | None = None,
        *,
        rate: float = 25,
        skip: Skip = "DEFAULT",
        earlier: int = 0,
    ) -> list[Any]:
        told = task_of(
            held.timeline, piece or Piece(held.whole), rate=rate, skip=skip, earlier=earlier
        )
        shown = held.video.presentation
        assert told is not None
        with closing(HttpBlocks(held.url)) as blocks:
            task = Open(
                blocks.size,
                shown.track,
                *(shown.orientation.transpose, shown.orientation.mirror_x),
                shown.orientation.mirror_y,
                shown.pixel_aspect,
            )
            assert decoding.open(blocks, task) == ""
            *frames, done = decoding.decode(blocks, *told, lambda: False)
        assert done == Done()
        return frames

    return played


def piece(start: float, end: float) -> Piece:
    return Piece(Stretch(seconds(start), seconds(end)))


def offsets(items: list[Any]) -> list[float]:
    return [item.offset.total_seconds() for item in items]


def numbers(items: list[Any]) -> list[int]:
    """Which picture of the clip each is, as it shows."""
    images = [item.picture.cut(Region(0, 0, 96, 64)) for item in items]
    digits = [(image[:, 8:40].mean(), image[:, 56:88].mean()) for image in images]
    return [10 * round(tens / 20 - 1) + round(ones / 20 - 1) for tens, ones in digits]


@pytest.mark.parametrize(
    ("times", "how"),
    [
        (STEADY, {}),
        (STEADY, {"gop": 100}),
        (STEADY, {"b_frames": 3}),
        (STEADY, {"flags": "frag_keyframe+empty_moov"}),
        (STEADY, {"container": "ts"}),
        (STEADY, {"container": "ts", "b_frames": 3}),
        (STEADY, {"container": "mkv", "b_frames": 3}),
        (STEADY, {"container": "avi", "ticks": 25}),
        (STEADY, {"container": "h264", "ticks": 25}),
        (VARIABLE, {}),
        (NTSC, {}),
        (NTSC, {"b_frames": 2}),
        (LATE, {}),
        (LATE, {"container": "mkv"}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_every_picture_has_the_time_that_it_is_shown_at(
    take: Take, play: Play, film: Any, times: list[float], how: dict[str, Any]
) -> None:
    seen = play(take(film(times, **how)), rate=100)

    assert numbers(seen) == list(range(len(times)))
    np.testing.assert_allclose(offsets(seen), np.array(times) - times[0], atol=EXACT)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"gop": 100},
        {"b_frames": 3},
        {"container": "ts", "b_frames": 3},
        {"container": "mkv"},
        {"container": "avi", "ticks": 25},
        {"container": "h264", "ticks": 25},
    ],
    ids=lambda how: "-".join(map(str, how.values())),
)
def test_a_stretch_begins_and_ends_where_it_is_asked_to(
    take: Take, play: Play, film: Any, how: dict[str, Any]
) -> None:
    seen = play(take(film(STEADY, **how)), piece(1.48, 2.48), rate=100)

    assert numbers(seen) == list(range(37, 62))
    np.testing.assert_allclose(offsets(seen), STEADY[37:62], atol=EXACT)


def test_a_stretch_begins_with_the_picture_that_is_shown_then(
    take: Take, play: Play, film: Any
) -> None:
    seen = play(take(film(VARIABLE)), piece(2.5, 2.7), rate=100)

    assert offsets(seen) == [2.4, 2.6]


@pytest.mark.parametrize(("rate", "pictures"), [(5, 20), (2, 8), (12.5, 50), (100, 100)])
def test_pictures_are_sampled_at_the_rate(
    take: Take, play: Play, film: Any, rate: float, pictures: int
) -> None:
    seen = play(take(film(STEADY)), rate=rate)

    assert len(seen) == pytest.approx(pictures, abs=1)


@pytest.mark.parametrize(
    ("times", "skip"),
    [
        *((STEADY, skip) for skip in ("DEFAULT", "NONREF", "BIDIR")),
        *((NTSC, skip) for skip in ("DEFAULT", "NONREF", "BIDIR")),
        (VARIABLE, "DEFAULT"),
    ],
    ids=str,
)
def test_sampled_pictures_have_their_own_times_whatever_is_left_out(
    take: Take, play: Play, film: Any, times: list[float], skip: Any
) -> None:
    held = take(film(times, b_frames=3, gop=50))

    seen = play(held, rate=5, skip=skip)

    expected = [times[number] for number in numbers(seen)]
    np.testing.assert_allclose(offsets(seen), expected, atol=EXACT)
    assert max(np.diff(offsets(seen))) <= 0.4


def test_pictures_of_given_times_are_given(take: Take, play: Play, film: Any) -> None:
    at = (seconds(1.2), seconds(1.32), seconds(1.88))

    seen = play(take(film(STEADY, b_frames=2)), Piece(Stretch(seconds(1.2), seconds(2)), at))

    assert offsets(seen) == [1.2, 1.32, 1.88]
    assert numbers(seen) == [30, 33, 47]


@pytest.mark.parametrize("b_frames", [0, 3])
def test_a_key_picture_is_given_alone(take: Take, play: Play, film: Any, b_frames: int) -> None:
    instant = Stretch(seconds(1.6), seconds(1.600001))

    seen = play(take(film(STEADY, b_frames=b_frames)), Piece(instant, (seconds(1.6),)))

    assert (offsets(seen), numbers(seen)) == ([1.6], [40])


def test_of_a_picture_the_copy_alone_is_given_where_that_is_all_that_is_wanted(
    take: Take, play: Play, film: Any
) -> None:
    held, at = take(film(STEADY[:60], size=(4096, 64))), (seconds(1.6),)
    instant = Stretch(seconds(1.6), seconds(1.600001))

    (whole,) = play(held, Piece(instant, at))
    (small,) = play(held, Piece(instant, at, small=True))

    assert (whole.picture.width, whole.scale) == (4096, 0.5)
    assert (small.picture.width, small.picture.height, small.scale) == (2048, 32, 1.0)
    np.testing.assert_array_equal(small.copy, whole.copy)


def test_pictures_stay_as_they_are_however_many_are_held(
    take: Take, play: Play, film: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_pictures, "COPIED_FROM", 100_000)  # ten pictures

    assert numbers(play(take(film(STEADY)), rate=100)) == [*range(100)]


def test_at_a_given_time_the_picture_is_given_that_is_shown_then(
    take: Take, play: Play, film: Any
) -> None:
    stretch = Stretch(seconds(1.2), seconds(1.7))

    seen = play(take(film(STEADY)), Piece(stretch, (seconds(1.2), seconds(1.3), seconds(1.6))))

    assert offsets(seen) == [1.2, 1.28, 1.6]


@pytest.mark.parametrize("earlier", range(MOST_EARLIER + 1))
def test_where_decoding_begins_changes_no_picture(
    take: Take, play: Play, film: Any, earlier: int
) -> None:
    seen = play(take(film(STEADY)), piece(2, 3), rate=100, earlier=earlier)

    assert numbers(seen) == list(range(50, 75))


def damaged(content: bytes) -> bytes:
    """Overwrite the third quarter."""
    quarter = len(content) // 4
    return content[: 2 * quarter] + b"\xff" * quarter + content[3 * quarter :]


def test_a_damaged_stretch_is_left_out_and_decoding_goes_on(
    take: Take, play: Play, film: Any
) -> None:
    content = film([number * 0.2 for number in range(100)], flags="faststart", noise=True)
    held, broken = take(content), damaged(content)

    seen = play(replace(take(broken), timeline=held.timeline), rate=5)

    waits = np.diff(offsets(seen))
    first, after = offsets(seen)[waits.argmax()], offsets(seen)[waits.argmax() + 1]
    assert first < 11
    assert 14 < after < 18
    assert len(seen) - waits.argmax() > 10


def test_beyond_the_end_of_a_recording_there_is_no_picture(
    take: Take, play: Play, film: Any
) -> None:
    seen = play(take(film(STEADY)), piece(3, 10))

    assert offsets(seen)[-1] == pytest.approx(3.96)


def test_a_squeezed_recording_is_shown_wide(take: Take, play: Play, film: Any) -> None:
    frame = play(take(film(STEADY, aspect=Fraction(2, 1))))[0]

    assert (frame.picture.width, frame.picture.height) == (192, 64)


def test_a_recording_on_its_side_is_shown_upright(take: Take, play: Play, film: Any) -> None:
    held = take(film(STEADY))
    shown = replace(
        held.video.presentation,
        orientation=Orientation(transpose=True, mirror_x=True, mirror_y=False),
    )
    held.video = replace(held.video, presentation=shown)

    image = play(held)[5].picture.cut(Region(0, 0, 64, 96)).astype(int)

    # The fifth picture is dark on its left and brighter on its right: turned clockwise, below.
    assert image.shape == (96, 64, 3)
    assert image[8:40].mean() < image[56:88].mean() - 50


@pytest.mark.parametrize(
    ("size", "copy", "scale"), [((640, 360), (640, 360), 1.0), ((1920, 1080), (960, 540), 0.5)]
)
def test_a_picture_comes_with_a_copy_of_bounded_size(
    take: Take,
    play: Play,
    film: Any,
    *,
    size: tuple[int, int],
    copy: tuple[int, int],
    scale: float,
) -> None:
    frame = play(take(film(STEADY[:3], size=size)))[0]

    assert (frame.picture.width, frame.picture.height) == size
    assert frame.grey.shape[::-1] == copy
    assert frame.copy.shape == (copy[1] * 3 // 2, copy[0])
    assert frame.scale == scale


def test_of_several_tracks_the_chosen_one_is_decoded(
    take: Take, play: Play, two_tracks: bytes
) -> None:
    seen = play(take(two_tracks), rate=100)

    assert {(one.picture.width, one.picture.height) for one in seen} == {(96, 64)}
    assert len(seen) == 50


def test_a_recording_whose_clock_starts_anew_is_decoded_as_one(
    take: Take, play: Play, film: Any
) -> None:
    held = take(film(STEADY[:50], container="ts") + film(STEADY[50:], container="ts"))

    seen = play(held, rate=100)

    assert numbers(seen) == [*range(50), *range(50)]
    np.testing.assert_allclose(offsets(seen), STEADY, atol=0.05)


def test_a_file_that_is_no_longer_what_it_was_is_told(decoding: MediaCage, server: Any) -> None:
    with closing(HttpBlocks(server.serve(b"something else"))) as blocks:
        problem = decoding.open(blocks, Open(blocks.size, 0, False, False, False, 1.0))

    assert problem == "it can no longer be read as it was when it was taken in"


def timeline(make: Any) -> Timeline:
    made: Timeline = make.timeline(10, gop=2)
    return made


def test_a_cage_is_told_of_a_piece_from_its_key_picture_on(make: Any) -> None:
    told = task_of(timeline(make), piece(5, 6), rate=5, skip="NONREF", earlier=0)

    assert told is not None
    task, (times, positions, sizes) = told
    assert (task.first, task.start, task.end, task.period) == (100, 5_000_000, 6_000_000, 200_000)
    assert (len(times), len(positions), len(sizes)) == (50, 50, 50)
    assert (task.position, task.skip, task.at) == (positions[0], "NONREF", ())


@pytest.mark.parametrize(
    ("start", "earlier", "first", "may_be_late"),
    [
        (5, 0, 100, False),
        (5, 1, 50, False),
        (5, MOST_EARLIER, 0, True),
        (9, MOST_EARLIER, 100, True),
        (1, 0, 0, True),
        (3, 2, 0, True),
    ],
)
def test_a_last_try_takes_what_decodes_however_late(
    make: Any, *, start: float, earlier: int, first: int, may_be_late: bool
) -> None:
    told = task_of(timeline(make), piece(start, 10), rate=5, skip="DEFAULT", earlier=earlier)

    assert told is not None
    assert (told[0].first, told[0].may_be_late) == (first, may_be_late)


def test_a_cage_is_told_the_times_of_the_pictures_that_are_wanted(make: Any) -> None:
    wanted = Piece(Stretch(seconds(4), seconds(6)), (seconds(4.4), seconds(4.8)))

    told = task_of(timeline(make), wanted, rate=5, skip="DEFAULT", earlier=0)

    assert told is not None
    assert (told[0].at, told[0].period) == ((4_400_000, 4_800_000), 0)
    assert told[0].end == 4_800_001
    assert len(told[1][0]) == 21


def test_of_a_piece_without_pictures_a_cage_is_told_nothing(make: Any) -> None:
    holed = make.timeline_at([0, 0.04, 0.08, 20, 20.04], keys=[0, 3])

    assert task_of(holed, piece(0, 0.1), rate=5, skip="DEFAULT", earlier=0) is not None
    assert task_of(holed, Piece(Stretch(seconds(-2), seconds(-1))), rate=5, skip="DEFAULT",
                   earlier=0) is None  # fmt: skip


@pytest.mark.parametrize(
    ("anchors", "references", "skip"),
    [
        (6.25, 12.5, "BIDIR"),
        (5, 5, "BIDIR"),
        (4.9, 5, "NONREF"),
        (1.5, 2.9, "DEFAULT"),
        (0, 0, "DEFAULT"),
    ],
)
def test_only_what_is_not_needed_is_left_out(anchors: float, references: float, skip: str) -> None:
    video = replace(VIDEO, anchor_rate=anchors, reference_rate=references, steady=True)

    assert skipped(video, 5) == skip


def test_of_a_variable_rate_nothing_is_left_out() -> None:
    assert skipped(replace(VIDEO, anchor_rate=25, steady=False), 5) == "DEFAULT"


async def play_all(recording: Any) -> None:
    async with recording.frames([piece(0, 1)], rate=25) as frames:
        assert [item async for item in frames]


async def watch(
    source: CagedFrameSource,
    held: Held,
    pieces: list[Piece] | None = None,
    *,
    url: str = "",
    most: int = 1000,
) -> list[Any]:
    """Take pictures from a source, of two pieces by default, and leave it after some."""
    seen: list[Any] = []
    async with (
        source.open(url or held.url, held.video, held.timeline) as recording,
        recording.frames(pieces or [piece(0, 2), piece(2, 4)], rate=25) as frames,
    ):
        async for item in frames:
            seen.append(item)
            if len(seen) == most:
                break
    return seen


@pytest.fixture
async def source() -> AsyncIterator[CagedFrameSource]:
    async with BoundedExecutor("decode", workers=2, queue=2) as executor:
        with closing(CagedFrameSource(executor, decoders=2)) as source:
            yield source


async def test_a_source_gives_all_pictures(source: CagedFrameSource, take: Take, film: Any) -> None:
    seen = await watch(source, take(film(STEADY)))

    np.testing.assert_allclose(offsets(seen), STEADY, atol=EXACT)


async def test_pieces_that_are_decoded_side_by_side_come_in_order(
    source: CagedFrameSource, take: Take, film: Any
) -> None:
    pieces = [piece(n * 0.4, (n + 1) * 0.4) for n in range(10)]

    seen = await watch(source, take(film(STEADY)), pieces)

    np.testing.assert_allclose(offsets(seen), STEADY, atol=EXACT)


async def test_a_source_may_be_left_early_and_used_again(
    source: CagedFrameSource, take: Take, film: Any
) -> None:
    held = take(film(STEADY))

    first, second = await watch(source, held, most=3), await watch(source, held, most=5)

    assert (len(first), len(second)) == (3, 5)


async def test_a_source_may_be_left_early_while_a_piece_waits_for_a_thread(
    take: Take, film: Any
) -> None:
    # The first piece has more pictures than are decoded ahead, and keeps the only thread.
    assert AHEAD < 50
    async with BoundedExecutor("decode", workers=1, queue=2) as executor, asyncio.timeout(10):
        with closing(CagedFrameSource(executor, decoders=2)) as source:
            seen = await watch(source, take(film(STEADY)), most=3)

    assert len(seen) == 3


async def test_a_recording_that_is_open_twice_is_read_once(
    source: CagedFrameSource, take: Take, server: Any, film: Any
) -> None:
    held = take(film(STEADY))

    async with source.open(held.url, held.video, held.timeline):
        first = await watch(source, held, url=f"{held.url}-of-another")
        second = await watch(source, held)
        assert (len(first), len(second)) == (100, 100)
    await watch(source, held)  # the next segment of it finds it open
    assert len(server.ranges) == 1

    source.close()
    await watch(source, held)
    assert len(server.ranges) == 2


async def test_a_recording_that_nobody_searches_gives_its_cages_up_to_another(
    source: CagedFrameSource, take: Take, server: Any, film: Any
) -> None:
    held = take(film(STEADY))
    await watch(source, held)
    await watch(source, held, url=held.url.replace("file", "file/another"))

    await watch(source, held)  # it did not linger

    assert len(server.ranges) == 3


async def test_a_recording_that_is_searched_keeps_its_cages(
    source: CagedFrameSource, take: Take, server: Any, film: Any
) -> None:
    held = take(film(STEADY))
    async with source.open(held.url, held.video, held.timeline) as recording:
        await play_all(recording)
        await watch(source, held, url=held.url.replace("file", "file/another"))
        await play_all(recording)

    assert len(server.ranges) == 2


async def test_a_recording_that_is_shown_in_two_ways_is_two(
    source: CagedFrameSource, take: Take, film: Any
) -> None:
    held = take(film(STEADY))
    shown = replace(held.video.presentation, pixel_aspect=2.0)
    wide = replace(held, video=replace(held.video, presentation=shown))

    async with source.open(held.url, held.video, held.timeline):
        seen = await watch(source, wide)

    assert {one.picture.width for one in seen} == {192}


async def test_an_open_recording_is_read_by_the_url_that_came_last(
    source: CagedFrameSource, take: Take, server: Any, film: Any
) -> None:
    held = take(film(STEADY))
    expired = "http://localhost:1/file?expired"

    async with source.open(expired, held.video, held.timeline) as recording:
        recording.enter(held.url)
        await play_all(recording)
        recording.leave()

    assert len(server.ranges) == 1


async def test_a_recording_that_is_gone_is_an_error(
    source: CagedFrameSource, take: Take, server: Any, film: Any
) -> None:
    held = take(film(STEADY))
    server.statuses = [404]

    with pytest.raises(errors.NotFoundError) as refused:
        await watch(source, held)

    assert refused.value.reason is errors.Reason.FOOTAGE_NOT_FOUND


async def test_a_piece_that_breaks_its_cage_is_told_and_the_others_are_decoded(
    source: CagedFrameSource, take: Take, film: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = MediaCage.decode

    def bomb(self: MediaCage, blocks: Any, task: Any, *how: Any) -> Any:
        crashes = task.start < 2_000_000
        return _crash(self) if crashes else decode(self, blocks, task, *how)

    monkeypatch.setattr(MediaCage, "decode", bomb)

    first, *rest = await watch(source, take(film(STEADY)))

    assert first == Undecodable(seconds(0), seconds(2), "it crashed the decoder")
    np.testing.assert_allclose(offsets(rest), STEADY[50:], atol=EXACT)


def _crash(cage: MediaCage) -> Any:
    cage.close()
    raise CageBrokenError("it crashed the decoder")


async def test_a_cage_that_gives_a_picture_twice_is_refused(
    source: CagedFrameSource, take: Take, film: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, given = Cage.receive, dict[int, int]()

    def again(self: Cage, kind: Any) -> Any:
        message = receive(self, kind)
        if not isinstance(message, Picture):
            return message
        message.time = given.setdefault(id(self), message.time)
        return message

    monkeypatch.setattr(Cage, "receive", again)

    seen = await watch(source, take(film(STEADY)))

    assert {one.cause for one in seen if isinstance(one, Undecodable)} == {
        "its decoder's answer made no sense"
    }
    assert offsets([one for one in seen if isinstance(one, Frame)]) == [0, 2]


async def test_a_recording_that_is_no_longer_what_it_was_is_told(
    source: CagedFrameSource, take: Take, server: Any, film: Any
) -> None:
    held = take(film(STEADY))
    server.serve(b"something else")

    seen = await watch(source, held)

    assert [(one.start, one.end) for one in seen] == [
        (seconds(0), seconds(2)),
        (seconds(2), seconds(4)),
    ]
    assert {one.cause for one in seen} == {
        "it can no longer be read as it was when it was taken in"
    }


def test_a_recording_with_one_key_picture_is_decoded_in_one_go(
    take: Take, play: Play, tmp_path: Path
) -> None:
    path, count = tmp_path / "one-key.mp4", RARE_KEY_PICTURES + 2
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.options = {"preset": "ultrafast", "x264-params": "keyint=infinite:scenecut=0"}
        for number in range(count):
            grey = np.full((96, 64), number % 200, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="yuv420p")))
        output.mux(stream.encode(None))

    held = take(path.read_bytes())

    assert held.timeline.key_runs.longer_than(RARE_KEY_PICTURES) == (held.whole,)
    seen = play(held, rate=5)
    times = np.array([0.0, *offsets(seen), count * PICTURE])
    assert np.diff(times).max() <= 0.2 + PICTURE + EXACT


@pytest.mark.parametrize(("pictures", "times"), [(39, 1), (40, 1), (41, 2), (80, 2), (81, 3)])
def test_a_decoder_has_its_processor_time_for_so_many_pictures(
    *,
    take: Take,
    play: Play,
    film: Any,
    monkeypatch: pytest.MonkeyPatch,
    pictures: int,
    times: int,
) -> None:
    allowed = []
    send_task = Cage.send_task

    def watched(self: Cage, task: Any, *, times: int) -> None:
        allowed.append((type(task), times))
        send_task(self, task, times=times)

    monkeypatch.setattr(Cage, "send_task", watched)
    monkeypatch.setattr(caged, "BUDGET_PICTURES", 40)

    held = take(film(STEADY[:pictures], gop=100))
    play(held, piece(0, 10), rate=5)

    assert allowed == [(Examine, 1), (Open, 1), (Decode, times)]
