"""The pictures of recordings, decoded in cages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Literal, Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.adapters.caged import DECODING, MediaCage, media_cage_server
from homeward.ingestion.adapters.http_file import HttpBlocks
from homeward.ingestion.cage.messages import Decode, Open
from homeward.ingestion.footage.media import VideoTrack
from homeward.ingestion.footage.timeline import UNKNOWN, Timeline
from homeward.ingestion.scan.faces import Frame
from homeward.ingestion.scan.ports import Piece, Undecodable
from homeward.ingestion.scan_metrics import STAGE_SECONDS
from homeward.servicekit import tracing
from homeward.servicekit.cage import CageBrokenError, CageLimits
from homeward.servicekit.executor import BoundedExecutor

AHEAD = 6
"""Pictures of one piece that are decoded ahead of the search: 23 MB at 1080p, and a second at five
a second, so that the next group of pictures is decoded while this one is searched. With more,
pictures are written to pages that were never touched, and the page faults cost more than the copy:
with 12 a scan took 3 to 11 % more processor time, with 3 as much as with 6 (2026-11-29)."""

LINGER_SECONDS = 1.0
"""Time for which a recording stays open after a segment: the next one is often of the same."""

MOST_EARLIER = 2
"""Key pictures before a piece that decoding begins at, at most, where pictures are complete only
some time after the one that they can be decoded from."""

_TICK = timedelta(microseconds=1)


class CagedFrameSource:
    """A `FrameSource` with a cage for each piece that is decoded at a time.

    Pieces are decoded side by side, which keeps cores busy without frame threads and their delay.

    Args:
        executor: Its threads wait for the cages.
        decoders: Pieces of a recording that are decoded at a time.
        limits: Of a cage.
    """

    def __init__(
        self, executor: BoundedExecutor, *, decoders: int, limits: CageLimits = DECODING
    ) -> None:
        self._executor = executor
        self._decoders = decoders
        self._open: dict[str, CagedRecording] = {}
        self._cages = _Cages(limits)

    @asynccontextmanager
    async def open(
        self, url: str, video: VideoTrack, timeline: Timeline
    ) -> AsyncGenerator[CagedRecording, None]:
        """Open the recording whose file is at `url`.

        Searches that have the same recording open share its blocks and its decoders.
        """
        # The signature differs each time. The camera's pixel aspect ratio may have been changed.
        name = f"{urlsplit(url)._replace(query='').geturl()} {video.presentation}"
        recording = self._open.get(name)
        if recording is None:
            # Recordings that are not searched any more give up their cages.
            for other, unused in list(self._open.items()):
                self._close_unused(other, unused)
            recording = CagedRecording(
                video, timeline, self._executor, self._cages, decoders=self._decoders
            )
            self._open[name] = recording
        recording.enter(url)
        try:
            yield recording
        finally:
            if not recording.leave():
                loop = asyncio.get_running_loop()
                loop.call_later(LINGER_SECONDS, self._close_unused, name, recording)

    def _close_unused(self, name: str, recording: CagedRecording) -> None:
        """Close a recording, unless it was opened again."""
        if self._open.get(name) is recording and not recording.users:
            del self._open[name]
            recording.close()

    def warm(self) -> None:
        """Start as many cages as decode at a time, and log their protections."""
        self._cages.warm(self._decoders)
        self._cages.log_protections()

    def close(self) -> None:
        """End the cages; nothing decodes any more."""
        for name, recording in list(self._open.items()):
            self._close_unused(name, recording)
        self._cages.close()


class _Cages:
    """Cages that wait for their next file."""

    def __init__(self, limits: CageLimits) -> None:
        self._server = media_cage_server()
        self._limits = limits
        self._idle: list[MediaCage] = []

    def take(self) -> MediaCage:
        """Return a cage that is not in use."""
        while self._idle:
            cage = self._idle.pop()
            if cage.alive:
                return cage
            cage.close()
        return MediaCage(self._server, self._limits)

    def log_protections(self) -> None:
        """Log the protections of a cage."""
        cage = self.take()
        cage.log_protections()
        self._idle.append(cage)

    def warm(self, number: int) -> None:
        """Start cages until so many wait for the next file."""
        while len(self._idle) < number:
            self._idle.append(MediaCage(self._server, self._limits))

    def close(self) -> None:
        """End the waiting cages."""
        while self._idle:
            self._idle.pop().close()
        self._server.close()


class CagedRecording:
    """A `Recording`; see `CagedFrameSource`."""

    def __init__(
        self,
        video: VideoTrack,
        timeline: Timeline,
        executor: BoundedExecutor,
        cages: _Cages,
        *,
        decoders: int,
    ) -> None:
        self._url = ""
        self.users = 0
        """Number of users that have it open."""
        self.video = video
        self.timeline = timeline
        self.earlier = 0
        """Number of key pictures before a piece at which decoding begins."""
        self._executor = executor
        self._cages = cages
        self._decoders = decoders
        self._idle: list[_Reader] = []
        self._blocks: HttpBlocks | None = None
        self._opening = threading.Lock()

    def enter(self, url: str) -> None:
        """Count one user more, who brings the URL that is valid for longest."""
        self.users += 1
        self._url = url
        if self._blocks:
            self._blocks.url = url

    def leave(self) -> int:
        """Count one user less; return how many are left."""
        self.users -= 1
        return self.users

    def close(self) -> None:
        """Close the file; nothing decodes any more.

        Its cages end with it: one that a file has taken over must not see the next file.
        """
        while self._idle:
            self._idle.pop().cage.close()
        self._cages.warm(self._decoders)
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
        """Run a call with a reader of its own, in a thread.

        Raises:
            CageBrokenError: It broke the reader's cage.
        """

        def work() -> None:
            reader = self._reader()
            try:
                call(reader)
            except BaseException:
                reader.cage.close()
                raise
            self._idle.append(reader)

        await self._executor.run(work)

    def _reader(self) -> _Reader:
        with self._opening:
            while self._idle:
                reader = self._idle.pop()
                if reader.cage.alive:
                    return reader
                reader.cage.close()
            if self._blocks is None:
                self._blocks = HttpBlocks(self._url)
            blocks = self._blocks
        return _Reader(self._cages.take(), blocks, self.video)


class _Decoding:
    """A piece that is being decoded; iterates over its pictures.

    Wakes the loop only when it waits: a wake-up costs more than handing a picture over.
    """

    def __init__(
        self, recording: CagedRecording, piece: Piece, rate: float, busy: list[float]
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
        """End the decoding soon: its pictures are not needed any more."""
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
        except CageBrokenError as error:
            stretch = self._piece.stretch
            self._items.append(Undecodable(stretch.start, stretch.end, error.cause))
        finally:
            self._items.append(None)
            self._filled.set()

    def _decode(self, reader: _Reader) -> None:
        began, waited = time.perf_counter(), 0.0
        for frame in reader.decode(self._recording, self._piece, self._rate, self._stopped.is_set):
            full = time.perf_counter()
            self._room.acquire()
            waited += time.perf_counter() - full
            if self._stopped.is_set():
                continue  # until the cage has heard it
            self._items.append(frame)
            if not self._filled.is_set():
                self._loop.call_soon_threadsafe(self._filled.set)
        worked = time.perf_counter() - began - waited
        self._busy.append(worked)
        STAGE_SECONDS.labels("decode").observe(worked)


class _Reader:
    """A recording's file, opened in a cage for one thread at a time."""

    def __init__(self, cage: MediaCage, blocks: HttpBlocks, video: VideoTrack) -> None:
        self.cage = cage
        self._blocks = blocks
        shown = video.presentation
        try:
            problem = cage.open(
                blocks,
                Open(
                    size=blocks.size,
                    track=shown.track,
                    transpose=shown.orientation.transpose,
                    mirror_x=shown.orientation.mirror_x,
                    mirror_y=shown.orientation.mirror_y,
                    pixel_aspect=shown.pixel_aspect,
                ),
            )
        except BaseException:
            cage.close()
            raise
        if problem:
            cage.close()
            raise CageBrokenError(problem)

    def decode(
        self,
        recording: CagedRecording,
        piece: Piece,
        rate: float,
        stopped: Callable[[], bool],
    ) -> Iterator[Frame]:
        """Yield the pictures of a piece, in the order of their times."""
        skip = skipped(recording.video, rate)
        for earlier in range(recording.earlier, MOST_EARLIER + 1):
            told = task_of(recording.timeline, piece, rate=rate, skip=skip, earlier=earlier)
            if told is None or stopped():
                return
            for item in self.cage.decode(self._blocks, *told, stopped):
                if isinstance(item, Frame):
                    yield item
                elif not item.late:
                    # Where the last try is complete only late too, it is damaged, and only here.
                    if not told[0].may_be_late:
                        recording.earlier = earlier
                    return


