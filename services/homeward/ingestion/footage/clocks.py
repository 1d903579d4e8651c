"""One timeline of a file's pictures, whatever the clock of the file does.

The clock of a file may restart, jump or step back; single time stamps may be wild, or missing.
`place` makes one timeline that never goes back: it follows the clock of the first run, puts
pictures after a step back directly behind those before, and leaves a hole at a jump ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.footage.limits import MAX_PICTURE_RATE
from homeward.ingestion.footage.timeline import (
    AT_ONCE,
    HIDDEN,
    KEY,
    MIN_HOLE,
    TIMED,
    UNKNOWN,
    Timeline,
)

MAX_JUMP = timedelta(hours=24)
"""A clock that goes ahead by more than this has been set, and tells nothing about a hole."""

MAX_OUTLIERS = 8
"""Most pictures in a row whose times count as wild; where more differ, the clock has changed."""

_REORDERED = 17
"""A picture is shown, at most, as many pictures after it is decoded (H.264 and H.265 allow 16)."""

_TIMED_ELSEWHERE = 0.9
"""Share of pictures with a time from which on a picture without one is an exception."""

_FARTHEST = 2.0**61
"""Longest distance of a picture from the first one, microseconds: 64 bits have room to subtract."""

_WRAP = 1 << 33
"""Ticks after which the clock of a transport stream starts anew."""

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """Times, sizes and places of the pictures of a track, in the file's order."""

    dts: NDArray[np.int64]
    """When each is decoded, ticks of the track; `UNKNOWN` where the file does not say."""
    pts: NDArray[np.int64]
    """When each is shown, as `dts`."""
    positions: NDArray[np.int64]
    """Where each is in the file, bytes; `UNKNOWN` where the demuxer does not say."""
    sizes: NDArray[np.int64]
    """Bytes."""
    keys: NDArray[np.bool_]
    """Whether others can be decoded from it on."""
    hidden: NDArray[np.bool_]
    """Whether the file leaves the picture out (an edit list) and only decodes others from it."""
    tick: float
    """Seconds."""
    rate: float
    """Pictures a second that the file states, or that are assumed; for where it gives no times."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Oddities of a recording's clock."""

    backward: tuple[timedelta, ...] = ()
    """Places on the timeline where the clock went back or was set. Times after the first of them
    follow no clock."""
    outliers: int = 0
    """Pictures whose time stamps were ignored."""
    untimed: int = 0
    """Pictures that came without a time stamp."""


def place(stamps: Stamps) -> tuple[Timeline, Steps]:
    """Make one line of the times that a file gives its pictures.

    Args:
        stamps: Of at least one picture.
    """
    untimed = int(np.count_nonzero(stamps.pts == UNKNOWN))
    stamps = replace(_without_constants(stamps), hidden=stamps.hidden | _lead_in(stamps.pts))
    step = _usual_step(stamps)
    pts, dts = _complete(stamps, step), _decoding_clock(stamps)
    # If a file leaves all pictures out, they are shown nevertheless.
    hidden = stamps.hidden & ~np.all(stamps.hidden)
    shown = np.flatnonzero(~hidden)
    line, backward, outliers = _straightened(
        pts[shown], None if dts is None else dts[shown], stamps.tick, step
    )
    placed = _with_hidden(_spread(line), shown, step, len(pts))
    del line
    first = placed[shown].min()
    # Nonsensical stamps may be any 64-bit number, in any unit.
    placed -= first
    placed *= stamps.tick * 1e6
    np.clip(placed, -_FARTHEST, _FARTHEST, out=placed)
    times = np.rint(placed, out=placed).astype(np.int64)
    del placed
    flags = stamps.keys * KEY + (stamps.pts != UNKNOWN) * TIMED + hidden * HIDDEN
    timeline = Timeline(
        times, stamps.dts, stamps.pts, stamps.positions, stamps.sizes, flags.astype(np.uint8)
    )
    where = tuple(max(0, int(times[shown[number]])) * _TICK for number in backward)
    return timeline, Steps(where, outliers, untimed)


def _with_hidden(
    line: NDArray[np.float64], shown: NDArray[np.int64], step: float, count: int
) -> NDArray[np.float64]:
    """Return the times of all pictures of a file.

    Those that are hidden serve to decode what follows, whatever their own time stamps say: their
    time is just before the first picture shown after them.

    Args:
        line: The times of the pictures that are shown.
        shown: Their ordinals.
        step: The usual time from one picture to the next.
        count: Pictures in all.
    """
    if len(shown) == count:
        return line
    placed = np.empty(count)
    placed[shown] = line
    hidden = np.setdiff1d(np.arange(count), shown, assume_unique=True)
    padded = np.pad(line, (0, _REORDERED), mode="edge")
    following = np.lib.stride_tricks.sliding_window_view(padded, _REORDERED + 1)
    before = np.minimum(np.searchsorted(shown, hidden), len(line) - 1)
    placed[hidden] = following[before].min(axis=1) - step / 2
    return placed


