"""When each picture of a recording is shown, and where it is in the file.

The timeline is made once, when a recording is taken in, from every packet of its picture track. A
scan decodes by it, and coverage is added up from it: nothing divides by a mean rate, and no seek is
trusted that the timeline does not confirm.

A picture is known by its *ordinal*: its place in the file's order. `clocks.place` makes the times
one line, whatever the file's clock does.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.footage.media import MediaInfo, Stretch
from homeward.ingestion.footage.packets import Packets

UNKNOWN = np.iinfo(np.int64).min
"""A time stamp or position that the file does not give."""

MAX_ANSWER = timedelta(seconds=10)
"""Longest time that one picture covers, however far away the next one is."""

MIN_HOLE = timedelta(seconds=1.5)
"""Least gap between two pictures that is a hole; the earlier picture covers a shorter one."""

HOLE_FACTOR = 2.5
"""A wait is a hole if it is this many times as long as those around it, and no shorter than
`MIN_HOLE`. Where pictures are rare all along, as with one every two seconds, there is none."""

_AROUND = 4
"""Waits on either side that a wait is compared with."""

AT_ONCE = 65_536
"""Waits that are compared at a time: each takes nine times its own room meanwhile."""

KEY, TIMED, HIDDEN = 1, 2, 4
"""Flags of a picture: others can be decoded from it on; the file itself gives its time; the file
has it only to decode others from."""

_TICK = timedelta(microseconds=1)


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
        # Mirrored at the ends: an odd first or last wait is as rare there as it is elsewhere.
        padded = np.pad(waits, _AROUND, mode="reflect")
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1)
        usual = np.empty_like(waits)
        for begin in range(0, len(waits), AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
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

    @property
    def key_runs(self) -> KeyRuns:
        """Which pictures come after each key picture, up to the next one."""
        keys = self.flags[self.order] & KEY != 0
        keys[0] = True
        first = np.flatnonzero(keys)
        ends = np.append(self.shown[first[1:]], self.ends[-1])
        counts = np.diff(np.append(first, len(keys))) - 1
        return KeyRuns(counts, np.stack([self.shown[first], ends], axis=1))

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
        """Compute the derived arrays now, not in the first search: 0.3 s for a million pictures."""
        self.last_before(self.duration)
        self.entry(timedelta())

    @property
    def groups(self) -> Packets:
        """How large pictures are, by key picture and second."""
        keys = self.flags[self.order] & KEY != 0
        return Packets.summed(
            self.shown, self.sizes[self.order], keys, most_seconds=MAX_GROUP_SECONDS
        )


@dataclass(frozen=True, slots=True, eq=False)
class KeyRuns:
    """The pictures from each key picture up to the next one, in the order in which they are shown.

    The first run begins with the recording, whether its first picture is a key picture or not.
    """

    counts: NDArray[np.int64]
    """How many pictures come after the key picture of each. Shape (r,)."""
    edges: NDArray[np.int64]
    """When each begins and ends, microseconds. Shape (r, 2)."""

    @property
    def longest(self) -> int:
        """The greatest of the counts."""
        return int(self.counts.max())

    def longer_than(self, pictures: int) -> tuple[Stretch, ...]:
        """Return when those are shown that have more pictures after the key picture."""
        edges = self.edges[self.counts > pictures].tolist()
        return tuple(Stretch(start * _TICK, end * _TICK) for start, end in edges)


@dataclass(frozen=True, slots=True, eq=False)
class Examination:
    """Result of examining a file."""

    media: MediaInfo
    timeline: Timeline


MAX_GROUP_SECONDS = 3600
"""Longest time after a key picture for which sizes are counted."""


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
    """Read a timeline that `encode` wrote.

    Raises:
        ValueError: The bytes are no timeline.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            return Timeline(
                times=np.cumsum(held["times"]),
                dts=np.cumsum(held["dts"]),
                pts=np.cumsum(held["pts"]),
                positions=np.cumsum(held["positions"]),
                sizes=held["sizes"].astype(np.int64),
                flags=held["flags"],
            )
    except (EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error)) from error


VERSION = 3
"""Version of the examination. If it is raised, a recording is examined again before its next
search. Each version has a timeline of its own beside the recording, so that the manifest that stays
has its timeline if replicas of two versions examine a recording at the same time."""


def _differences(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diff(values, prepend=np.int64(0))
