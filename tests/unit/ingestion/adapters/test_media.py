from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from homeward.ingestion.adapters.containers import open_video
from homeward.ingestion.adapters.http_file import HttpBlocks, HttpFile
from homeward.ingestion.adapters.media import PyAvFrameSource, decode, skipped
from homeward.ingestion.model import Frame, Stretch, VideoTrack
from homeward.ingestion.ports import Piece, Undecodable
from homeward.servicekit import errors
from homeward.servicekit.executor import BoundedExecutor
from homeward.vision.regions import Region

PICTURE = 0.04
STEADY = [number * PICTURE for number in range(100)]
VARIABLE = [number * PICTURE for number in range(50)] + [2 + number * 0.2 for number in range(25)]
VIDEO = VideoTrack("h264", 96, 64, 25, 100, 10)
NTSC = [number * 1001 / 30000 for number in range(120)]
LATE = [5 + at for at in STEADY]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def watch(
    server: Any, content: bytes, start: float = 0, end: float | None = None, rate: float = 25
) -> list[Frame | Undecodable]:
    url = server.serve(content)
    with HttpFile(HttpBlocks(url)) as file, open_video(file) as (container, stream):
        piece = Piece(Stretch(seconds(start), seconds(length(url) if end is None else end)))
        return list(
            decode(container, stream, piece=piece, rate=rate, skip="DEFAULT", stopped=lambda: False)
        )


def chosen(server: Any, content: bytes, piece: Piece, skip: Any = "DEFAULT") -> list[Any]:
    with HttpFile(HttpBlocks(server.serve(content))) as file, open_video(file) as (there, stream):
        return list(decode(there, stream, piece=piece, rate=5, skip=skip, stopped=lambda: False))


def length(url: str) -> float:
    """How long a clip plays, by the times of its packets."""
    with HttpFile(HttpBlocks(url)) as file, open_video(file) as (container, stream):
        times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
        return float((max(times) - min(times)) * (stream.time_base or 0))


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
        (VARIABLE, {}),
        (NTSC, {}),
        (NTSC, {"b_frames": 2}),
        (LATE, {}),
        (LATE, {"container": "mkv"}),
    ],
    ids=[
        "steady",
        "long gop",
        "b-frames",
        "fragmented",
        "variable",
        "29.97",
        "29.97 b-frames",
        "late",
        "late mkv",
    ],
)
def test_offsets_are_those_of_the_presentation_times(
    server: Any, film: Any, times: list[float], how: dict[str, Any]
) -> None:
    seen = watch(server, film(times, **how))

    expected = [times[number] - times[0] for number in numbers(seen)]
    assert len(seen) > 60
    np.testing.assert_allclose(offsets(seen), expected, atol=PICTURE)


@pytest.mark.parametrize("how", [{}, {"gop": 100}, {"b_frames": 3}])
def test_a_stretch_begins_and_ends_where_it_is_asked_to(
    server: Any, film: Any, how: dict[str, Any]
) -> None:
    seen = watch(server, film(STEADY, **how), start=1.5, end=2.5)

    assert offsets(seen)[0] == pytest.approx(1.5, abs=PICTURE)
    assert offsets(seen)[-1] == pytest.approx(2.5 - PICTURE, abs=PICTURE)
    assert max(offsets(seen)) < 2.5
    np.testing.assert_allclose(numbers(seen), np.array(offsets(seen)) / PICTURE, atol=1.5)


@pytest.mark.parametrize(("rate", "pictures"), [(5, 20), (2, 8), (12.5, 50), (100, 100)])
def test_pictures_are_sampled_at_the_rate(
    server: Any, film: Any, rate: float, pictures: int
) -> None:
    seen = watch(server, film(STEADY), rate=rate)

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
    server: Any, film: Any, times: list[float], skip: Any
) -> None:
    content = film(times, b_frames=3, gop=50)

    seen = chosen(server, content, Piece(Stretch(seconds(0), seconds(times[-1]))), skip)

    expected = [times[number] for number in numbers(seen)]
    np.testing.assert_allclose(offsets(seen), expected, atol=0.002)
    assert max(np.diff(offsets(seen))) <= 0.4


def test_pictures_of_given_times_are_given(server: Any, film: Any) -> None:
    content = film(STEADY, b_frames=2)
    at = (seconds(1.2), seconds(1.32), seconds(1.88))

    seen = chosen(server, content, Piece(Stretch(seconds(1.2), seconds(2)), at))

    assert offsets(seen) == [1.2, 1.32, 1.88]
    assert numbers(seen) == [30, 33, 47]


@pytest.mark.parametrize("b_frames", [0, 3])
def test_a_key_picture_is_given_alone(server: Any, film: Any, b_frames: int) -> None:
    content = film(STEADY, b_frames=b_frames)
    instant = Stretch(seconds(1.6), seconds(1.600001))

    seen = chosen(server, content, Piece(instant, (seconds(1.6),)))

    assert (offsets(seen), numbers(seen)) == ([1.6], [40])


def test_a_given_time_without_a_picture_is_undecodable(server: Any, film: Any) -> None:
    stretch = Stretch(seconds(1.2), seconds(1.7))

    seen = chosen(server, film(STEADY), Piece(stretch, (seconds(1.2), seconds(1.3), seconds(1.6))))

    assert offsets(seen[:1]) == [1.2]
    assert seen[1:] == [Undecodable(stretch.start, stretch.end)]


