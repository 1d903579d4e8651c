"""One recording of a scan: how it is cut into segments, and what came of those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.model import (
    FootageEffort,
    Gap,
    GapReason,
    ScanState,
    Segment,
    Thoroughness,
)

NO_EVIDENCE = (
    "an earlier version of Homeward searched it, and kept no evidence of that; search it again"
)
SCAN_CANCELLED = "the scan was cancelled"


@dataclass(frozen=True, slots=True)
class Unsearchable:
    """A segment that is known not to be searchable when it is planned."""

    segment: int
    """Its number in its recording."""
    reason: GapReason
    detail: str


@dataclass(frozen=True, slots=True)
class ScannedRecording:
    """One recording of a scan: how it is cut into segments, and what came of those that ended.

    It has nothing of who was found: beside the recording, that would tell where somebody was.
    """

    number: int
    """In the scan, from 0."""
    footage_id: str
    camera_id: str
    true_start: datetime
    """True time of the recording's first picture."""
    first_segment: int
    """Number of its first segment in the scan."""
    pieces: tuple[Stretch, ...]
    """Of each of its segments, in order."""
    window: Stretch
    """What of the recording was asked for."""
    pixel_aspect: float | None = None
    """As the camera is set; None to go by what the recording says."""
    unsearchable: tuple[Unsearchable, ...] = ()
    ended: tuple[tuple[int, int], ...] = ()
    """Segments that have ended, by their numbers in the recording: from, up to but without."""
    added: tuple[tuple[int, int], ...] = ()
    """Segments that are in the rest and may not be in the tally yet, by their numbers in the
    recording, each with the revision of the record that counted."""
    looked_at: timedelta = timedelta()
    passed_over: timedelta = timedelta()
    thoroughness: tuple[Thoroughness, ...] = ()
    gaps: tuple[Gap, ...] = ()
    sizes: FaceSizes = field(default_factory=FaceSizes)
    incomparable: tuple[tuple[int, int], ...] = ()
    """Segments in which somebody could not be compared, and how many appearances that were."""

    @property
    def duration(self) -> timedelta:
        """How much of it was asked for."""
        return sum((_common(one, self.window).duration for one in self.pieces), timedelta())

    @property
    def effort(self) -> FootageEffort:
        """How it was searched."""
        return FootageEffort(
            self.footage_id, self.looked_at, self.passed_over, self.thoroughness, self.true_start
        )

    def segment(self, number: int) -> Segment:
        """Return a segment as it was planned, by its number in the recording."""
        piece = self.pieces[number]
        inside = self.window.start <= piece.start and piece.end <= self.window.end
        return Segment(
            footage_id=self.footage_id,
            camera_id=self.camera_id,
            start=piece.start,
            end=piece.end,
            true_start=self.true_start,
            window=None if inside else self.window,
            pixel_aspect=self.pixel_aspect,
            recording=self.number,
            number=self.first_segment + number,
        )

    def has_ended(self, number: int) -> bool:
        """Tell whether a segment of the recording has ended, by its number in it."""
        return any(first <= number < last for first, last in self.ended)

    def open_segments(self) -> list[Segment]:
        """Return the segments that have not ended, as planned."""
        return [
            self.segment(number) for number in range(len(self.pieces)) if not self.has_ended(number)
        ]

    def has_added(self, number: int, revision: int) -> bool:
        """Tell whether it was this record of a segment that counted, by its number in it.

        A segment may be searched twice: both times it ends, and only one of these is added up.
        """
        return (number, revision) in self.added

    def with_ended(self, segment: Segment, revision: int, *, tallied: int = 0) -> ScannedRecording:
        """Return the recording with what came of one more segment.

        Args:
            segment: That has ended.
            revision: Of its record.
            tallied: Up to which revision the tally has all that ended.
        """
        number = segment.number - self.first_segment
        searched = segment.state is ScanState.SUCCEEDED
        how = (segment.thoroughness,) if searched and segment.thoroughness else ()
        told = ((number, segment.counts.incomparable),)
        return replace(
            self,
            ended=_with_number(self.ended, number),
            added=(*(one for one in self.added if one[1] > tallied), (number, revision)),
            looked_at=self.looked_at + segment.looked_at,
            passed_over=self.passed_over + segment.passed_over,
            thoroughness=tuple(dict.fromkeys(self.thoroughness + how)),
            gaps=merged(self.gaps + segment.gaps),
            sizes=self.sizes + segment.counts.sizes,
            incomparable=self.incomparable
            + (told if searched and segment.counts.incomparable else ()),
        )

    def gaps_if_cancelled(self) -> tuple[Gap, ...]:
        """Return its gaps, with what no scanner has ended as one that was cancelled."""
        rest = [
            Gap(
                self.footage_id,
                self.true_start + one.start,
                self.true_start + one.end,
                GapReason.CANCELLED,
                SCAN_CANCELLED,
            )
            for one in self._open_stretches()
        ]
        return merged([*self.gaps, *rest]) if rest else self.gaps

    def _open_stretches(self) -> list[Stretch]:
        """Return what was asked for of segments that have not ended, those that touch as one."""
        borders = [0, *(number for span in self.ended for number in span), len(self.pieces)]
        runs = zip(borders[::2], borders[1::2], strict=True)
        stretches = (
            _common(Stretch(self.pieces[first].start, self.pieces[last - 1].end), self.window)
            for first, last in runs
            if first < last
        )
        return [one for one in stretches if one.duration]


def _common(one: Stretch, other: Stretch) -> Stretch:
    """Return what two stretches have in common; one of no length if that is nothing."""
    start = max(one.start, other.start)
    return Stretch(start, max(start, min(one.end, other.end)))


def accounted(segment: Segment) -> Segment:
    """Return a segment that has ended; as a gap, if it does not say what became of all of it.

    An earlier version of Homeward kept no evidence.
    """
    told = segment.searched + sum((gap.duration for gap in segment.gaps), timedelta())
    if told == segment.duration:
        return segment
    return segment.given_up(GapReason.GIVEN_UP, NO_EVIDENCE, segment.update_time)


def merged(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return gaps by time; those of a recording that follow each other, for one reason, as one."""
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda one: (one.footage_id, one.start_time)):
        last = joined[-1] if joined else None
        if (
            last is not None
            and (last.footage_id, last.reason, last.detail)
            == (gap.footage_id, gap.reason, gap.detail)
            and gap.start_time <= last.end_time
        ):
            joined[-1] = replace(last, end_time=max(last.end_time, gap.end_time))
        else:
            joined.append(gap)
    return tuple(sorted(joined, key=lambda gap: (gap.start_time, gap.footage_id)))


def _with_number(ranges: Sequence[tuple[int, int]], number: int) -> tuple[tuple[int, int], ...]:
    """Return ranges of numbers with one more number, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted([*ranges, (number, number + 1)]):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)
