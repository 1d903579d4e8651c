"""When each picture of a recording is shown, and where it is in the file.

The timeline is made once, when a recording is taken in, from every packet of its picture track. A
scan decodes by it, and coverage is added up from it: nothing divides by a mean rate, and no seek is
trusted that the timeline does not confirm.

A picture is known by its *ordinal*: its place in the file's order. Files give times in many ways:
with a clock that starts anew, jumps or steps back, with one wild time stamp among good ones, or
with a stamp for some pictures only. `place` makes one line of them, which never goes back: the
clock of the first run counts, what follows a step back is put right behind, and a jump ahead is a
hole.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.gate import Profile
from homeward.ingestion.model import Probe, Stretch
from homeward.ingestion.packets import Packets

UNKNOWN = np.iinfo(np.int64).min
"""A time stamp or position that the file does not give."""

MAX_ANSWER = timedelta(seconds=10)
"""A picture answers for no more time than this, however far away the next one is."""

MIN_HOLE = timedelta(seconds=1.5)
"""Shorter waits for the next picture are no hole: it answers for the time until then."""

HOLE_FACTOR = 2.5
"""A wait is a hole if it is this many times as long as those around it, and no shorter than
`MIN_HOLE`. Where pictures are rare all along, as with one every two seconds, there is none."""

_AROUND = 4
"""Waits on either side that a wait is compared with."""

_AT_ONCE = 65_536
"""Waits that are compared at a time: each takes nine times its own room meanwhile."""

MAX_JUMP = timedelta(hours=24)
"""A clock that goes ahead by more than this has been set, and tells nothing about a hole."""

MAX_OUTLIERS = 8
"""This many pictures in a row, at most, have wild times; where more do, the clock has changed."""

_REORDERED = 17
"""A picture is shown, at most, as many pictures after it is decoded (H.264 and H.265 allow 16)."""

_TIMED_ELSEWHERE = 0.9
"""Part of the pictures that a file times, from which on one without a time is an exception."""

_FARTHEST = 2.0**61
"""No picture is farther than this from the first one, microseconds: room to subtract in 64 bits."""

_WRAP = 1 << 33
"""Ticks after which the clock of a transport stream starts anew."""

KEY, TIMED, HIDDEN = 1, 2, 4
"""Flags of a picture: others can be decoded from it on; the file itself gives its time; the file
has it only to decode others from."""

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """What a file says about the pictures of its track, in the file's order."""

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
    """Whether the file has it only to decode others from, and leaves it out (an edit list)."""
    tick: float
    """Seconds."""
    rate: float
    """Pictures a second that the file states, or that are assumed; for where it gives no times."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What is odd about a recording's clock."""

    backward: tuple[timedelta, ...] = ()
    """Where, on the timeline, the clock went back or was set anew: times after the first of them
    are by no clock."""
    outliers: int = 0
    """Pictures whose time stamps were ignored."""
    untimed: int = 0
    """Pictures that came without a time stamp."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The pictures of a recording, in the file's order. All arrays have shape (n,)."""

    times: NDArray[np.int64]
    """When each is shown, microseconds from the first one's."""
    dts: NDArray[np.int64]
    """Ticks of the file's own clock, `UNKNOWN` where it gives none."""
    pts: NDArray[np.int64]
    """As `dts`."""
    positions: NDArray[np.int64]
    """Bytes from the file's beginning, `UNKNOWN` where the demuxer does not say."""
    sizes: NDArray[np.int64]
    """Bytes."""
    flags: NDArray[np.uint8]
    """`KEY` and `TIMED`."""

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Ordinals in the order in which they are shown, without those that are hidden."""
        order = np.argsort(self.times, kind="stable")
        shown: NDArray[np.int64] = order[self.flags[order] & HIDDEN == 0]
        return shown

    @cached_property
    def shown(self) -> NDArray[np.int64]:
        """The times, in order."""
        return self.times[self.order]

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """Ordinals of the pictures that others can be decoded from, in the file's order."""
        return np.flatnonzero(self.flags & KEY)

    def _waits(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """After each picture shown: how long it answers at least, and at most."""
        waits = np.diff(self.shown)
        if not len(waits):
            usual = np.full(len(self.shown), 40_000, np.int64)
            return usual, usual
        padded = np.pad(waits, _AROUND, mode="edge")
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1)
        usual = np.empty_like(waits)
        for begin in range(0, len(waits), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            usual[part] = np.partition(around[part], _AROUND, axis=1)[:, _AROUND]
        del waits, padded, around  # a million pictures have a million waits
        longest = MAX_ANSWER // _TICK
        most = HOLE_FACTOR * usual
        np.clip(most, MIN_HOLE // _TICK, longest, out=most)
        np.minimum(usual, longest, out=usual)
        # Nothing tells how long the last one stays but the waits before.
        return np.append(usual, usual[-1]), np.append(most.astype(np.int64), 0)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Until when each picture, in the order shown, answers for the time after it."""
        usual, most = self._waits()
        following = np.append(self.shown[1:], self.shown[-1:])
        waits = following - self.shown
        near = waits <= most
        near[-1] = False
        alone = self.shown + usual
        alone[:-1] = np.minimum(alone[:-1], following[:-1])
        return np.where(near, following, alone)

    @property
    def duration(self) -> timedelta:
        """From the first picture to the end of the last one."""
        return int(self.ends[-1]) * _TICK

    @cached_property
    def pictured(self) -> Spans:
        """The time that pictures answer for."""
        return Spans.of(self.shown, self.ends)

    @property
    def holes(self) -> Spans:
        """The time, up to the end, that no picture answers for."""
        return Spans.between(timedelta(), self.duration) - self.pictured

    def shown_at(self, at: timedelta) -> timedelta:
        """Return since when the picture has been there that answers for a time; `at` in a hole."""
        number = int(np.searchsorted(self.shown, at // _TICK, side="right")) - 1
        answers = number >= 0 and self.ends[number] > at // _TICK
        return int(self.shown[number]) * _TICK if answers else at

    def end_of(self, at: timedelta) -> timedelta:
        """Return until when the picture that is shown at a time, or last before, answers."""
        number = int(np.searchsorted(self.shown, at // _TICK, side="right")) - 1
        return int(self.ends[max(number, 0)]) * _TICK

    def last_before(self, end: timedelta) -> int:
        """Return the greatest ordinal of the pictures shown before a time; -1 if there is none."""
        number = int(np.searchsorted(self.shown, end // _TICK, side="left"))
        return int(self._greatest[number - 1]) if number else -1

    @cached_property
    def _greatest(self) -> NDArray[np.int64]:
        return np.maximum.accumulate(self.order)

    def entry(self, at: timedelta, *, earlier: int = 0) -> int:
        """Return the ordinal to decode from so as to have all pictures from a time on.

        Args:
            at: The time.
            earlier: How many key pictures to go back further; for pictures that are complete only
                some time after the one that they can be decoded from.
        """
        shown, latest = self._entries
        number = int(np.searchsorted(shown, at // _TICK, side="right")) - 1
        place = int(latest[number]) - earlier if number >= 0 else -1
        return int(self.keys[place]) if place >= 0 else 0

    @cached_property
    def _entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """When key pictures are shown, in order, and the last of those up to then in `keys`."""
        times = self.times[self.keys]
        order = np.argsort(times, kind="stable")
        return times[order], np.maximum.accumulate(order)

    def prepare(self) -> None:
        """Work out now what is otherwise worked out by the first search: 0.3 s for a million."""
        self.last_before(self.duration)
        self.entry(timedelta())

    @property
    def groups(self) -> Packets:
        """How large pictures are, by key picture and second."""
        keys = self.flags[self.order] & KEY != 0
        return Packets.summed(
            self.shown, self.sizes[self.order], keys, most_seconds=MAX_GROUP_SECONDS
        )

    @cached_property
    def profile(self) -> Profile:
        """What the sizes of its pictures say about the whole recording."""
        return Profile.of(self.groups)


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """What was found out about a file."""

    probe: Probe
    timeline: Timeline


MAX_GROUP_SECONDS = 3600
"""Longest time after a key picture of which sizes are told."""


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Stretches of time that do not touch, in order. Shape (n, 2): start and end, microseconds."""

    edges: NDArray[np.int64]

    @classmethod
    def of(cls, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Spans:
        """Join stretches that overlap or touch; those that are empty are left out."""
        kept = ends > starts
        starts, ends = starts[kept], ends[kept]
        if not len(starts):
            return cls(np.zeros((0, 2), np.int64))
        if np.any(starts[1:] < starts[:-1]):
            order = np.argsort(starts, kind="stable")
            starts, ends = starts[order], ends[order]
        reached = np.maximum.accumulate(ends)
        first = np.r_[True, starts[1:] > reached[:-1]]
        last = np.r_[first[1:], True]
        return cls(np.stack([starts[first], reached[last]], axis=1))

    @classmethod
    def among(cls, stretches: Sequence[Stretch]) -> Spans:
        """Return what stretches cover."""
        edges = np.array(
            [(one.start // _TICK, one.end // _TICK) for one in stretches], np.int64
        ).reshape(-1, 2)
        return cls.of(edges[:, 0], edges[:, 1])

    @classmethod
    def between(cls, start: timedelta, end: timedelta) -> Spans:
        """Return one stretch; nothing if it is empty."""
        return cls.among([Stretch(start, end)])

    def __iter__(self) -> Iterator[Stretch]:
        return (Stretch(int(a) * _TICK, int(b) * _TICK) for a, b in self.edges)

    def __len__(self) -> int:
        return len(self.edges)

    @property
    def total(self) -> timedelta:
        """How much time it is."""
        return int((self.edges[:, 1] - self.edges[:, 0]).sum()) * _TICK

    def __or__(self, other: Spans) -> Spans:
        both = np.concatenate([self.edges, other.edges])
        return Spans.of(both[:, 0], both[:, 1])

    def __sub__(self, other: Spans) -> Spans:
        if not len(self) or not len(other):
            return self
        # What lies between the others, cut to each of ours.
        far = np.iinfo(np.int64)
        starts = np.r_[far.min, other.edges[:, 1]]
        ends = np.r_[other.edges[:, 0], far.max]
        return self & Spans(np.stack([starts, ends], axis=1))

    def __and__(self, other: Spans) -> Spans:
        if not len(self) or not len(other):
            return Spans(np.zeros((0, 2), np.int64))
        first = np.searchsorted(other.edges[:, 1], self.edges[:, 0], side="right")
        after = np.searchsorted(other.edges[:, 0], self.edges[:, 1], side="left")
        counts = np.maximum(after - first, 0)
        mine = np.repeat(np.arange(len(self)), counts)
        theirs = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        theirs += np.repeat(first, counts)
        starts = np.maximum(self.edges[mine, 0], other.edges[theirs, 0])
        ends = np.minimum(self.edges[mine, 1], other.edges[theirs, 1])
        return Spans.of(starts, ends)


def place(stamps: Stamps) -> tuple[Timeline, Steps]:
    """Make one line of the times that a file gives its pictures.

    Args:
        stamps: Of at least one picture.
    """
    untimed = int(np.count_nonzero(stamps.pts == UNKNOWN))
    stamps = replace(_without_constants(stamps), hidden=stamps.hidden | _lead_in(stamps.pts))
    step = _usual_step(stamps)
    pts = _complete(stamps, step)
    placed, backward, outliers = _straightened(pts, _decoding_clock(stamps), stamps.tick, step)
    first = placed[~stamps.hidden].min() if not np.all(stamps.hidden) else placed.min()
    # Stamps of nonsense may be any number of 64 bits, of any unit.
    placed -= first
    placed *= stamps.tick * 1e6
    np.clip(placed, -_FARTHEST, _FARTHEST, out=placed)
    times = np.rint(placed, out=placed).astype(np.int64)
    del placed
    # A file that leaves everything out shows it: nobody makes a recording of nothing.
    hidden = stamps.hidden & ~np.all(stamps.hidden)
    flags = stamps.keys * KEY + (stamps.pts != UNKNOWN) * TIMED + hidden * HIDDEN
    timeline = Timeline(
        times, stamps.dts, stamps.pts, stamps.positions, stamps.sizes, flags.astype(np.uint8)
    )
    where = tuple(max(0, int(times[number])) * _TICK for number in backward)
    return timeline, Steps(where, outliers, untimed)


def _without_constants(stamps: Stamps) -> Stamps:
    """Return the stamps without those of a clock that stands still, which tells nothing."""

    def told(clock: NDArray[np.int64]) -> NDArray[np.int64]:
        known = clock[clock != UNKNOWN]
        still = len(known) > 1 and known.min() == known.max()
        return np.full_like(clock, UNKNOWN) if still else clock

    return replace(stamps, dts=told(stamps.dts), pts=told(stamps.pts))


def _lead_in(pts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which pictures come before the first one with a time, in a file that times the others.

    Such a file was cut: it has them to decode others from, and no player shows them.
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
    # A clock of decoding goes on with each picture; one of showing goes back and forth a little.
    least = -most_reordered if dts is None else 0.5
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
    if least > 0:
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
    for begin in range(0, len(jumps), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
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


def encode(timeline: Timeline) -> bytes:
    """Write a timeline, compressed: about five bytes a picture."""
    out = io.BytesIO()
    np.savez_compressed(
        out,
        version=np.array([VERSION]),
        times=_differences(timeline.times),
        dts=_differences(timeline.dts),
        pts=_differences(timeline.pts),
        positions=_differences(timeline.positions),
        sizes=timeline.sizes.astype(np.int32),
        flags=timeline.flags,
    )
    return out.getvalue()


def decode(data: bytes) -> Timeline:
    """Read a timeline that `encode` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        return Timeline(
            times=np.cumsum(held["times"]),
            dts=np.cumsum(held["dts"]),
            pts=np.cumsum(held["pts"]),
            positions=np.cumsum(held["positions"]),
            sizes=held["sizes"].astype(np.int64),
            flags=held["flags"],
        )


VERSION = 1
"""Of how timelines are made: raise it, and recordings are examined again when next searched."""


def _differences(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diff(values, prepend=np.int64(0))
