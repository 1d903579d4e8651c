"""A segment to search: what of which recording, and for whom."""

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
    """A segment to search, and for whom."""

    scan_id: str
    subject_ids: tuple[str, ...]
    """Empty: everybody who is looked for."""
    footage: Footage
    timeline: Timeline
    """Of the whole recording."""
    segment: Segment
    include_rejected_before: datetime | None = None
    """List candidates where a reviewer has rejected one before then, too."""

    def concerns(self, start: timedelta, end: timedelta) -> bool:
        """Whether somebody was in view while it was asked for, who was so from `start` to `end`."""
        window = self.segment.window
        if window is None:
            return True
        return start < window.end and self.timeline.end_of(end) > window.start

    def incomparable(self, track: Track[Shots], *, too_small: bool) -> list[IncomparablePerson]:
        """Return somebody who could not be compared, in the part that was asked for.

        What is seen of them beyond the segment's end, the next segment tells.
        """
        end = self.timeline.end_of(track.end)
        person = clipped(track.start, end, self.segment.asked_for, too_small=too_small)
        return [person] if person else []
