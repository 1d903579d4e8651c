"""Coverage: which stretches of a recording were searched, by the pictures that were searched.

Time counts as searched where a searched picture covers it, or where it was passed over on evidence:
pictures exist, and their sizes and the key pictures among them showed that nobody comes into view.
All other time is a gap, with its reason. No time that was asked for is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.timeline import Spans, Timeline
from homeward.ingestion.scan.model import GapReason

GLITCH = timedelta(seconds=1)
"""Time within which another searched picture replaces one that could not be searched."""

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Unsearched:
    """A stretch of a recording that was not searched."""

    stretch: Stretch
    reason: GapReason
    detail: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Coverage of a stretch of a recording. Its parts do not overlap, and add up to all of it."""

    looked_at: tuple[Stretch, ...] = ()
    passed_over: tuple[Stretch, ...] = ()
    gaps: tuple[Unsearched, ...] = ()

    def within(self, window: Stretch) -> Coverage:
        """Return the part of it that lies in a window."""
        return Coverage(
            tuple(parts_within(self.looked_at, window)),
            tuple(parts_within(self.passed_over, window)),
            tuple(
                Unsearched(part, gap.reason, gap.detail)
                for gap in self.gaps
                for part in parts_within([gap.stretch], window)
            ),
        )

    @property
    def duration(self) -> timedelta:
        """How much time it is of."""
        gaps = (gap.stretch for gap in self.gaps)
        return total(self.looked_at) + total(self.passed_over) + total(gaps)


NO_PICTURES = "the recording has no pictures there"
UNDECODABLE = "its pictures are damaged and do not decode"


def cover(
    timeline: Timeline,
    stretch: Stretch,
    *,
    decoded: Sequence[Stretch],
    looked_at: Sequence[timedelta],
    period: timedelta,
    ended: Iterable[tuple[Stretch, str]] = (),
) -> Coverage:
    """Return the coverage of a stretch.

    Args:
        timeline: Timeline of the recording.
        stretch: The stretch.
        decoded: Parts that were to be decoded, because somebody might be in view; the rest is
            passed over.
        looked_at: Times of the pictures that were searched for faces.
        period: Longest time between two pictures to search, if there are as many.
        ended: Stretches whose decoding was ended, each with its cause.
    """
    whole = Spans.between(stretch.start, stretch.end)
    pictured = timeline.pictured & whole
    wanted = Spans.among(decoded) & pictured
    answered = _answered(timeline, Spans.among(decoded) & whole, looked_at, period) & wanted
    assert not len(answered - _reach(timeline, looked_at, period)), (
        "time is looked at where a picture that was looked at answers for it"
    )
    gaps = [Unsearched(hole, GapReason.NO_PICTURES, NO_PICTURES) for hole in whole - pictured]
    lost = wanted - answered
    for part, cause in ended:
        here = lost & Spans.between(part.start, part.end)
        gaps += [Unsearched(one, GapReason.DECODER_ENDED, cause) for one in here]
        lost = lost - here
    gaps += [Unsearched(one, GapReason.UNDECODABLE, UNDECODABLE) for one in lost]
    found = Coverage(
        tuple(answered),
        tuple(pictured - wanted),
        tuple(sorted(gaps, key=lambda gap: gap.stretch.start)),
    )
    require_sound(found, timeline, stretch)
    return found


def require_sound(coverage: Coverage, timeline: Timeline, stretch: Stretch) -> None:
    """Stop a search whose coverage states more than its recording has.

    Args:
        coverage: The coverage, of this or of an earlier search.
        timeline: Timeline of the recording.
        stretch: The stretch that was asked for.

    Raises:
        AssertionError: A fault in Homeward. The segment is tried again, then reported as given up.
    """
    searched = [*coverage.looked_at, *coverage.passed_over]
    parts = [*searched, *(gap.stretch for gap in coverage.gaps)]
    assert coverage.duration == stretch.duration, "searched and gaps are what was asked for"
    assert Spans.among(parts).total == coverage.duration, "no time is counted twice"
    assert not len(Spans.among(parts) - Spans.among([stretch])), "all of it was asked for"
    assert not len(Spans.among(searched) - timeline.pictured), (
        "searched is no more than the time that pictures answer for"
    )


def _reach(timeline: Timeline, looked_at: Sequence[timedelta], period: timedelta) -> Spans:
    """Return the most that pictures can answer for: a glitch more, on either side, than is due.

    It knows nothing of how `_answered` shares time out among them.
    """
    times = np.array([at // _TICK for at in looked_at], np.int64)
    glitch = GLITCH // _TICK
    return Spans.of(times - glitch, _shown_from(timeline, times + period // _TICK) + glitch)


def _answered(
    timeline: Timeline, decoded: Spans, looked_at: Sequence[timedelta], period: timedelta
) -> Spans:
    """Return the time that searched pictures cover.

    Each covers the time until the next searched picture, if that is the next one to search or comes
    at most `GLITCH` after it; else until the next one to search is shown.
    """
    times = np.unique(np.array([at // _TICK for at in looked_at], np.int64))
    if not len(times) or not len(decoded):
        return Spans.among([])
    starts, ends = decoded.edges[:, 0], decoded.edges[:, 1]
    # A picture that was shown before a stretch began answers for its beginning.
    of = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)
    late = times >= ends[of]
    of = np.where(late & (of + 1 < len(starts)), of + 1, of)
    first = np.r_[True, of[1:] != of[:-1]]
    last = np.r_[first[1:], True]
    glitch = GLITCH // _TICK
    due = _shown_from(timeline, times + period // _TICK)
    following = np.where(last, ends[of], np.append(times[1:], 0))
    until = np.where(following <= due + glitch, following, np.minimum(due, following))
    begun = _answering(timeline, starts)[of]
    since = np.where(first & (times <= begun + glitch), np.minimum(starts[of], times), times)
    return Spans.of(since, until)


def _answering(timeline: Timeline, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return when the picture is shown that answers for each time, or the first one after it."""
    before = np.searchsorted(timeline.shown, times, side="right") - 1
    answers = (before >= 0) & (timeline.ends[np.maximum(before, 0)] > times)
    return np.where(answers, timeline.shown[np.maximum(before, 0)], _shown_from(timeline, times))


def _shown_from(timeline: Timeline, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return when the first picture at or after each time is shown; the end where there is none."""
    shown = np.append(timeline.shown, timeline.duration // _TICK)
    found: NDArray[np.int64] = shown[np.minimum(np.searchsorted(shown, times), len(shown) - 1)]
    return found


def total(stretches: Iterable[Stretch]) -> timedelta:
    """Return how much time stretches are."""
    return sum((one.duration for one in stretches), timedelta())


def parts_within(stretches: Iterable[Stretch], window: Stretch) -> Iterable[Stretch]:
    """Return the parts of stretches that lie in a window."""
    for one in stretches:
        start, end = max(one.start, window.start), min(one.end, window.end)
        if start < end:
            yield Stretch(start, end)