def _spread(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return times where pictures that share one lie evenly up to the next time.

    A clock of whole seconds gives all pictures of a second one time. A few that share one, among
    many that do not, stay.
    """
    order = np.argsort(line, kind="stable")
    distinct, first, counts = np.unique(line[order], return_index=True, return_counts=True)
    if 2 * len(distinct) > len(line) or len(distinct) == 1:
        return line
    waits = np.diff(distinct)
    usual = np.median(waits)
    waits = np.append(np.minimum(waits, usual), usual)
    places = np.arange(len(line)) - np.repeat(first, counts)
    spread = np.empty_like(line)
    spread[order] = line[order] + places * np.repeat(waits / counts, counts)
    return spread


def _without_constants(stamps: Stamps) -> Stamps:
    """Return the stamps without those of a clock that stands still, or is as good as still."""

    def unless_still(clock: NDArray[np.int64]) -> NDArray[np.int64]:
        known = clock[clock != UNKNOWN]
        if len(known) < 2:  # noqa: PLR2004 - one alone tells nothing
            return clock
        span = (float(known.max()) - float(known.min())) * stamps.tick
        still = span < (len(known) - 1) / MAX_PICTURE_RATE
        return np.full_like(clock, UNKNOWN) if still else clock

    return replace(stamps, dts=unless_still(stamps.dts), pts=unless_still(stamps.pts))


def _lead_in(pts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pictures come before the first one with a time, if later ones have times.

    Such a file was cut: its first pictures serve to decode others, and no player shows them.
    """
    known = pts != UNKNOWN
    first = int(np.argmax(known))
    led_in = np.any(known) and np.mean(known[first:]) >= _TIMED_ELSEWHERE
    return (np.arange(len(pts)) < first) & led_in


def _usual_step(stamps: Stamps) -> float:
    """Return the usual time from one picture to the next, in ticks; at least one tick."""
    for clock, ordered in ((stamps.dts, True), (stamps.pts, False)):
        known = clock[clock != UNKNOWN]
        if not ordered:
            known.sort()
        waits = np.diff(known)
        waits = waits[waits > 0]
        # Where stamps are sparse those that there are lie several pictures apart.
        if len(waits) and 2 * len(known) > len(clock):
            return max(1.0, float(np.median(waits, overwrite_input=True)))
    return max(1.0, 1 / stamps.rate / stamps.tick)


def _decoding_clock(stamps: Stamps) -> NDArray[np.int64] | None:
    """Return the times of decoding, if the file gives them, and in order but for a few steps."""
    if np.any(stamps.dts == UNKNOWN) or len(stamps.dts) < 2:  # noqa: PLR2004 - a pair
        return None
    back = np.count_nonzero(np.diff(stamps.dts) <= 0)
    return stamps.dts if back <= max(8, len(stamps.dts) // 200) else None


def _complete(stamps: Stamps, step: float) -> NDArray[np.float64]:
    """Return when each picture is shown, those without a stamp by their place among the others."""
    pts, dts = stamps.pts, stamps.dts
    known = pts != UNKNOWN
    if np.all(known):
        return pts.astype(np.float64)
    ordinals = np.arange(len(pts))
    if not np.any(known):
        known_dts = dts != UNKNOWN
        if np.all(known_dts):  # AVI: pictures have places, which are those of decoding
            return dts.astype(np.float64)
        return np.asarray(ordinals * step, np.float64)
    # From the nearest picture before that has a stamp of decoding, else of showing, in steps.
    clock = np.where(dts != UNKNOWN, dts + _mean_delay(stamps), pts).astype(np.float64)
    anchored = (dts != UNKNOWN) | known
    before = np.maximum.accumulate(np.where(anchored, ordinals, -1))
    nearest = np.where(before >= 0, before, int(np.argmax(anchored)))
    made = clock[nearest] + (ordinals - nearest) * step
    return np.where(known, pts.astype(np.float64), made)


def _mean_delay(stamps: Stamps) -> float:
    both = (stamps.dts != UNKNOWN) & (stamps.pts != UNKNOWN)
    return float(np.mean(stamps.pts[both] - stamps.dts[both])) if np.any(both) else 0.0


def _straightened(
    pts: NDArray[np.float64], dts: NDArray[np.int64] | None, tick: float, step: float
) -> tuple[NDArray[np.float64], list[int], int]:
    """Return times that never go back, where the clock did, and how many stamps were ignored."""
    most_reordered = max(1 / tick, _REORDERED * step)
    clock = pts if dts is None else dts.astype(np.float64)
    # A clock of decoding never goes back; one of showing goes back and forth a little.
    least = -most_reordered if dts is None else 0.0
    placed = pts.copy()
    wild = _wild(pts, dts, most_reordered)
    if dts is not None and np.any(wild):
        usual = float(np.median((pts - clock)[~wild]))
        placed[wild] = clock[wild] + usual
    jumps = _jumps(clock, least, max(MIN_HOLE.total_seconds() / tick, 4 * step))
    returns = _returns(clock, jumps, least, step).tolist()
    outliers = int(np.count_nonzero(wild))
    backward: list[int] = []
    shift, done, returned = 0.0, 0, -1
    level = -np.inf
    # Values one by one, without an array for each: a file may have a jump at each picture.
    stamps, ticks = _one_by_one(placed), _one_by_one(clock)
    shifts = [(0, shift)]  # from which ordinal on, and by how much
    ignored: list[tuple[int, int, float]] = []  # from, until, and the level before
    borders = [*jumps.tolist(), len(clock)]
    for number, at in enumerate(borders):
        if at < done or at == returned:
            continue  # inside of what was ignored, or back from it
        level = max(level, _most_of(placed, stamps, done, at) + shift)
        done = at
        if at == len(clock):
            break
        if returns[number]:
            done = returned = at + returns[number]
            ignored.append((at, done, level))
            continue
        jump = ticks[at] - ticks[at - 1]
        if jump > 0 and _wrapped(jump, tick):
            jump -= _WRAP
            shift -= _WRAP
            shifts.append((at, shift))
        if jump < least or jump * tick > MAX_JUMP.total_seconds():
            run_end = min(at + _REORDERED + 1, borders[number + 1])
            shift = level + step - min(stamps[at:run_end])
            shifts.append((at, shift))
            backward.append(at)
    _shift(placed, shifts)
    for since, until, before in ignored:
        outliers += until - since
        for ordinal in range(since, until):
            placed[ordinal] = before + step * (ordinal - since + 1)
    return placed, backward, outliers


def _one_by_one(values: NDArray[np.float64]) -> Sequence[float]:
    """Return a view of values for Python to go through: a list takes four times their room."""
    return cast("Sequence[float]", values.data)


_FEW = 32
"""So many values are compared faster one by one."""


def _most_of(
    values: NDArray[np.float64], one_by_one: Sequence[float], since: int, until: int
) -> float:
    """Return the greatest of some values, of which there is one at least."""
    if until - since > _FEW:
        return float(values[since:until].max())
    return max(one_by_one[since:until])


def _shift(values: NDArray[np.float64], shifts: Sequence[tuple[int, float]]) -> None:
    """Add to values what each of `shifts` says, from its ordinal on up to the next one's."""
    if len(shifts) > 1:
        ordinals = np.array([at for at, _ in shifts] + [len(values)])
        values += np.repeat([by for _, by in shifts], np.diff(ordinals))


def _wrapped(jump: float, tick: float) -> bool:
    """Whether a clock seems to have gone ahead because the demuxer took it to have wrapped."""
    return abs(tick - 1 / 90000) < 1e-9 and jump > _WRAP / 2  # noqa: PLR2004 - rounding


def _wild(
    pts: NDArray[np.float64], dts: NDArray[np.int64] | None, most_reordered: float
) -> NDArray[np.bool_]:
    """Tell which pictures are shown at a time that does not fit their time of decoding."""
    if dts is None:
        return np.zeros(len(pts), bool)
    delays = pts - dts
    # A hole between two pictures makes the delays of a few before it long: those are no outliers.
    delays -= np.median(delays)
    far = np.abs(delays, out=delays) > most_reordered
    ahead = np.flatnonzero(far)
    fits = np.zeros(len(pts), bool)
    for number in ahead[: 4 * _REORDERED + len(pts) // 100].tolist():
        following = dts[number + 1 : number + 1 + _REORDERED]
        # Shown when pictures decoded soon after it are: their clock has jumped with it.
        fits[number] = bool(np.any(np.abs(pts[number] - following) <= most_reordered))
    wild = far & ~fits
    # Where all of them are, nothing tells which clock is right.
    return wild & ~np.all(wild)


def _jumps(clock: NDArray[np.float64], least: float, most: float) -> NDArray[np.int64]:
    """Return the ordinals at which the clock goes back, or far ahead."""
    if least == 0:
        waits = np.diff(clock)
        return np.flatnonzero((waits < least) | (waits > most)) + 1
    # By showing: compared with how far it has come since the last jump.
    jumps: list[int] = []
    level = clock[0]
    for number, value in enumerate(_one_by_one(clock)):
        if value < level + least or value > level + most:
            jumps.append(number)
            level = value
        elif value > level:
            level = value
    return np.array(jumps, np.int64)


def _returns(
    clock: NDArray[np.float64], jumps: NDArray[np.int64], least: float, step: float
) -> NDArray[np.int64]:
    """Return after how many wild times, from each jump on, the clock is back on its line.

    It is 0 where it is not.
    """
    returns = np.zeros(len(jumps), np.int64)
    for begin in range(0, len(jumps), AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        returns[part] = _returns_at(clock, jumps[part], least, step)
    return returns


def _returns_at(
    clock: NDArray[np.float64], jumps: NDArray[np.int64], least: float, step: float
) -> NDArray[np.int64]:
    found = np.zeros(len(jumps), np.int64)
    line = clock[jumps - 1]
    wild = [clock[jumps]]
    for count in range(1, MAX_OUTLIERS + 1):
        back = jumps + count
        there = back < len(clock)
        value = clock[np.minimum(back, len(clock) - 1)]
        expected = line + step * (count + 1)
        near = np.abs(value - expected) <= max(4 * step, -least)
        away = np.abs(wild - expected).min(axis=0) > max(8 * step, -2 * least)
        found[there & near & away & (found == 0)] = count
        wild.append(value)
    return found
