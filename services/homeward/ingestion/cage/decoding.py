"""Decoding a piece of a file by its timeline.

The place of the first packet in the file says which picture of the timeline it is; further packets
are counted. The decoder gets the number of a picture as its time stamp, and returns it with the
picture, in whatever order. So the time of a picture is always that of the timeline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from homeward.ingestion.adapters.containers import open_tracks
from homeward.ingestion.cage.file import CagedFile, Service, damage_ignored
from homeward.ingestion.cage.messages import Decode, Open, Picture
from homeward.ingestion.cage.upright import copied, upright
from homeward.ingestion.footage.limits import COPY_SIDE_PX, MAX_PICTURE_PIXELS
from homeward.ingestion.footage.media import Orientation
from homeward.ingestion.footage.timeline import UNKNOWN

BY_BYTES = ("mpegts", "mpeg", "h264", "hevc", "m4v", "mpegvideo", "dhav", "vob")
"""Containers without an index: a seek by time reads and guesses, one by bytes is exact."""

LATE = 200_000
"""Microseconds by which the first picture may be late: the sampling period of a scan."""

_MAX_UNMATCHED = 4096
"""Packets after a seek in which one that the timeline knows has to come."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A decoding task, and the part of the timeline that it needs."""

    task: Decode
    times: NDArray[np.int64]
    """Of the pictures from `task.first` on that are needed, microseconds."""
    positions: NDArray[np.int64]
    """Of the same, bytes."""
    sizes: NDArray[np.int64]


class LateError(Exception):
    """The first picture that decodes is shown well after the one that was decoded from."""


class LostError(Exception):
    """A seek led beyond what is wanted, or to where nothing is known."""


