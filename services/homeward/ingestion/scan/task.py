"""The task of searching one segment: a part of a recording, and whom to search for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.timeline import Timeline
from homeward.ingestion.scan.incomparable import IncomparablePerson, clipped
from homeward.ingestion.scan.model import Segment
from homeward.ingestion.scan.shots import Shots
from homeward.ingestion.scan.tracking import Track


@dataclass(frozen=True, slots=True)
class SegmentTask:
    """A segment to search, and the subjects to search for."""

    scan_id: str
    subject_ids: tuple[str, ...]
    """Subjects to search for; empty for all open subjects."""
    footage: Footage
    timeline: Timeline
    """Of the whole recording."""
    segment: Segment
    include_rejected_before: datetime | None = None
    """List candidates where a reviewer has rejected one before then, too."""
    requester: str = ""
    """Who asked for the scan; empty if that is not known."""
    revisits: bool = False
    """Whether an earlier search has found the people: it may have recorded them, with stills."""

    def concerns(self, start: timedelta, end: timedelta) -> bool:
        """Whether an appearance from `start` to `end` overlaps the part that was asked for."""
        window = self.segment.window
        if window is None:
            return True
        return start < window.end and self.timeline.end_of(end) > window.start

    def incomparable(self, track: Track[Shots], *, too_small: bool) -> list[IncomparablePerson]:
        """Return the appearance of somebody who could not be compared, cut to the part asked for.

        The next segment reports the rest of an appearance that goes on beyond this segment's end.
        """
        end = self.timeline.end_of(track.end)
        person = clipped(track.start, end, self.segment.asked_for, too_small=too_small)
        return [person] if person else []