def task_of(
    timeline: Timeline, piece: Piece, *, rate: float, skip: Skip, earlier: int
) -> tuple[Decode, tuple[NDArray[np.int64], ...]] | None:
    """Return the task of decoding a piece; None if the file has no picture in it.

    Args:
        timeline: Timeline of the recording.
        piece: The piece to decode.
        rate: Most pictures a second of a piece that names no times.
        skip: FFmpeg's name for the pictures that are not decoded.
        earlier: Number of key pictures to begin before the nearest one.
    """
    at = None if piece.at is None else [timeline.shown_at(one) for one in piece.at]
    end = piece.stretch.end if at is None else at[-1] + _TICK
    start = timeline.shown_at(piece.stretch.start)
    first = timeline.entry(start, earlier=earlier)
    last = timeline.last_before(end)
    if last < first:
        return None
    stamps = [int(clock[first]) for clock in (timeline.pts, timeline.dts)]
    needed = slice(first, last + 1)
    return Decode(
        first=first,
        position=int(timeline.positions[first]) if timeline.positions[first] != UNKNOWN else -1,
        stamps=tuple(dict.fromkeys(stamp for stamp in stamps if stamp != UNKNOWN)),
        start=start // _TICK,
        end=end // _TICK,
        period=0 if at is not None else round(1e6 / rate),
        at=tuple(one // _TICK for one in at or ()),
        skip=skip,
        may_be_late=first == 0 or earlier >= MOST_EARLIER,
        small=piece.small,
    ), (timeline.times[needed], timeline.positions[needed], timeline.sizes[needed])


Skip = Literal["DEFAULT", "NONREF", "BIDIR"]


def skipped(video: VideoTrack, rate: float) -> Skip:
    """Return which pictures need not be decoded to have `rate` of them a second.

    Without those that no other is decoded from, two fifths of the time are saved; without any B
    pictures three fifths.
    """
    if not video.steady:  # where pictures are rare each of them is needed
        return "DEFAULT"
    if video.anchor_rate >= rate:
        return "BIDIR"
    return "NONREF" if video.reference_rate >= rate else "DEFAULT"