class OpenFile:
    """A file that is open for decoding.

    Args:
        service: Gives its bytes, takes its pictures.
        task: Which one, and how its pictures are shown.

    Raises:
        av.error.FFmpegError: It is no media file, or not any more.
        LookupError: It has no such track.
    """

    def __init__(self, service: Service, task: Open) -> None:
        self._service = service
        self._task = task
        self._orientation = Orientation(task.transpose, task.mirror_x, task.mirror_y)
        self._open()
        self._by_bytes = self._container.format.name.split(",")[0] in BY_BYTES

    def _open(self) -> None:
        self._file = CagedFile(self._service, self._task.size)
        self._tracks = open_tracks(self._file)
        self._container = self._tracks.container
        chosen = [one for one in self._tracks.streams if one.index == self._task.track]
        if not chosen:
            raise LookupError("no such track")
        self._stream: Any = chosen[0]

    def close(self) -> None:
        """Close the file."""
        self._tracks.close()

    def use(self, service: Service) -> None:
        """Give the pictures of the next task to a service."""
        self._service = self._file.service = service

    def decode(self, piece: Piece) -> None:
        """Decode a piece and give the pictures that are wanted.

        Raises:
            LateError: See there; nothing was given.
        """
        wanted = _wanted(piece.task)
        for time, frame in self._shown(piece):
            if wanted(time):
                self._give(time, frame, small=piece.task.small)
            if wanted.over:
                return

    def _shown(self, piece: Piece) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the pictures of a piece in the order in which they are shown."""
        task, last = piece.task, piece.task.first + len(piece.times) - 1
        self._stream.codec_context.skip_frame = task.skip
        shown, begun = task.start - 1, task.may_be_late
        for packet in self._numbered(piece, last):
            for frame in self._decoded(packet):
                time = self._time(frame, piece)
                if time is None:
                    continue
                if not begun and time > piece.times[0] + LATE:
                    raise LateError
                begun = True
                # A made-up time may be a little before the picture that was shown before it.
                if task.start <= time and max(time, shown) < task.end:
                    shown = max(time, shown)
                    yield shown, frame
            self._service.still_at_it()
        if not begun:
            raise LateError

    def _numbered(self, piece: Piece, last: int) -> Iterator[Any]:
        """Yield the packets of a piece, and None at last: what is held back comes then."""
        for ordinal, packet in self._counted(piece):
            if ordinal > last:
                break
            packet.pts = packet.dts = ordinal
            yield packet
        yield None

    def _time(self, frame: VideoFrame, piece: Piece) -> int | None:
        if frame.pts is None or frame.is_corrupt:
            return None
        number = frame.pts - piece.task.first
        return int(piece.times[number]) if 0 <= number < len(piece.times) else None

    def _decoded(self, packet: Any) -> Sequence[VideoFrame]:  # noqa: ANN401 - generic in PyAV
        frames: Sequence[VideoFrame] = ()
        with damage_ignored():  # what can be decoded goes on after it
            frames = self._stream.codec_context.decode(packet)
        return [one for one in frames if one.width * one.height <= MAX_PICTURE_PIXELS]

    def _counted(self, piece: Piece) -> Iterator[tuple[int, Any]]:
        """Yield packets with their ordinals, from the first one that is needed on."""
        for _ in self._seeks(piece.task):
            try:
                yield from self._matched(piece)
            except LostError:
                continue
            else:
                return
        # Whatever a container's index is worth: from its beginning on all can be counted.
        self._rewind()
        yield from self._in_order(piece)

    def _seeks(self, task: Decode) -> Iterator[bool]:
        """Seek to where the piece begins, in one way after the other."""
        if task.first == 0:
            return
        self._stream.codec_context.flush_buffers()
        if task.position >= 0 and self._by_bytes:
            with suppress(av.error.FFmpegError):
                self._container.seek(task.position, unsupported_byte_offset=True)
                yield True
        for stamp in task.stamps:
            with suppress(av.error.FFmpegError):
                self._container.seek(stamp, stream=self._stream, backward=True)
                yield True

    def _rewind(self) -> None:
        """Begin the file again: opened anew, it is read as it was when it was examined."""
        skip = self._stream.codec_context.skip_frame
        self._tracks.close()
        self._open()
        self._stream.codec_context.skip_frame = skip

    def _packets(self) -> Iterator[Any]:
        with damage_ignored():  # cut off
            yield from self._tracks.packets([self._stream])

    def _matched(self, piece: Piece) -> Iterator[tuple[int, Any]]:
        """Yield packets from the first one on, once its place and size say that it is that one."""
        packets = self._packets()
        place, size = int(piece.positions[0]), int(piece.sizes[0])
        if place == UNKNOWN:
            raise LostError
        for count, packet in enumerate(packets):
            if packet.pos == place and packet.size == size:
                yield piece.task.first, packet
                break
            if count >= _MAX_UNMATCHED or (packet.pos is not None and packet.pos > place):
                raise LostError
        else:
            raise LostError
        for ordinal, packet in enumerate(packets, piece.task.first + 1):
            yield ordinal, packet

    def _in_order(self, piece: Piece) -> Iterator[tuple[int, Any]]:
        for ordinal, packet in enumerate(self._packets()):
            if ordinal >= piece.task.first:
                yield ordinal, packet
            else:
                self._service.still_at_it()

    def _give(self, time: int, frame: VideoFrame, *, small: bool) -> None:
        planes = upright(frame, self._orientation, self._task.pixel_aspect)
        copy, copy_width, copy_height = copied(planes, COPY_SIDE_PX)
        given = copy if small else (*planes, *copy)
        room = np.frombuffer(self._service.room(sum(plane.size for plane in given)), np.uint8)
        place = 0
        for plane in given:
            room[place : place + plane.size].reshape(plane.shape)[:] = plane
            place += plane.size
        height, width = planes[0].shape
        self._service.give(Picture(time, width, height, copy_width, copy_height, frame.colorspace))


class _wanted:  # noqa: N801 - reads as the question that it answers
    """Chooses the wanted pictures of a piece, in the order in which they are shown."""

    def __init__(self, task: Decode) -> None:
        self._task = task
        self._due = task.start
        self._at = deque(task.at)
        self.over = bool(task.period == 0 and not task.at)

    def __call__(self, time: int) -> bool:
        """Whether a picture is wanted."""
        if self._task.period == 0:
            while self._at and self._at[0] < time:
                self._at.popleft()
            wanted = bool(self._at) and self._at[0] == time
            if wanted:
                self._at.popleft()
            self.over = not self._at
            return wanted
        period = self._task.period
        if time < self._due - period // 4:  # they may be as far apart as this
            return False
        self._due = max(self._due + period, time + period // 2)
        self.over = self._due - period // 4 >= self._task.end
        return True
