"""Examining a file: every packet of its picture tracks, and a few of their pictures."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import av.error
import cv2
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from homeward.ingestion.adapters.containers import (
    WITHOUT_TIMES,
    PictureTracks,
    another_decoder,
    open_tracks,
)
from homeward.ingestion.cage.file import CagedFile, Service, damage_ignored
from homeward.ingestion.cage.messages import Examination, TrackFacts
from homeward.ingestion.cage.upright import orientation_of, pixel_aspect, upright
from homeward.ingestion.footage.limits import (
    MAX_PICTURE_PIXELS,
    MAX_PICTURES,
    MAX_TRACKS,
    MIN_SIDE_PX,
)
from homeward.ingestion.footage.media import Orientation
from homeward.ingestion.footage.timeline import UNKNOWN

MAX_PICTURES_TRIED = 500
"""Pictures that may fail to decode before a track counts as undecodable."""

COUNTED_AMONG = 100
"""Pictures from the first key picture on, of which those are counted that others are decoded from,
and those that are decoded without B pictures. Each is decoded twice: what a decoder calls a picture
says little, as H.265 codes the pictures between B pictures as such."""

STAMPS = ("dts", "pts", "positions", "sizes", "keys")
"""The arrays that follow `Examination`, 8 bytes a picture each."""

MIN_KEY_BYTES = 9
"""A smaller packet is no key picture, whatever it says: XviD's for "no change" says so, and has 6
bytes."""

_UNKNOWN = "it is not a video of a kind that is read, or it was cut off before its index"

_ANIMATED = ("gif", "apng")
_STILLS = ("_pipe", "image2")

_STILL_BRANDS = frozenset(
    {"avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"}
)
"""Brands of photographs in the container of MP4, ISO/IEC 23008-12: FFmpeg plays one as a video."""


@dataclass(slots=True)
class _Track:
    """Packets and pictures of a track, as far as they were read."""

    stream: VideoStream
    dts: array[int] = field(default_factory=lambda: array("q"))
    pts: array[int] = field(default_factory=lambda: array("q"))
    positions: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    keys: array[int] = field(default_factory=lambda: array("q"))
    tried: int = 0
    decoded: int = 0
    references: int = 0
    """Pictures that others are decoded from."""
    second: VideoCodecContext | None = None
    """Decodes those."""
    first_decoded: int = -1
    first: VideoFrame | None = None
    damaged: int = 0
    """Pictures of which a part is missing in the file."""
    cut_off: bool = False

    def take(self, packet: Any) -> None:  # noqa: ANN401 - PyAV's packets are generic
        """Take the next packet in."""
        ordinal = len(self.sizes)
        self.dts.append(UNKNOWN if packet.dts is None else packet.dts)
        self.pts.append(UNKNOWN if packet.pts is None else packet.pts)
        self.positions.append(UNKNOWN if packet.pos is None or packet.pos < 0 else packet.pos)
        self.sizes.append(packet.size)
        # 2: of those that an edit list leaves out.
        is_key = packet.is_keyframe and packet.size >= MIN_KEY_BYTES
        self.keys.append(int(is_key) + 2 * int(packet.is_discard))
        self.damaged += packet.is_corrupt
        self.cut_off = packet.is_corrupt  # the file ends within the last packet
        begun = self.tried > 0 or is_key or ordinal >= MAX_PICTURES_TRIED
        enough = self.tried >= COUNTED_AMONG and self.decoded
        if begun and not enough and self.tried < MAX_PICTURES_TRIED:
            self.tried += 1
            packet.pts = packet.dts = ordinal
            with damage_ignored():
                self._decoded(packet.decode())
            self._count_references(packet)

    def finish(self) -> None:
        """Take in the pictures that the decoders held back."""
        with damage_ignored():
            self._decoded(self.stream.codec_context.decode(None))
        self._count_references(None)

    def _count_references(self, packet: Any) -> None:  # noqa: ANN401 - PyAV's packets are generic
        if self.second is None:
            self.second = another_decoder(self.stream)
            self.second.skip_frame = "NONREF"
        with damage_ignored():
            self.references += len(self.second.decode(packet))

    def _decoded(self, frames: Sequence[Any]) -> None:
        for frame in frames:
            if frame.is_corrupt or frame.width * frame.height > MAX_PICTURE_PIXELS:
                continue
            self.decoded += 1
            if self.first is None:
                self.first, self.first_decoded = frame, frame.pts or 0

    @property
    def facts(self) -> TrackFacts:
        """The facts about the track."""
        context = self.stream.codec_context
        return TrackFacts(
            index=self.stream.index,
            codec=context.name,
            width=context.width,
            height=context.height,
            pictures=len(self.sizes),
            size=sum(self.sizes),
            decodes=self.decoded > 0,
        )


def examine(service: Service, size: int) -> tuple[Examination, list[array[int]]]:
    """Read a file's structure to its end, and decode its first pictures."""
    try:
        opened = open_tracks(CagedFile(service, size))
    except MemoryError:
        raise
    except av.error.FFmpegError:
        return Examination(problem=_UNKNOWN), []
    with opened as tracks:
        problem = _no_recording(tracks)
        return (Examination(problem=problem), []) if problem else _structure(service, tracks, size)


