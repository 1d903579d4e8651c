"""Choosing which pictures of a segment to decode: those where something happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from datetime import timedelta

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.timeline import Timeline
from homeward.ingestion.scan.faces import Box, Frame
from homeward.ingestion.scan.follow import BEGIN_SCORE, MOST_ENDED
from homeward.ingestion.scan.gate import Profile, Survey, all_of, groups_of, survey
from homeward.ingestion.scan.model import Segment, Thoroughness
from homeward.ingestion.scan.ports import FaceFinder, Piece, Recording
from homeward.ingestion.scan.task import SegmentTask
from homeward.ingestion.scan.tracking import TAIL

PIECE = timedelta(seconds=2)
"""Short groups of pictures are decoded together up to this length."""

INSTANT = timedelta(microseconds=1)


def surveyed(task: SegmentTask, segment: Segment, profile: Profile, *, gated: bool) -> Survey:
    """Return what packet sizes show about a segment and the stretch after it.

    Args:
        task: The segment, as asked for.
        segment: The segment as its search begins.
        profile: Profile of its recording.
        gated: Whether to decode only where something happens; otherwise all of it is decoded.
    """
    piece = Stretch(segment.start, min(segment.end + TAIL, task.footage.media.duration))
    if gated:
        return survey(profile, piece, segment.end)
    return all_of(groups_of(profile.starts, piece), Thoroughness.SWITCHED_OFF)


async def glanced_at(
    recording: Recording,
    faces: FaceFinder,
    times: Sequence[timedelta],
    timeline: Timeline,
    *,
    rate: float,
    go_on: Callable[[], Awaitable[None]],
) -> tuple[Collection[timedelta], Collection[timedelta]]:
    """Return which key pictures show a face, or do not decode; and the times of all of them.

    A face that is the same as in the key picture before, as on a poster, does not count. Faces are
    detected on the small copies of the pictures, as a search does.

    Args:
        recording: The open recording.
        faces: Detects faces.
        times: Times at which the key pictures are shown.
        timeline: Timeline of the recording.
        rate: Pictures a second that a search takes.
        go_on: Called from time to time; an error that it raises ends the search.
    """
    if not times:
        return (), ()
    shown: dict[timedelta, set[Box]] = {}
    pieces = [Piece(Stretch(at, at + INSTANT), (at,), small=True) for at in times]
    async with (
        recording.frames(pieces, rate=rate) as frames,
        aclosing(faces.find(frames, thorough=False)) as found,
    ):
        ended = 0
        async for pictures in found:
            await go_on()
            for item, in_it in pictures:
                if isinstance(item, Frame):
                    shown[item.offset] = {
                        face.box for face in in_it if face.detector_score >= BEGIN_SCORE
                    }
                else:
                    ended += 1
            if ended >= MOST_ENDED:  # the search tells why
                break
    boxes = [shown.get(timeline.shown_at(at)) for at in times]
    before = [set[Box](), *(one or set() for one in boxes)]
    return {
        at
        for at, one, earlier in zip(times, boxes, before, strict=False)
        if one is None or one - earlier
    }, shown.keys()


def reached_from(segment: Stretch, stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return the stretches in a segment, and those after it up to the first gap.

    A person in view at the segment's end is tracked beyond it, and no longer in a gap.
    """
    reached: list[Stretch] = []
    for stretch in stretches:
        if stretch.start >= segment.end and not (reached and reached[-1].end == stretch.start):
            break
        reached.append(stretch)
    return reached


def pieces_of_stretches(
    stretches: Sequence[Stretch], thoroughness: Thoroughness, rate: float
) -> list[Piece]:
    """Return what to decode, in pieces that several decoders can share."""
    if thoroughness is Thoroughness.INTRA_ONLY:  # no picture needs another one to be decoded
        return _sampled(stretches, timedelta(seconds=1 / rate))
    joined: list[Stretch] = []
    for stretch in stretches:
        if joined and joined[-1].end == stretch.start and joined[-1].duration < PIECE:
            joined[-1] = Stretch(joined[-1].start, stretch.end)
        else:
            joined.append(stretch)
    return [Piece(stretch) for stretch in joined]


def _sampled(pictures: Sequence[Stretch], period: timedelta) -> list[Piece]:
    """Return a piece for one picture of each period."""
    chosen: list[Stretch] = []
    for picture in pictures:
        if not chosen or picture.start - chosen[-1].start >= period - picture.duration / 4:
            chosen.append(picture)
    ends = [picture.start for picture in chosen[1:]] + [picture.end for picture in pictures[-1:]]
    return [
        Piece(Stretch(picture.start, end), (picture.start,))
        for picture, end in zip(chosen, ends, strict=True)
    ]
