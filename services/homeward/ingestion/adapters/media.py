"""PyAV: what a file is, and its pictures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from fractions import Fraction

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from homeward.ingestion.adapters.http_file import HttpFile
from homeward.ingestion.model import Frame
from homeward.ingestion.ports import Undecodable
from homeward.servicekit.executor import BoundedExecutor

AHEAD = 6
"""Pictures decoded ahead of what is looked at: 37 MB at 1080p."""

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,mxf,ogg,dhav,h264,hevc,m4v,"
    # Pictures: recognised, so that they can be refused by name.
    "jpeg_pipe,png_pipe,bmp_pipe,tiff_pipe,webp_pipe,gif,apng"
)
"""The containers that recordings come in. FFmpeg knows many others, among them some that are a few
lines of text which make it open sockets or other files."""

MIN_GAP = timedelta(seconds=1)
"""A shorter damage is a glitch that no reviewer would call unsearched."""


class PyAvFrameSource:
    """A `FrameSource` that decodes with FFmpeg in a thread.

    Args:
        executor: Runs one decoder for each segment that is searched at a time.
        threads: Of each decoder; 0 lets FFmpeg choose.
    """

    def __init__(self, executor: BoundedExecutor, *, threads: int) -> None:
        self._executor = executor
        self._threads = threads

    @asynccontextmanager
    async def frames(
        self, url: str, *, start: timedelta, end: timedelta, rate: float
    ) -> AsyncGenerator[AsyncIterator[Frame | Undecodable], None]:
        """Decode a stretch of a recording and yield its pictures in the order of their times."""
        queue: asyncio.Queue[Frame | Undecodable | None] = asyncio.Queue(AHEAD)
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def put(item: Frame | Undecodable) -> None:
            # Waits for a place: a slow consumer slows the decoder down.
            asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

        def work() -> None:
            with HttpFile(url) as file, open_video(file) as (container, stream):
                stream.thread_type = "AUTO"
                stream.codec_context.thread_count = self._threads
                for item in decode(
                    container, stream, stretch=(start, end), rate=rate, stopped=stopped.is_set
                ):
                    put(item)

        async def produce() -> None:
            try:
                await self._executor.run(work)
            finally:
                await queue.put(None)

        async def consume() -> AsyncGenerator[Frame | Undecodable, None]:
            while (item := await queue.get()) is not None:
                yield item
            await producer  # raises what the decoder raised

        producer = asyncio.create_task(produce())
        try:
            yield consume()
        finally:
            stopped.set()
            while not producer.done():
                with suppress(TimeoutError):
                    await asyncio.wait_for(queue.get(), 0.05)  # lets the decoder see the stop
            if not producer.cancelled():
                producer.exception()  # the consumer has raised it, or has left early


class open_video:  # noqa: N801 - reads as the context manager that it is
    """Open a container and its first picture track.

    Raises:
        av.error.FFmpegError: It is no media file.
        LookupError: It has no picture track.
    """

    def __init__(self, file: HttpFile) -> None:
        self._container: InputContainer = av.open(
            file, mode="r", metadata_errors="ignore", options={"format_whitelist": FORMATS}
        )

    def __enter__(self) -> tuple[InputContainer, VideoStream]:
        for stream in self._container.streams.video:
            if not stream.disposition & Disposition.attached_pic:  # a sound file's cover
                return self._container, stream
        self._container.close()
        raise LookupError("no picture track")

    def __exit__(self, *_: object) -> None:
        self._container.close()


def decode(
    container: InputContainer,
    stream: VideoStream,
    *,
    stretch: tuple[timedelta, timedelta],
    rate: float,
    stopped: Callable[[], bool],
) -> Iterator[Frame | Undecodable]:
    """Decode a stretch of a recording; see `ports.FrameSource.frames`.

    Times are presentation time stamps from the first picture's, so that a variable rate or a
    dropped picture shifts nothing.
    """
    start, end = stretch
    base = stream.time_base or Fraction(1, 90000)
    first = stream.start_time or 0
    if start:
        container.seek(first + int(start.total_seconds() / base), stream=stream, backward=True)
    period = timedelta(seconds=1 / rate)
    slack = timedelta(seconds=0.25 / float(stream.average_rate or 25))
    due, good, damaged = start, start, False
    for picture in _pictures(container, stream, stopped):
        if picture is None:
            damaged = True
            continue
        offset = timedelta(seconds=float(((picture.pts or 0) - first) * base))
        if damaged and offset >= start - slack and offset - good >= MIN_GAP:
            yield Undecodable(good, min(offset, end))
        if offset >= end:
            break
        if offset < start - slack:
            continue
        good, damaged = offset, False
        if offset >= due - slack:
            due = max(due + period, offset + period / 2)
            yield Frame(offset, np.asarray(picture.to_ndarray(format="bgr24"), np.uint8))
    else:
        # Whether damage was seen or the data just ends: nothing after `good` was looked at. The
        # last picture may stay for as long as the mean one or two.
        if not stopped() and end - good >= max(MIN_GAP, 8 * slack):
            yield Undecodable(good, end)


def _pictures(
    container: InputContainer, stream: VideoStream, stopped: Callable[[], bool]
) -> Iterator[VideoFrame | None]:
    """Yield pictures, and None where data was damaged."""
    packets = container.demux(stream)
    while not stopped():
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.InvalidDataError:
            yield None
            return
        try:
            pictures = packet.decode()
        except av.error.InvalidDataError:
            yield None
            continue
        for picture in pictures:
            usable = isinstance(picture, VideoFrame) and picture.pts is not None
            yield picture if usable and not picture.is_corrupt else None
