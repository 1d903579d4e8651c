"""Examining a file, in a cage.

The file comes from outside: one that crashes or exhausts a decoder ends its probe, not the service.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta

import numpy as np
import structlog
from numpy.typing import NDArray

from homeward.ingestion.adapters.caged import EXAMINING, MediaCage, media_cage_server
from homeward.ingestion.adapters.containers import WITHOUT_TIMES
from homeward.ingestion.adapters.http_file import HttpBlocks
from homeward.ingestion.cage.messages import Examination as Facts
from homeward.ingestion.cage.messages import TrackFacts
from homeward.ingestion.cage.upright import shown_size
from homeward.ingestion.footage.clocks import Stamps, Steps, place
from homeward.ingestion.footage.limits import (
    DAMAGED_SHARE,
    FEW_DAMAGED,
    MAX_EXAMINED_AT_ONCE,
    MAX_HOLES,
    MAX_KEY_PICTURES,
    MAX_PICTURE_RATE,
    MAX_SIDE_PX,
    MAX_SPAN,
    MIN_MISSING,
    MIN_REST_BYTES,
    RARE_KEY_PICTURES,
    RARE_RATE,
    REST_SHARE,
)
from homeward.ingestion.footage.media import (
    Finding,
    FootageProblem,
    MediaInfo,
    Orientation,
    Presentation,
    VideoTrack,
)
from homeward.ingestion.footage.timeline import (
    UNKNOWN,
    VERSION,
    Examination,
    KeyRuns,
    Spans,
    Timeline,
)
from homeward.servicekit import errors
from homeward.servicekit.cage import CageBrokenError
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.fork_server import ForkServer

log = structlog.get_logger()

WALL_SECONDS = 900.0
"""Longest time for reading a file: one of 50 GB comes from the embedded store in less."""

TOO_LONG = f"it takes more than {WALL_SECONDS / 60:g} minutes"

MAX_UNSTEADY = 2.5
"""Most that one in a hundred gaps between pictures may be longer than most of them are."""

UNCERTAIN_HOLE = timedelta(hours=1)
"""Time without pictures after which it is uncertain whether the recorder paused, or its clock was
set."""

ASSUMED_RATE = 25.0
"""Pictures a second of a file that says nothing about it."""

MOST_TOLD = 3
"""Places of the same kind that a finding names."""


class CagedProber:
    """A `MediaProber` with a cage for each file, a few at a time.

    Args:
        executor: Its threads wait for the cages.
    """

    def __init__(self, executor: BoundedExecutor) -> None:
        self._executor = executor
        self._server = media_cage_server()
        self._places = asyncio.Semaphore(MAX_EXAMINED_AT_ONCE)

    async def log_protections(self) -> None:
        """Start a cage to try it, and log its protections.

        Raises:
            UnavailableError: It does not start.
        """
        await self._executor.run(_try_a_cage, self._server)

    async def probe(self, url: str) -> Examination:
        """Read the structure of the file at `url`, and decode its first pictures."""
        async with self._places:
            ended = threading.Event()
            try:
                return await self._executor.run(_examined, self._server, url, ended)
            except asyncio.CancelledError:
                ended.set()  # its cage ends with the next block that it asks for
                raise

    def close(self) -> None:
        """End what starts the cages."""
        self._server.close()


def _try_a_cage(server: ForkServer) -> None:
    with closing(MediaCage(server, EXAMINING)) as cage:
        cage.log_protections()


def _examined(server: ForkServer, url: str, ended: threading.Event) -> Examination:
    with closing(_Blocks(url, ended)) as blocks, closing(MediaCage(server, EXAMINING)) as cage:
        try:
            facts, arrays = cage.examine(blocks)
        except CageBrokenError as error:
            raise _unreadable(f"reading it was ended: {error.cause}") from error
    if facts.problem:
        raise _unreadable(facts.problem)
    try:
        return described(facts, arrays)
    except (ArithmeticError, ValueError) as error:
        log.warning("recording refused", problem=repr(error))
        raise _unreadable("its time stamps make no sense") from error


class _Blocks(HttpBlocks):
    """The blocks of a file, until the caller has left or the examination takes too long."""

    def __init__(self, url: str, ended: threading.Event) -> None:
        self._ended = ended
        self._until = time.monotonic() + WALL_SECONDS
        super().__init__(url)

    def block(self, number: int) -> bytes:
        """Return a block."""
        if self._ended.is_set():
            raise CageBrokenError("nobody waits for it any more")
        if time.monotonic() > self._until:
            raise CageBrokenError(TOO_LONG)
        return super().block(number)


def _unreadable(problem: str) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(
        f"the file cannot be searched: {problem}",
        reason=errors.Reason.FOOTAGE_UNREADABLE,
        metadata={"problem": problem},
    )


def described(facts: Facts, arrays: dict[str, NDArray[np.int64]]) -> Examination:
    """Make a recording's timeline and `MediaInfo` from the findings of a cage.

    Raises:
        InvalidArgumentError: `FOOTAGE_UNREADABLE`: it is beyond a bound.
    """
    flags = arrays.pop("keys")
    stamps = Stamps(
        **arrays,
        keys=(flags & 1).astype(bool),
        hidden=(flags & 2).astype(bool),
        tick=facts.tick,
        rate=facts.rate if 0 < facts.rate <= MAX_PICTURE_RATE else ASSUMED_RATE,
    )
    timeline, steps = place(stamps)
    holes = timeline.holes
    key_runs = timeline.key_runs
    _require_bounded(timeline, holes, key_runs)
    keyless = key_runs.longer_than(RARE_KEY_PICTURES)
    pictured = timeline.pictured.total.total_seconds()
    rate = len(timeline.order) / pictured
    missing = _missing(facts, timeline)
    findings = _findings(facts, timeline, steps, stamps.rate)
    findings += _incomplete(facts, timeline)
    findings += _rare(rate, key_runs)
    if missing is not None:
        findings.insert(0, _cut_off(missing))
    width, height = shown_size(*_stored_size(facts), facts.pixel_aspect)
    media = MediaInfo(
        video=VideoTrack(
            codec=next(one.codec for one in facts.tracks if one.index == facts.track),
            width=height if facts.transpose else width,
            height=width if facts.transpose else height,
            average_frame_rate=rate,
            frame_count=len(timeline.order),
            key_frame_count=len(timeline.keys),
            anchor_rate=rate * facts.anchor_share,
            reference_rate=rate * facts.reference_share,
            steady=is_steady(timeline.shown),
            presentation=Presentation(
                track=facts.track,
                orientation=Orientation(facts.transpose, facts.mirror_x, facts.mirror_y),
                pixel_aspect=facts.pixel_aspect,
            ),
        ),
        duration=timeline.duration,
        problems=tuple(dict.fromkeys(one.problem for one in findings)),
        missing=timedelta(seconds=max(0.0, missing or 0.0)),
        findings=tuple(findings),
        holes=tuple(holes),
        keyless=keyless,
        uncertain_from=min(
            [*steps.backward, *(one.end for one in holes if one.duration >= UNCERTAIN_HOLE)],
            default=None,
        ),
        version=VERSION,
    )
    return Examination(media, timeline)


def _require_bounded(timeline: Timeline, holes: Spans, key_runs: KeyRuns) -> None:
    """Refuse what would take more work than its footage is worth.

    Raises:
        InvalidArgumentError: `FOOTAGE_UNREADABLE`.
    """
    if not timedelta() < timeline.duration <= MAX_SPAN:
        raise _unreadable(
            f"its pictures lie {_span(timeline.duration)} apart, more than {MAX_SPAN.days} days:"
            " split it"
        )
    if len(holes) > MAX_HOLES:
        raise _unreadable(
            f"its pictures are missing at {len(holes)} places, more than {MAX_HOLES}: it is a"
            " series of pictures rather than a recording; split it, or convert it to one with a"
            " steady rate"
        )
    if key_runs.longest > MAX_KEY_PICTURES:
        raise _unreadable(
            f"it has {key_runs.longest} pictures in a row without a key picture; at most"
            f" {MAX_KEY_PICTURES} are searched: convert it, with key pictures"
        )


def _rare(rate: float, key_runs: KeyRuns) -> list[Finding]:
    """Return what a recording has too few of."""
    found = []
    if rate < RARE_RATE:
        detail = f"it has a picture every {1 / rate:.1f} s: whoever passes between two is on none"
        found.append(Finding(FootageProblem.PICTURES_RARE, detail))
    if key_runs.longest > RARE_KEY_PICTURES:
        detail = (
            f"it has up to {key_runs.longest} pictures in a row without a key"
            " picture: a search of a part of them decodes all that come before, and takes longer;"
            " a conversion with more key pictures is searched faster"
        )
        found.append(Finding(FootageProblem.KEY_PICTURES_RARE, detail))
    return found


def _missing(facts: Facts, timeline: Timeline) -> float | None:
    """Return how many seconds a file that was cut off lacks, 0 if unknown; None of a whole one."""
    declared = facts.declared_seconds
    missing = declared - timeline.duration.total_seconds()
    fewer = len(timeline) < facts.declared_pictures and missing > MIN_MISSING.total_seconds()
    if not (facts.cut_off or fewer):
        return None
    # More than a file may span is no length, but nonsense.
    return missing if declared <= MAX_SPAN.total_seconds() else 0.0


def _incomplete(facts: Facts, timeline: Timeline) -> list[Finding]:
    """Return what of a file may be missing, or was not read."""
    found = []
    if facts.damaged > max(FEW_DAMAGED, DAMAGED_SHARE * facts.count):
        detail = (
            f"{facts.damaged} of its {facts.count} pictures are damaged, as parts of the file are"
            " missing: these, and what builds on them, are searched as far as they decode, and"
            " whoever is on them may be missed; export it again"
        )
        found.append(Finding(FootageProblem.PICTURES_DAMAGED, detail))
    if facts.rest > max(MIN_REST_BYTES, REST_SHARE * facts.size):
        detail = (
            f"{facts.rest / facts.size:.0%} of the file come after its last picture, which is"
            f" {_span(timeline.duration)} from its beginning: that may be sound or an index, or a"
            " recording that was joined to it, which is not searched; play it to its end, and add"
            " what is missing as a file of its own"
        )
        found.append(Finding(FootageProblem.REST_UNREAD, detail))
    return found


def _stored_size(facts: Facts) -> tuple[int, int]:
    return next((one.width, one.height) for one in facts.tracks if one.index == facts.track)


def _cut_off(missing: float) -> Finding:
    detail = "the file ends before the length that it states"
    if missing > 0:
        detail += f": {missing:.1f} s are missing"
    return Finding(FootageProblem.TRUNCATED, detail)


def _findings(facts: Facts, timeline: Timeline, steps: Steps, rate: float) -> list[Finding]:
    """Return the findings about a recording that do not prevent searching it."""
    found: list[Finding] = []

    def tell(problem: FootageProblem, detail: str) -> None:
        found.append(Finding(problem, detail))

    if steps.backward:
        tell(
            FootageProblem.CLOCK_STEPPED,
            f"its clock is set anew {_places(steps.backward)}: what follows is taken to follow at"
            " once, and its times are uncertain",
        )
    holes = list(timeline.holes)
    if holes:
        total = sum((hole.duration for hole in holes), timedelta())
        tell(
            FootageProblem.PICTURES_MISSING,
            f"it has no pictures for {_span(total)}, {_places([hole.start for hole in holes])}; if"
            " the recorder paused there, times are right after it; if its clock was set, they are"
            " not",
        )
    if steps.outliers:
        tell(
            FootageProblem.TIMES_IGNORED,
            f"impossible times of its pictures: {steps.outliers}; they are ignored",
        )
    untimed = not np.any(timeline.pts != UNKNOWN) and not np.any(timeline.dts != UNKNOWN)
    if untimed or facts.container in WITHOUT_TIMES:
        stated = (
            "as the pictures state" if rate == facts.rate else "since nothing states another rate"
        )
        tell(
            FootageProblem.NO_TIMES,
            f"it gives its pictures no times: {rate:g} a second are taken, {stated}",
        )
    first = timeline.times[facts.first_decoded] / 1e6
    if first >= 1.0:
        tell(
            FootageProblem.BEGINNING_LOST,
            f"its first {first:.1f} s do not decode: the picture that they build on is missing",
        )
    others = [one for one in facts.tracks if one.index != facts.track and one.pictures]
    if others:
        chosen = next(one for one in facts.tracks if one.index == facts.track)
        tell(
            FootageProblem.OTHER_TRACKS,
            f"it has {len(others) + 1} picture tracks; {_named(chosen)} is searched, and not"
            f" {', '.join(map(_named, others))}: what is on those needs a file of its own",
        )
    if max(_stored_size(facts)) > MAX_SIDE_PX:
        tell(
            FootageProblem.SHRUNK,
            f"its pictures are wider or higher than {MAX_SIDE_PX} pixels and are searched shrunk",
        )
    return found


def _named(track: TrackFacts) -> str:
    return f"track {track.index} ({track.width} x {track.height}, {track.codec})"


def _places(offsets: Sequence[timedelta]) -> str:
    named = ", ".join(_span(one) for one in offsets[:MOST_TOLD])
    more = len(offsets) - MOST_TOLD
    return f"{named} from its beginning" + (f" and at {more} more places" if more > 0 else "")


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def is_steady(times: NDArray[np.int64]) -> bool:
    """Return whether pictures come at one rate, apart from a few that are missing.

    Args:
        times: Presentation times in any unit, in order. At least one.
    """
    gaps = np.diff(times)
    if not len(gaps):
        return False
    most, usual = len(gaps) * 99 // 100, len(gaps) // 2
    gaps.partition([usual, most])
    return bool(gaps[most] <= MAX_UNSTEADY * gaps[usual])
