"""Which groups of pictures of a recording have to be decoded.

Decoding is most of the work of a scan, and most of what a street camera records shows nobody.
Movement makes pictures larger in the file. So packet sizes, which cost nothing to read, show the
groups of pictures in which something happens; these are decoded. In quiet groups, a key picture
every few seconds is searched for somebody who came unnoticed or stands still, and a group is
decoded if its key picture shows a face. Groups with little movement are treated like quiet ones: a
person who moves little stays long enough to be on a key picture.

The size of a single packet says little: it follows the encoder's pattern. So the mean of each
second is compared with the level of the same second after the key picture in the whole recording.
Where sizes show nothing (a constant bit rate, few pictures, a picture that never rests) everything
is decoded.

A recording that shows nobody has as even a rate as one whose rate is kept constant. What tells them
apart is the effect of a rate control: it makes up for large pictures with smaller ones, so that a
few seconds together vary less than single pictures do. In doubt the rate counts as constant. A
recording that counts as still is judged more strictly: a small rise has a group decoded, and the
second glance that shows a face without a rise in packet sizes has everything decoded. A glance is
a key picture that is searched in a quiet group.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.packets import SECOND, Packets
from homeward.ingestion.footage.timeline import Timeline
from homeward.ingestion.scan.model import Thoroughness

GLANCE_PERIOD = timedelta(seconds=8)
"""Time between two glances where packets are quiet; another glance is taken as they become quiet. A
person who comes and goes in less time moves, and a person who stays is found by a glance."""

MIN_CELLS = 8
"""Least number of seconds at the same place after a key picture that give a level."""

MIN_PICTURES = 4
"""Least number of pictures in a second that give a mean."""

SETTLED_SECONDS = 3
"""Seconds after a key picture from which on sizes no longer depend on the time since it."""

LEVEL_PERCENTILE = 25.0
LOW_PERCENTILE = 5.0
_SIGMAS_BETWEEN = 0.97
"""Standard deviations of a normal distribution between the two percentiles."""

_SIGMAS_WITHIN_TENTHS = 2.563
"""Standard deviations of a normal distribution between its first and its last tenth."""

MIN_RISE = 0.13
RISE_SIGMAS = 2.5
"""Something happens where packets are this far above their level: parts of it, or standard
deviations."""

STRONG_RISE = 0.30
"""Rise from which on a group is decoded, because a key picture may not show its cause: a person who
crosses the picture in less than two seconds adds more than this."""

MAX_LITTLE = timedelta(seconds=3)
"""Longest group of pictures that is passed over although a little happens in it. In a longer group,
the key pictures are too far apart to show a person who comes and goes."""

MAX_QUIET = timedelta(minutes=2)
"""Longest group of pictures that may be passed over at all: a longer one is decoded whatever its
packets show, because it has no key picture to search."""

MAX_RISE = 0.16
"""Largest rise by which activity may have to show: if a recording needs more, a small person could
pass unnoticed, and its packet sizes show nothing. Of 400 people
with heads of 36 to 200 pixels, in 1080p footage with sensor noise of 5 grey levels, each added 15 %
and more to some second; the quieter the footage, the more."""

MAX_NOISE = 0.06
"""Size of the other pictures, as a part of that of key pictures, above which noise hides people.
What moves costs about as much in another picture as in a key picture, so that it stands out the
more, the smaller the others are. Where they had 0.03, people added 40 % and more; with 0.15, 6 to
15 %; with 0.6, in a noisy night, less than 2 % (640x360, heads of 20 to 60 pixels, 2026-11-28)."""

EVEN_RATE = 0.015
"""Relative standard deviation of the bytes of four seconds, below which the bit rate is constant,
or nothing moves: up to 0.015 with a rate control of one second, 0.005 with a constant quantiser and
nobody in view, 0.05 and more with one person in two minutes and no rate control."""

EVEN_RATE_SECONDS = 4.0
MIN_TOTALS = 3
"""Least number of totals of so many seconds: fewer may be even by chance."""

BALANCE_SECONDS = (4.0, 8.0, 16.0)
"""Lengths over which a rate control is looked for. One that hides people answers within a second or
two, or their first seconds would show."""

MIN_SPANS = 5.0
"""Pairs of such lengths that a recording must hold for its balance to be judged by them."""
MIN_LENGTHS = 2
"""Lengths to judge by: over four seconds alone, a slow rate control looks like none."""

MAX_CONTROLLED = 0.3
"""Balance below which a rate control is at work, however uneven the rate is: it is 1 and more where
packets tell of people."""

MIN_FREE = 0.5
"""Balance from which on none is. Of recordings with an even rate (2026-11-28, x264, x265 and
MPEG-2, 120 s): up to 0.31 where a rate control made it so and hardly anybody was in view, 0.44 with
twelve people; 0.71 to 1.1 with a constant quantiser and nobody in view."""

MIN_GRAIN = 0.0005
"""Least relative standard deviation of a group's bytes; less is padding, and hides what moves. The
most regular pictures that were measured have 0.004."""

STILL_RISE = 0.04
STILL_SIGMAS = 4.0
"""Something happens in a still recording where packets are this far above their level: less than
anybody adds, and as nothing else does, each such group can be decoded."""

STILL_SURPRISES = 1
"""Glances at a still recording that may show a face without a rise in packet sizes."""

MAX_SURPRISES = 0.25
"""Share of glances with a face but no rise in packet sizes, above which sizes show nothing."""

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Survey:
    """What packet sizes show about a piece of a recording."""

    groups: tuple[Stretch, ...]
    """Its groups of pictures, each from its key picture on."""
    active: frozenset[timedelta]
    """Starts of the groups in which something happens: they are decoded."""
    slight: frozenset[timedelta]
    """Starts of groups in which a little happens: searched where they begin and end."""
    glances: tuple[timedelta, ...]
    """Key pictures to search before a group is passed over."""
    thoroughness: Thoroughness
    """`GATED`, or why everything is decoded; then all groups are active."""
    still: bool = False
    """Whether the rate is even and nothing makes it so: hardly anybody is in the recording."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a piece of a recording is searched."""

    stretches: tuple[Stretch, ...]
    """Groups of pictures to decode, in their order."""
    thoroughness: Thoroughness


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What the packet sizes of a whole recording show: made once, for all of its pieces."""

    starts: NDArray[np.int64]
    """When the key picture of each group is shown, microseconds, in order."""
    unfit: Thoroughness | None
    """Why packet sizes do not tell where something happens; None if they do."""
    still: bool
    """Whether the rate is even, and nothing makes it so."""
    known: NDArray[np.int64]
    """Those of `starts`, in order, whose groups have a level. Shape (k,)."""
    rises: NDArray[np.float64]
    """Highest rise of each of these groups above its level; 0 for a quiet group. Shape (k,)."""

    @classmethod
    def of(cls, packets: Packets) -> Profile:
        """Judge the packets of a recording."""
        cells = _cells(packets)
        still = _has_even_rate(packets)
        levels = _levels(cells, still=still)
        unfit = _unfitness(packets, levels, still=still)
        if unfit is not None:
            return cls(packets.starts, unfit, still, packets.starts[:0], np.zeros(0))
        return cls(packets.starts, None, still, *_rises(cells, levels))

    def rises_of(self, piece: Stretch) -> dict[timedelta, float]:
        """Return the highest rise of each group of a piece that has a level, by its start."""
        ends = np.searchsorted(self.known, [piece.start // _TICK, piece.end // _TICK])
        part = slice(*ends)
        return {
            at * _TICK: rise
            for at, rise in zip(self.known[part].tolist(), self.rises[part].tolist(), strict=True)
        }


class Profiles:
    """Profiles of the recordings that are being searched: each is made once, for all segments."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Timeline, Profile] = WeakKeyDictionary()

    def of(self, timeline: Timeline) -> Profile:
        """Return the profile of the recording with a timeline, for as long as that is in use."""
        profile = self._made.get(timeline)
        if profile is None:
            profile = self._made[timeline] = Profile.of(timeline.groups)
        return profile


