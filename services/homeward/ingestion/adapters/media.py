"""PyAV: what a file is, and its pictures."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from fractions import Fraction
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from homeward.ingestion.adapters.containers import open_video
from homeward.ingestion.adapters.http_file import HttpBlocks, HttpFile
from homeward.ingestion.adapters.pictures import looked_at
from homeward.ingestion.model import Frame, Stretch, VideoTrack
from homeward.ingestion.ports import Piece, Undecodable
from homeward.ingestion.scan_metrics import STAGE_SECONDS
from homeward.servicekit import tracing
from homeward.servicekit.executor import BoundedExecutor

AHEAD = 12
"""Pictures of one piece that are decoded ahead of what is looked at: 47 MB at 1080p. Two seconds at
five a second, so that the next group of pictures is decoded while this one is looked at."""

MIN_GAP = timedelta(seconds=1)
"""A shorter damage is a glitch that no reviewer would call unsearched."""


SPARE_RATE = 2.5
"""With at least this many times as many pictures a second as are asked for, those are passed over
that no other one is decoded from: two fifths of the time, where there are any. Where those that
remain without any B picture are enough, no B picture is decoded: three fifths."""


class PyAvFrameSource:
    """A `FrameSource` that decodes with FFmpeg, one thread for each piece.

    Pieces are decoded side by side, which keeps cores busy without frame threads and their delay.

    Args:
        executor: Runs the decoders.
        decoders: Pieces of a recording that are decoded at a time.
    """

    def __init__(self, executor: BoundedExecutor, *, decoders: int) -> None:
        self._executor = executor
        self._decoders = decoders
        self._open: dict[str, PyAvRecording] = {}

    @asynccontextmanager
    async def open(self, url: str, video: VideoTrack) -> AsyncGenerator[PyAvRecording, None]:
        """Open the recording whose file is at `url`; `video` is what is known of it.

        Whoever has the same one open shares what was read of it, and its decoders.
        """
        name = urlsplit(url)._replace(query="").geturl()  # a signature differs each time
        recording = self._open.get(name)
        if recording is None:
            recording = PyAvRecording(video, self._executor, self._decoders)
            self._open[name] = recording
        recording.enter(url)
        try:
            yield recording
        finally:
            if not recording.leave():
                del self._open[name]
                recording.close()


class PyAvRecording:
    """A `Recording`; see `PyAvFrameSource`."""

    def __init__(self, video: VideoTrack, executor: BoundedExecutor, decoders: int) -> None:
        self._url = ""
        self._users = 0
        self.video = video
        self._executor = executor
        self._decoders = decoders
        self._idle: list[_Reader] = []
        self._blocks: HttpBlocks | None = None
        self._opening = threading.Lock()

    def enter(self, url: str) -> None:
        """Count one user more, who brings the URL that is valid for longest."""
        self._users += 1
        self._url = url
        if self._blocks:
            self._blocks.url = url

    def leave(self) -> int:
        """Count one user less; return how many are left."""
        self._users -= 1
        return self._users

    def close(self) -> None:
        """Let go of the file; nothing decodes any more."""
        while self._idle:
            self._idle.pop().close()
        if self._blocks:
            self._blocks.close()

    @asynccontextmanager
    async def frames(
        self, pieces: Sequence[Piece], *, rate: float
    ) -> AsyncGenerator[AsyncIterator[Frame | Undecodable], None]:
        """Decode pieces of the recording and yield their pictures in the order of their times."""
        waiting = deque(pieces)
        under_way: deque[_Decoding] = deque()
        busy: list[float] = []
        async with AsyncExitStack() as stack:
            span = stack.enter_context(tracing.aside("decode", {"pieces": len(pieces)}))
            stack.callback(lambda: span.set_attribute("busy_seconds", round(sum(busy), 3)))

            async def play() -> AsyncGenerator[Frame | Undecodable, None]:
                while waiting or under_way:
                    while waiting and len(under_way) < self._decoders:
                        decoding = _Decoding(self, waiting.popleft(), rate, busy)
                        under_way.append(decoding)
                        await stack.enter_async_context(decoding)
                    async for item in under_way[0]:
                        yield item
                    under_way.popleft()

            try:
                yield play()
            finally:
                # All of them before any is waited for: one that has no thread yet gets the thread
                # of one that waits for room.
                for decoding in under_way:
                    decoding.stop()

    async def run(self, call: Callable[[_Reader], None]) -> None:
        """Run a call with a reader of its own, in a thread."""

        def work() -> None:
            reader = self._reader()
            try:
                call(reader)
            except BaseException:
                reader.close()
                raise
            self._idle.append(reader)

        await self._executor.run(work)

    def _reader(self) -> _Reader:
        with self._opening:
            if self._idle:
                return self._idle.pop()
            if self._blocks is None:
                self._blocks = HttpBlocks(self._url)
            return _Reader(self._blocks)


class _Decoding:
    """A piece that is being decoded; iterates over its pictures.

    Wakes the loop only when it waits: a wake-up costs more than handing a picture over.
    """

    def __init__(
        self, recording: PyAvRecording, piece: Piece, rate: float, busy: list[float]
    ) -> None:
        self._recording = recording
        self._busy = busy
        self._piece = piece
        self._rate = rate
        self._items: deque[Frame | Undecodable | None] = deque()
        self._room = threading.Semaphore(AHEAD)  # a slow consumer slows the decoder down
        self._filled = asyncio.Event()
        self._stopped = threading.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._producer = asyncio.create_task(self._produce())
        return self

    def stop(self) -> None:
        """Have it end soon: nobody takes any more of it."""
        self._stopped.set()
        self._room.release()  # lets a decoder that waits see the stop

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await asyncio.wait([self._producer])
        if not self._producer.cancelled():
            self._producer.exception()  # the consumer has raised it, or has left early

    async def __aiter__(self) -> AsyncGenerator[Frame | Undecodable, None]:
        while True:
            while self._items:
                item = self._items.popleft()
                if item is None:
                    await self._producer  # raises what the decoder raised
                    return
                self._room.release()
                yield item
            self._filled.clear()
            if not self._items:  # nor has one come since
                await self._filled.wait()

    async def _produce(self) -> None:
        try:
            await self._recording.run(self._decode)
        finally:
            self._items.append(None)
            self._filled.set()

    def _decode(self, reader: _Reader) -> None:
        began, waited = time.perf_counter(), 0.0
        for item in decode(
            reader.container,
            reader.stream,
            piece=self._piece,
            rate=self._rate,
            skip=skipped(self._recording.video, self._rate),
            stopped=self._stopped.is_set,
        ):
            full = time.perf_counter()
            self._room.acquire()
            waited += time.perf_counter() - full
            if self._stopped.is_set():
                return
            self._items.append(item)
            if not self._filled.is_set():
                self._loop.call_soon_threadsafe(self._filled.set)
        worked = time.perf_counter() - began - waited
        self._busy.append(worked)
        STAGE_SECONDS.labels("decode").observe(worked)


class _Reader:
    """A recording's file, opened for one thread at a time."""

    def __init__(self, blocks: HttpBlocks) -> None:
        self._file = HttpFile(blocks)
        try:
            self._video = open_video(self._file)
            self.container, self.stream = self._video.__enter__()
        except BaseException:
            self._file.close()
            raise
        self.stream.thread_type = "NONE"
        self.stream.codec_context.thread_count = 1

    def close(self) -> None:
        """Let go of the file."""
        self._video.__exit__()
        self._file.close()


