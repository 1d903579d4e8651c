"""Cutting a recording into the segments that scanners work on."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from operator import attrgetter

from homeward.ingestion.cameras.model import Camera
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.limits import MAX_SEGMENT, SPARSE_RATE
from homeward.ingestion.footage.media import MediaInfo, Stretch
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.scan.model import Gap, GapReason, ScanScope
from homeward.ingestion.scan.recordings import ScannedRecording, Unsearchable
from homeward.ingestion.scan.tracking import TAIL

CUT_OFF = "the file ends before the length it states"


def window_of(scope: ScanScope, footage: Footage, camera: Camera) -> Stretch | None:
    """Return the stretch of a recording that is in a scope; None if it has none."""
    true_start = true_start_of(footage, camera)
    first, last = timedelta(), footage.media.duration
    if scope.start_time:
        first = max(first, scope.start_time - true_start)
    if scope.end_time:
        last = min(last, scope.end_time - true_start)
    return Stretch(first, last) if first < last else None


def true_start_of(footage: Footage, camera: Camera) -> datetime:
    """Return the true time of a recording's first picture."""
    return footage.header.start_time - camera.details.clock_offset


def cut(
    footage: Footage,
    camera: Camera,
    scope: ScanScope,
    *,
    length: timedelta,
    refusal: tuple[GapReason, str] | None,
) -> ScannedRecording | None:
    """Return a recording cut into segments; None when nothing of it is in the scope.

    It has its number, and that of its first segment, as if it was the first of its scan.

    Args:
        footage: The recording.
        camera: That it is by.
        scope: What is searched.
        length: About how long segments are, see `pieces_of`.
        refusal: Why it cannot be searched at all, if so.
    """
    window = window_of(scope, footage, camera)
    if window is None:
        return None
    unsearchable: list[Unsearchable] = []
    if refusal is not None:
        pieces = [window]
        unsearchable.append(Unsearchable(0, *refusal))
    else:
        pieces = [
            piece
            for piece in pieces_of(footage.media, length)
            # Whoever came into view in the piece before is followed into the window.
            if piece.start < window.end and piece.end + TAIL > window.start
        ]
        lost = _cut_off(footage, scope, true_start_of(footage, camera), window)
        if lost is not None:
            unsearchable.append(Unsearchable(len(pieces), GapReason.UNDECODABLE, CUT_OFF))
            pieces.append(lost)
            window = Stretch(window.start, lost.end)
    return ScannedRecording(
        number=0,
        footage_id=footage.footage_id,
        camera_id=footage.header.camera_id,
        true_start=true_start_of(footage, camera),
        first_segment=0,
        pieces=tuple(pieces),
        window=window,
        pixel_aspect=camera.details.pixel_aspect_ratio,
        unsearchable=tuple(unsearchable),
    )


def unread(footage_id: str, camera: Camera, reason: GapReason, problem: str) -> ScannedRecording:
    """Return a recording that has gone, or cannot be read, as a gap of no known length."""
    start = FootageLayout(footage_id).start_time - camera.details.clock_offset
    return ScannedRecording(
        number=0,
        footage_id=footage_id,
        camera_id=camera.camera_id,
        true_start=start,
        first_segment=0,
        pieces=(),
        window=Stretch(timedelta(), timedelta()),
        gaps=(Gap(footage_id, start, start, reason, problem),),
    )


def pieces_of(media: MediaInfo, length: timedelta) -> list[Stretch]:
    """Return the pieces that a recording is searched in: always the same, whatever is asked for.

    Each has pictures for `length`, but the last: one that has none for hours is no more work. Where
    pictures are rare all along, each has for as many times as long, so that it has as much work.
    One does not end where key pictures are rare: the next one would decode all of it again. None
    has pictures for more than `MAX_SEGMENT`, or `length`.
    """
    most = max(length, MAX_SEGMENT)
    length = min(most, length * max(1, int(SPARSE_RATE / media.video.average_frame_rate)))
    holes = iter([*media.holes, Stretch(media.duration, media.duration)])
    hole = next(holes)
    pieces: list[Stretch] = []
    start = at = timedelta()
    left, used = length, timedelta()
    while at < media.duration:
        run = min(hole.start - at, left)
        at, left, used = at + run, left - run, used + run
        if not left:
            left = min(_until_key(media, at), most - used)
        if at == hole.start and hole.end < media.duration:
            at, hole = hole.end, next(holes)
        elif at == hole.start:
            at = media.duration
        if not left or at == media.duration:
            pieces.append(Stretch(start, at))
            start, left, used = at, length, timedelta()
    return pieces


def _until_key(media: MediaInfo, at: timedelta) -> timedelta:
    """Return how long it is to the next key picture, where those are rare; else nothing."""
    number = bisect_right(media.keyless, at, key=attrgetter("start")) - 1
    here = media.keyless[number] if number >= 0 else Stretch(at, at)
    return here.end - at if here.start < at < here.end else timedelta()


def _cut_off(
    footage: Footage, scope: ScanScope, true_start: datetime, window: Stretch
) -> Stretch | None:
    """Return what a file that was cut off should have had of what was asked for, if anything."""
    end = footage.media.duration
    if not footage.media.missing or window.end != end:
        return None
    lost_until = end + footage.media.missing
    if scope.end_time is not None:
        lost_until = min(lost_until, max(end, scope.end_time - true_start))
    return Stretch(end, lost_until) if end < lost_until else None