def survey(profile: Profile, piece: Stretch, segment_end: timedelta | None = None) -> Survey:
    """Return what the packet sizes of a recording show about a piece of it.

    Args:
        profile: Of the whole recording.
        piece: What is to be searched.
        segment_end: After this, the piece only serves to follow people who are in view: one glance
            finds those who came before it, and a quiet group needs no other. None for the end of
            the piece.
    """
    groups = groups_of(profile.starts, piece)
    if profile.unfit is not None:
        return all_of(groups, profile.unfit)
    rises, still = profile.rises_of(piece), profile.still
    active = {
        group.start
        for group in groups
        # A group without a second with enough pictures has no level.
        if group.start not in rises
        or group.duration > MAX_QUIET
        or rises[group.start] >= STRONG_RISE
        or (rises[group.start] > 0 and (still or group.duration > MAX_LITTLE))
    }
    slight = {group.start for group in groups if rises.get(group.start, 0) > 0} - active
    return Survey(
        groups=groups,
        active=frozenset(active),
        slight=frozenset(slight),
        glances=_glances(groups, active, slight, piece.end if segment_end is None else segment_end),
        thoroughness=Thoroughness.GATED,
        still=still,
    )


def all_of(groups: tuple[Stretch, ...], why: Thoroughness) -> Survey:
    """Return the survey that has everything decoded."""
    everything = frozenset(group.start for group in groups)
    return Survey(groups, everything, frozenset(), (), why)