def decode(
    container: InputContainer,
    stream: VideoStream,
    *,
    piece: Piece,
    rate: float,
    skip: Skip,
    stopped: Callable[[], bool],
) -> Iterator[Frame | Undecodable]:
    """Decode a piece of a recording; see `ports.Recording.frames`.

    `skip` is FFmpeg's word for the pictures that are not decoded.

    Times are presentation time stamps from the first picture's, so that a variable rate or a
    dropped picture shifts nothing.
    """
    base = stream.time_base or Fraction(1, 90000)
    first = stream.start_time or 0

    def offset_of(pts: int) -> timedelta:
        return timedelta(seconds=float((pts - first) * base))

    start = first + round(piece.stretch.start.total_seconds() / base)
    slack = timedelta(seconds=0.25 / float(stream.average_rate or 25))
    container.seek(start, stream=stream, backward=True)
    stream.codec_context.skip_frame = skip
    packets = _packets(
        (
            (packet, offset_of(packet.pts) if packet.pts is not None else None)
            for packet in container.demux(stream)
        ),
        end=piece.stretch.end,
        last=piece.at[-1] if piece.at else None,
    )
    pictures = (
        (offset_of(picture.pts or 0), picture) if picture is not None else None
        for picture in _pictures(packets, stream, stopped)
    )
    found = (
        _sampled(pictures, piece.stretch, timedelta(seconds=1 / rate), slack)
        if piece.at is None
        else _chosen(pictures, piece.stretch, piece.at, slack)
    )
    for item in found:
        if isinstance(item, Undecodable) and stopped():
            return  # it ends because nobody wants more of it
        yield item