@pytest.mark.parametrize(
    ("anchors", "rate", "skip"),
    [
        (6.25, 25, "BIDIR"),
        (5, 25, "BIDIR"),
        (4.9, 25, "NONREF"),
        (0, 12.5, "NONREF"),
        (0, 12, "DEFAULT"),
    ],
)
def test_only_what_is_not_needed_is_left_out(anchors: float, rate: float, skip: str) -> None:
    video = replace(VIDEO, anchor_rate=anchors, average_frame_rate=rate, steady=True)

    assert skipped(video, 5) == skip


def test_of_a_variable_rate_nothing_is_left_out() -> None:
    assert skipped(replace(VIDEO, anchor_rate=25, steady=False), 5) == "DEFAULT"


def damaged(content: bytes) -> bytes:
    """Overwrite the third quarter."""
    quarter = len(content) // 4
    return content[: 2 * quarter] + b"\xff" * quarter + content[3 * quarter :]


def test_a_damaged_stretch_is_told_and_decoding_goes_on(server: Any, film: Any) -> None:
    content = damaged(film([number * 0.2 for number in range(100)], flags="faststart", noise=True))

    seen = watch(server, content, rate=5)

    (gap,) = [item for item in seen if isinstance(item, Undecodable)]
    assert gap.start < seconds(11)
    assert seconds(14) < gap.end < seconds(18)
    assert seen.index(gap) < len(seen) - 10


def test_damage_that_reaches_over_the_end_of_a_stretch_is_told(server: Any, film: Any) -> None:
    content = damaged(film([number * 0.2 for number in range(100)], flags="faststart", noise=True))

    seen = watch(server, content, end=13, rate=5)

    (gap,) = [item for item in seen if isinstance(item, Undecodable)]
    assert gap.end == seconds(13)


def test_a_recording_that_ends_before_its_length_is_told(server: Any, film: Any) -> None:
    seen = watch(server, film(STEADY), end=10)

    (gap,) = [item for item in seen if isinstance(item, Undecodable)]
    assert gap.start == pytest.approx(seconds(4), abs=seconds(0.1))
    assert gap.end == seconds(10)


async def play_all(recording: Any) -> None:
    async with recording.frames([Piece(Stretch(seconds(0), seconds(1)))], rate=25) as frames:
        assert [item async for item in frames]


async def play(source: PyAvFrameSource, url: str, most: int = 1000) -> list[Any]:
    seen: list[Any] = []
    pieces = [Piece(Stretch(seconds(at), seconds(at + 2))) for at in (0, 2)]
    async with source.open(url, VIDEO) as recording, recording.frames(pieces, rate=25) as frames:
        async for item in frames:
            seen.append(item)
            if len(seen) == most:
                break
    return seen


@pytest.fixture
async def source() -> AsyncIterator[PyAvFrameSource]:
    async with BoundedExecutor("decode", workers=2, queue=2) as executor:
        yield PyAvFrameSource(executor, decoders=2)


async def test_a_source_gives_all_pictures(source: PyAvFrameSource, server: Any, film: Any) -> None:
    seen = await play(source, server.serve(film(STEADY)))

    np.testing.assert_allclose(offsets(seen), STEADY, atol=PICTURE)


async def test_pieces_that_are_decoded_side_by_side_come_in_order(
    source: PyAvFrameSource, server: Any, film: Any
) -> None:
    url = server.serve(film(STEADY))
    pieces = [Piece(Stretch(seconds(n * 0.4), seconds((n + 1) * 0.4))) for n in range(10)]

    seen = []
    async with source.open(url, VIDEO) as recording, recording.frames(pieces, rate=25) as frames:
        seen = [item async for item in frames]

    np.testing.assert_allclose(offsets(seen), STEADY, atol=PICTURE)


async def test_a_source_may_be_left_early_and_used_again(
    source: PyAvFrameSource, server: Any, film: Any
) -> None:
    url = server.serve(film(STEADY))

    first, second = await play(source, url, most=3), await play(source, url, most=5)

    assert (len(first), len(second)) == (3, 5)


async def test_a_source_may_be_left_early_while_a_piece_waits_for_a_thread(
    server: Any, film: Any
) -> None:
    # The first piece has more pictures than are decoded ahead, and keeps the only thread.
    async with BoundedExecutor("decode", workers=1, queue=2) as executor, asyncio.timeout(10):
        source = PyAvFrameSource(executor, decoders=2)
        seen = await play(source, server.serve(film(STEADY)), most=3)

    assert len(seen) == 3


async def test_a_recording_that_is_open_twice_is_read_once(
    source: PyAvFrameSource, server: Any, film: Any
) -> None:
    url = server.serve(film(STEADY))

    async with source.open(url, VIDEO):
        first = await play(source, f"{url}-of-another")
        second = await play(source, url)
        assert (len(first), len(second)) == (100, 100)
        assert len(server.ranges) == 1

    await play(source, url)
    assert len(server.ranges) == 2


async def test_an_open_recording_is_read_by_the_url_that_came_last(
    source: PyAvFrameSource, server: Any, film: Any
) -> None:
    url = server.serve(film(STEADY))

    async with source.open("http://localhost:1/file?expired", VIDEO) as recording:
        recording.enter(url)
        await play_all(recording)
        recording.leave()

    assert len(server.ranges) == 1


async def test_a_recording_that_is_gone_is_an_error(source: PyAvFrameSource, server: Any) -> None:
    server.statuses = [404]

    with pytest.raises(errors.NotFoundError) as refused:
        await play(source, server.serve(b"gone"))

    assert refused.value.reason is errors.Reason.FOOTAGE_NOT_FOUND