def course(surveyed: Survey, faces_at: Collection[timedelta]) -> Course:
    """Decide what is decoded, once the glances have been taken.

    Args:
        surveyed: What packet sizes show.
        faces_at: The glances that showed a face.
    """
    groups, glances = surveyed.groups, surveyed.glances
    if surveyed.thoroughness is not Thoroughness.GATED:
        return Course(groups, surveyed.thoroughness)
    beside = surveyed.slight | {group.end for group in groups if group.start in surveyed.slight}
    unexpected = [at for at in glances if at not in beside]
    surprises = sum(1 for at in unexpected if at in faces_at)
    most = STILL_SURPRISES if surveyed.still else max(1, MAX_SURPRISES * len(unexpected))
    if surprises > most:
        return Course(groups, Thoroughness.PACKETS_BLIND)
    chosen = set(surveyed.active)
    borders = (timedelta.min, *glances, timedelta.max)
    for before, at, after in zip(borders, glances, borders[2:], strict=False):
        if at in faces_at:  # they came after the glance before, and went before the next one
            earlier = [group.start for group in groups if before <= group.start < at]
            later = [group.start for group in groups if at <= group.start < after]
            chosen |= set(_from_first_move(earlier, surveyed))
            chosen |= set(_from_first_move(later[::-1], surveyed))
    return Course(tuple(group for group in groups if group.start in chosen), Thoroughness.GATED)


def _from_first_move(starts: Sequence[timedelta], surveyed: Survey) -> Sequence[timedelta]:
    """Return the starts from the first group on in which something happens; all if none.

    A person who comes or goes moves, so nobody does before that group.
    """
    moved = surveyed.active | surveyed.slight
    first = next((number for number, start in enumerate(starts) if start in moved), 0)
    return starts[first:]