Skip = Literal["DEFAULT", "NONREF", "BIDIR"]


def skipped(video: VideoTrack, rate: float) -> Skip:
    """Return which pictures need not be decoded to have `rate` of them a second."""
    if not video.steady:  # where pictures are rare each of them is needed
        return "DEFAULT"
    if video.anchor_rate >= rate:
        return "BIDIR"
    return "NONREF" if video.average_frame_rate >= SPARE_RATE * rate else "DEFAULT"


_Pictures = Iterator[tuple[timedelta, VideoFrame] | None]
"""Pictures with their times, in order; None where data was damaged."""


def _sampled(
    pictures: _Pictures, stretch: Stretch, period: timedelta, slack: timedelta
) -> Iterator[Frame | Undecodable]:
    """Yield a picture for each period, and the stretches that have none."""
    due = good = stretch.start
    damaged = False
    for each in pictures:
        if each is None:
            damaged = True
            continue
        offset, picture = each
        if damaged and offset >= stretch.start - slack and offset - good >= MIN_GAP:
            yield Undecodable(good, min(offset, stretch.end))
        if offset >= stretch.end:
            return
        if offset < stretch.start - slack:
            continue
        good, damaged = offset, False
        if offset >= due - period / 4:  # they may be as far apart as this
            due = max(due + period, offset + period / 2)
            yield looked_at(offset, picture)
            if due - period / 4 >= stretch.end:
                return
    # Whether damage was seen or the data just ends: nothing after `good` was looked at. The last
    # picture may stay for as long as the mean one or two.
    if stretch.end - good >= max(MIN_GAP, 8 * slack):
        yield Undecodable(good, stretch.end)


def _chosen(
    pictures: _Pictures, stretch: Stretch, at: Sequence[timedelta], slack: timedelta
) -> Iterator[Frame | Undecodable]:
    """Yield the pictures of given times; the stretch as undecodable when one is missing."""
    wanted = deque(at)
    for each in pictures:
        if each is None:
            continue
        offset, picture = each
        if offset > wanted[0] + slack:
            break
        if offset >= wanted[0] - slack:
            yield looked_at(offset, picture)
            wanted.popleft()
            if not wanted:
                return
    yield Undecodable(stretch.start, stretch.end)


_MOST_AHEAD = 64
"""Packets that come, in the order of decoding, after the picture that they are decoded for."""


def _packets(
    timed: Iterator[tuple[Packet[Any], timedelta | None]],
    *,
    end: timedelta,
    last: timedelta | None,
) -> Iterator[Packet[Any] | None]:
    """Yield the packets that a piece needs; None where data was damaged.

    Args:
        timed: Packets in the order of decoding, and when they are shown.
        end: Where the piece ends.
        last: The last picture that is wanted; None for all up to the end.
    """
    beyond = 0
    while True:
        try:
            packet, at = next(timed)
        except StopIteration:
            return
        except av.error.InvalidDataError:
            yield None
            return
        if at is not None and packet.is_keyframe and at >= end:
            return  # the next group of pictures; decoding it is the next piece's
        yield packet
        if last is None or at is None:
            continue
        beyond += at > last
        if at == last or beyond > _MOST_AHEAD:
            return


def _pictures(
    packets: Iterator[Packet[Any] | None], stream: VideoStream, stopped: Callable[[], bool]
) -> Iterator[VideoFrame | None]:
    """Yield pictures, and None where data was damaged."""
    for packet in packets:
        if stopped():
            return
        if packet is None:
            yield None
            continue
        yield from _decoded(packet.decode)
    yield from _decoded(lambda: stream.codec_context.decode(None))  # those that it held back


def _decoded(decoding: Callable[[], Sequence[Any]]) -> Iterator[VideoFrame | None]:
    try:
        pictures = decoding()
    except av.error.InvalidDataError:
        yield None
        return
    except av.error.EOFError:  # it was told before that there is no more
        return
    for picture in pictures:
        usable = picture.pts is not None and not picture.is_corrupt
        yield picture if usable else None