def _no_recording(tracks: PictureTracks) -> str:
    """Return why a file is no recording that can be searched, as far as its beginning tells."""
    name, streams = tracks.container.format.name, tracks.container.streams
    brand = str(tracks.container.metadata.get("major_brand", "")).strip()
    if name in _ANIMATED:
        return "it is an animated picture, not a video"
    if name.endswith(_STILLS) or brand in _STILL_BRANDS:
        return "it is a still picture, not a video"
    if not streams:
        return "it has no tracks: it is empty, or was cut off before its index"
    if not tracks.streams:
        sound = len(streams.audio) == len(streams)
        return f"it has no picture track{', only sound' if sound else ' that can be read'}"
    if len(tracks.streams) > MAX_TRACKS:
        return (
            f"it has {len(tracks.streams)} picture tracks; at most {MAX_TRACKS} are read: copy"
            " the one of the camera to a file of its own"
        )
    return ""


def _structure(
    service: Service, tracks: PictureTracks, size: int
) -> tuple[Examination, list[array[int]]]:
    seen = {stream.index: _Track(stream) for stream in tracks.streams}
    for stream in tracks.streams:
        stream.codec_context.skip_frame = "BIDIR"
    complete, count, end = False, 0, 0
    with damage_ignored():  # or cut off from here on
        for packet in tracks.packets(tracks.streams):
            count += 1
            end = max(end, (packet.pos or 0) + packet.size)
            if count > MAX_PICTURES:
                return Examination(
                    problem=f"it has more than {MAX_PICTURES} pictures: split it"
                ), []
            seen[packet.stream.index].take(packet)
            service.still_at_it()
        complete = True
    for track in seen.values():
        track.finish()
    facts = [track.facts for track in seen.values()]
    if not any(one.pictures for one in facts):
        return Examination(problem="it has no pictures", tracks=facts), []
    chosen = seen[chosen_track(facts)]
    context = chosen.stream.codec_context
    if context.width * context.height > MAX_PICTURE_PIXELS:
        problem = (
            f"its pictures have {context.width} x {context.height} pixels; at most"
            f" {MAX_PICTURE_PIXELS / 1e6:.0f} million are searched: convert it to smaller ones"
        )
        return Examination(problem=problem, tracks=facts), []
    if chosen.first is None:
        problem = f"none of its pictures decodes ({context.name})"
        if all(key & 2 for key in chosen.keys):
            problem = "its edit list leaves all of its pictures out: copy it without that list"
        return Examination(problem=problem, tracks=facts), []
    outcome = _outcome(tracks, chosen, facts, complete=complete)
    outcome.size, outcome.rest = size, max(0, size - end)
    problem = _unshowable(chosen.first, outcome)
    if problem:
        return Examination(problem=problem, tracks=facts), []
    return outcome, [
        chosen.dts,
        chosen.pts,
        chosen.positions,
        chosen.sizes,
        chosen.keys,
    ]


def _unshowable(first: VideoFrame, outcome: Examination) -> str:
    """Return why the pictures of a track cannot be searched, as far as the first one tells."""
    orientation = Orientation(outcome.transpose, outcome.mirror_x, outcome.mirror_y)
    if min(first.width, first.height) < MIN_SIDE_PX:
        return (
            f"its pictures have {first.width} x {first.height} pixels; at least {MIN_SIDE_PX} are"
            " needed either way to show a face"
        )
    shown = False
    with damage_ignored(), suppress(ValueError, cv2.error):
        shown = bool(upright(first, orientation, outcome.pixel_aspect))
    return "" if shown else f"its pictures are of a kind that is not known ({first.format.name})"


def chosen_track(tracks: Sequence[TrackFacts]) -> int:
    """Return the number of the track to search: of those that decode, the one with most to show.

    One with a single picture is a cover, however large. Which one is marked as the default says
    little: recorders mark a small or an empty one. What a camera sees takes more bytes than a
    preview or a black picture does.
    """
    best = max(
        tracks, key=lambda one: (one.decodes, one.pictures > 1, one.size, one.width * one.height)
    )
    return best.index


def _outcome(
    tracks: PictureTracks, chosen: _Track, facts: list[TrackFacts], *, complete: bool
) -> Examination:
    stream, first = chosen.stream, chosen.first
    assert first is not None, "a track that decodes"
    context = stream.codec_context
    orientation = orientation_of(first)
    aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
    container = tracks.container.format.name
    # Of pictures without times, the average is FFmpeg's own.
    average = None if container in WITHOUT_TIMES else stream.average_rate
    stated = context.framerate or average or 0
    return Examination(
        track=stream.index,
        tracks=facts,
        container=container,
        pixel_format=first.format.name,
        pixel_aspect=pixel_aspect(aspect.numerator, aspect.denominator) if aspect else 1.0,
        transpose=orientation.transpose,
        mirror_x=orientation.mirror_x,
        mirror_y=orientation.mirror_y,
        interlaced=first.interlaced_frame,
        rate=float(stated),
        anchor_share=min(1.0, chosen.decoded / max(1, chosen.tried)),
        reference_share=min(1.0, chosen.references / max(1, chosen.tried)),
        tick=float(stream.time_base or 0),
        declared_pictures=stream.frames,
        # Below zero where the clock was set back: the container takes its ends for that.
        declared_seconds=max(0.0, float((stream.duration or 0) * (stream.time_base or 0))),
        cut_off=chosen.cut_off or not complete,
        damaged=chosen.damaged - chosen.cut_off,
        first_decoded=max(0, chosen.first_decoded),
        count=len(chosen.sizes),
    )