def groups_of(starts: NDArray[np.int64], piece: Stretch) -> tuple[Stretch, ...]:
    """Return the groups of pictures of a piece; the first and the last one are cut to it.

    Args:
        starts: Of a recording's groups, microseconds, in order.
        piece: Of the recording.
    """
    first = np.searchsorted(starts, piece.start // _TICK, side="right")
    after = np.searchsorted(starts, piece.end // _TICK, side="left")
    inner = [start * _TICK for start in starts[first:after].tolist()]
    return tuple(Stretch(*ends) for ends in pairwise([piece.start, *inner, piece.end]))


def _unfitness(packets: Packets, levels: _Levels, *, still: bool) -> Thoroughness | None:
    """Return why the packet sizes of a recording do not show where something happens, if so."""
    if len(packets) == 0:
        return Thoroughness.NO_PROFILE
    if not np.any(packets.pictures):
        return Thoroughness.INTRA_ONLY
    balance = _balance(packets)
    if balance < MAX_CONTROLLED or (still and not balance >= MIN_FREE):
        return Thoroughness.CONSTANT_RATE
    if not levels:
        return Thoroughness.TOO_SHORT
    if _noise(packets) > MAX_NOISE or max(rise for _, rise in levels.values()) > MAX_RISE:
        return Thoroughness.RESTLESS
    return None


def _noise(packets: Packets) -> float:
    """Return how large other pictures are where little happens, as a part of key pictures."""
    pictures, sizes = packets.totals(packets.pictures), packets.totals(packets.sizes)
    others = sizes[pictures > 0] / pictures[pictures > 0]
    return float(
        np.percentile(others, LEVEL_PERCENTILE) / max(1.0, float(np.median(packets.key_bytes)))
    )


def _has_even_rate(packets: Packets) -> bool:
    starts = packets.starts / SECOND
    times = np.concatenate([starts, starts[packets.groups] + packets.seconds])
    windows = (times // EVEN_RATE_SECONDS).astype(int)
    sizes = np.concatenate([packets.key_bytes, packets.sizes])
    totals = np.bincount(windows, weights=sizes)[:-1]  # the last one is not whole
    return len(totals) >= MIN_TOTALS and float(totals.std()) < EVEN_RATE * float(totals.mean())


def _balance(packets: Packets) -> float:
    """Return how much groups of pictures vary together, as a part of what they vary one by one.

    It is 1 if each key picture, and what follows it, has its size for itself; more if something
    happens, and towards 0 if what one takes is taken from the others. Changes from one stretch to
    the next are compared, so that a slow drift adds nothing, and the tenths at both ends are left
    out, so that an encoder's first seconds do not. Not a number if there is too little to judge by.
    """
    if len(packets) < MIN_CELLS:
        return math.nan
    duration = float(np.median(np.diff(packets.starts / SECOND)))
    if duration <= 0:  # damaged time stamps
        return math.nan
    pictures = packets.totals(packets.pictures)
    keys = packets.key_bytes.astype(float)
    others = packets.totals(packets.sizes).astype(float)
    whole = pictures == np.bincount(pictures).argmax()
    alone = (_spread(np.diff(keys)) ** 2 + _spread(np.diff(others)) ** 2) / 2
    totals = keys + others
    if math.sqrt(alone) < MIN_GRAIN * float(np.median(totals)):
        return 0.0
    balances = []
    for span in sorted({max(1, round(seconds / duration)) for seconds in BALANCE_SECONDS}):
        if len(packets) < MIN_SPANS * 2 * span:
            break
        sums = np.convolve(totals, np.ones(span), "valid")
        comparable = np.convolve(~whole, np.ones(2 * span), "valid") == 0
        changes = (sums[span:] - sums[:-span])[comparable]
        if len(changes) >= MIN_SPANS * 2 * span:
            balances.append(_spread(changes) ** 2 / (2 * span * alone))
    return min(balances) if len(balances) >= MIN_LENGTHS else math.nan


def _spread(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of a normal distribution with the same inner eight tenths."""
    low, high = np.percentile(values, [10, 90])
    return float(high - low) / _SIGMAS_WITHIN_TENTHS


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The seconds of a recording with enough pictures."""

    starts: NDArray[np.int64]
    """When the group of each begins, microseconds."""
    places: NDArray[np.int64]
    """Seconds since the key picture."""
    means: NDArray[np.float64]
    """Mean size of the pictures, at least one byte."""


_Levels = dict[int, tuple[float, float]]
"""By seconds since the key picture: the quiet level, and the rise above it that is activity."""


def _cells(packets: Packets) -> _Cells:
    enough = packets.pictures >= MIN_PICTURES
    return _Cells(
        packets.starts[packets.groups[enough]],
        np.minimum(packets.seconds[enough], SETTLED_SECONDS),
        np.maximum(packets.sizes[enough] / packets.pictures[enough], 1.0),
    )


def _levels(cells: _Cells, *, still: bool) -> _Levels:
    rise, sigmas = (STILL_RISE, STILL_SIGMAS) if still else (MIN_RISE, RISE_SIGMAS)
    levels = {}
    for place in np.unique(cells.places).tolist():
        means = cells.means[cells.places == place]
        if len(means) >= MIN_CELLS:
            low, level = np.percentile(means, [LOW_PERCENTILE, LEVEL_PERCENTILE])
            sigma = float(level - low) / _SIGMAS_BETWEEN / float(level)
            levels[place] = (float(level), max(rise, sigmas * sigma))
    return levels


def _rises(cells: _Cells, levels: _Levels) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the highest rise of each group above its level; 0 for a quiet group."""
    level = cells.means / (1 + STRONG_RISE)  # without a level nothing is quiet
    least = np.zeros_like(level)
    for place, known in levels.items():
        level[cells.places == place], least[cells.places == place] = known
    rises = cells.means / level - 1
    starts, groups = np.unique(cells.starts, return_inverse=True)
    most = np.zeros(len(starts))
    np.maximum.at(most, groups, np.where(rises > least, rises, 0.0))
    return starts, most


def _glances(
    groups: Sequence[Stretch],
    active: Collection[timedelta],
    slight: Collection[timedelta],
    last: timedelta,
) -> tuple[timedelta, ...]:
    """Return the key pictures to search: regularly up to the first one from `last` on."""
    beside = set(slight) | {group.end for group in groups if group.start in slight}
    glances: list[timedelta] = []
    resumed = True  # after a stretch that is decoded, or at the beginning
    for group in groups:
        due = not glances or (glances[-1] < last and group.start - glances[-1] >= GLANCE_PERIOD)
        quiet = group.start not in active
        if group.start in beside or (quiet and (due or resumed)):
            glances.append(group.start)
        resumed = not quiet
    return tuple(glances)
