"""What the searches for a subject have covered, and what they have not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import (
    camera_pb2,
    footage_pb2,
    footage_service_pb2,
    scan_pb2,
    scan_service_pb2,
)
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub
from homeward.api.matching.v1 import subject_pb2
from homeward.cli import authorisation, looked_for, stretches, times
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.follow import ENDED, GAP_REASONS
from homeward.cli.options import Session
from homeward.cli.paging import all_pages
from homeward.cli.sheet.facts import Gap, Searched, Stretch
from homeward.cli.sheet.spans import Span, merged, within, without

MOST_SCANS = 50
"""Whose coverage is read, the newest."""
MOST_RECORDINGS = 500
"""Whose times are read for the timeline."""
MOST_STRETCHES = 200
"""Listed on a sheet, the longest; all of them are in `homeward scan stretches`."""

_ALWAYS: Span = (float("-inf"), float("inf"))


@dataclass
class Found:
    """What was read of the searches."""

    searched: Searched
    scan_ids: set[str]
    """All that are remembered, whomever they were for."""
    camera_ids: set[str]
    unknown: list[str]


@dataclass
class _Recording:
    """What searches have made of a recording."""

    camera_id: str
    times: Span | None
    """By true time; None where the recording is not held any more."""
    wanted: list[tuple[Span, list[Span]]] = field(default_factory=list)
    """Of each search that has ended the span that it asked for, and the gaps in it."""
    moved: dict[str, float] = field(default_factory=dict)
    """By scan: how far its times of the recording are off, as the camera's clock offset was
    corrected since."""

    def add(
        self, scan_id: str, effort: scan_pb2.FootageEffort, asked: Span, gaps: Iterable[Span]
    ) -> None:
        """Take in what a search made of it.

        Args:
            scan_id: The search.
            effort: Its own.
            asked: What it asked for, by the clock offset of then, as the gaps.
            gaps: What of it was not searched.
        """
        moved = 0.0
        if self.times is not None and effort.HasField("true_start_time"):
            moved = round(self.times[0] - times.seconds_of(effort.true_start_time), 6)
        self.moved[scan_id] = moved
        self.wanted.append((_by(asked, moved), [_by(one, moved) for one in gaps]))

    @property
    def searched(self) -> list[Span]:
        if self.times is None:
            return []
        return merged(
            span
            for asked, gaps in self.wanted
            for span in without(within([self.times], asked), gaps)
        )


def read_searches(
    session: Session,
    subject: subject_pb2.Subject,
    cameras: Mapping[str, camera_pb2.Camera],
    zone: tzinfo | None,
) -> Found:
    """Return what the searches for a subject have covered."""
    stub = ScanServiceStub(session.connections.channel("ingestion"))
    remembered = all_pages(
        stub.ListScans, scan_service_pb2.ListScansRequest(), lambda page: page.scans
    )
    for_them = [one for one in remembered if looked_for.was_for(one, subject)]
    wanted = [one for one in for_them if authorisation.counts(one)]
    scans = [
        stub.GetScan(scan_service_pb2.GetScanRequest(scan_id=one.scan_id)).scan
        for one in wanted[:MOST_SCANS]
    ]
    unknown = [
        *_refused(len(for_them) - len(wanted)),
        *_too_early(remembered, subject),
        *_unknown(wanted, scans),
    ]
    recordings, missing = _recordings(session, scans, cameras)
    unknown += missing
    gaps = _gaps(scans, recordings, zone)
    listed, unlisted = _stretches(stub, scans, recordings, zone)
    unknown += unlisted
    spans: dict[str, list[Span]] = {}
    for recording in recordings.values():
        spans.setdefault(recording.camera_id, []).extend(recording.searched)
    camera_ids = {*spans, *(one.camera_id for one in gaps), *(one.camera_id for one in listed)}
    return Found(
        searched=Searched(
            scan_count=len(wanted),
            asked_seconds=_added(scans, "requested_duration"),
            searched_seconds=_added(scans, "searched_duration"),
            comparisons=sum(one.progress.appearance_count for one in scans),
            spans={camera_id: merged(found) for camera_id, found in spans.items()},
            gaps=gaps,
            stretches=listed,
        ),
        scan_ids={one.scan_id for one in remembered},
        camera_ids=camera_ids - {""},
        unknown=unknown,
    )


def span_of(interval: TimeInterval) -> Span:
    """Return an interval as a span; an end that is absent is the begin."""
    begin = times.seconds_of(interval.start_time)
    return begin, max(begin, times.seconds_of(interval.end_time))


def _moved(recording: _Recording | None, scan_id: str) -> float:
    """Return how far a search's times of a recording are off, as far as is known."""
    return recording.moved.get(scan_id, 0.0) if recording else 0.0


def _by(span: Span, seconds: float) -> Span:
    """Return a span that is so much later."""
    return span[0] + seconds, span[1] + seconds


def spoken_span(span: Span, zone: tzinfo | None) -> str:
    """Return a span to read, by the clocks of a zone."""
    begin, end = (datetime.fromtimestamp(one, UTC).astimezone(zone) for one in span)
    until = f"{end:%H:%M:%S %Z}"
    if end.date() != begin.date():
        until = f"{end.day} {end:%b} {until}"
    return f"{begin.day} {begin:%b %Y}, {begin:%H:%M:%S} to {until}"


def _added(scans: Iterable[scan_pb2.Scan], name: str) -> float:
    return sum(times.seconds(getattr(one.coverage, name)) for one in scans)


def _refused(number: int) -> list[str]:
    if not number:
        return []
    line = (
        f"{number} of the searches for this person were refused, or not authorised in time: what"
        " they found was erased, so what they searched does not count here."
    )
    return [line]


def _too_early(remembered: Iterable[scan_pb2.Scan], subject: subject_pb2.Subject) -> list[str]:
    enrolled = times.seconds_of(subject.create_time)
    number = sum(
        not one.scope.subject_ids
        and times.seconds_of(one.create_time) >= enrolled
        and not looked_for.was_for(one, subject)
        for one in remembered
    )
    if not number:
        return []
    line = (
        f"Searches for everybody that do not count here: {number}. When they began there was no"
        " reference photograph of this person that can be compared."
    )
    return [line]


def _unknown(wanted: Sequence[scan_pb2.Scan], scans: Sequence[scan_pb2.Scan]) -> list[str]:
    lines = []
    if not wanted:
        lines.append(
            "No record of a search for this person is left (records are kept for 31 days): it is"
            " not known what was searched."
        )
    if len(wanted) > len(scans):
        lines.append(
            f"Of {len(wanted)} searches, the newest {len(scans)} are on this sheet; what the older"
            " ones covered is left out."
        )
    running = sum(one.state not in ENDED for one in scans)
    if running:
        lines.append(
            f"{running} of the searches have not ended: what they cover, and further candidates,"
            " are not on this sheet yet."
        )
    return lines


def _recordings(
    session: Session,
    scans: Sequence[scan_pb2.Scan],
    cameras: Mapping[str, camera_pb2.Camera],
) -> tuple[dict[str, _Recording], list[str]]:
    """Return the recordings that were searched, and what is not known of them."""
    stub = FootageServiceStub(session.connections.channel("ingestion"))
    found: dict[str, _Recording] = {}
    gone = left_out = 0
    for scan in scans:
        asked = _asked(scan)
        gaps: dict[str, list[Span]] = {}
        for gap in scan.coverage.gaps:
            gaps.setdefault(gap.footage_id, []).append(span_of(gap.interval))
        efforts = {one.footage_id: one for one in scan.coverage.footage_efforts}
        for footage_id in dict.fromkeys([*efforts, *gaps]):
            if footage_id not in found:
                if len(found) >= MOST_RECORDINGS:
                    left_out += 1
                    continue
                footage = _footage(stub, footage_id)
                gone += footage is None
                found[footage_id] = _recording(footage_id, footage, cameras)
            if footage_id in efforts:
                here = gaps.get(footage_id, [])
                found[footage_id].add(scan.scan_id, efforts[footage_id], asked, here)
    lines = []
    if gone:
        lines.append(
            f"{gone} of the recordings are not held any more: they are not drawn as searched, and"
            " cannot be looked at again."
        )
    if left_out:
        lines.append(
            f"More than {MOST_RECORDINGS} recordings were searched; the rest is not drawn."
        )
    return found, lines


def _footage(stub: FootageServiceStub, footage_id: str) -> footage_pb2.Footage | None:
    try:
        request = footage_service_pb2.GetFootageRequest(footage_id=footage_id)
        return stub.GetFootage(request).footage
    except CliError as error:
        if error.exit_code is ExitCode.NOT_FOUND or error.reason == "FOOTAGE_EXPIRED":
            return None
        raise


def _recording(
    footage_id: str,
    footage: footage_pb2.Footage | None,
    cameras: Mapping[str, camera_pb2.Camera],
) -> _Recording:
    if footage is None:
        return _Recording(_camera_of(footage_id, cameras), None)
    offset = times.seconds(cameras.get(footage.camera_id, camera_pb2.Camera()).clock_offset)
    begin = times.seconds_of(footage.start_time) - offset
    return _Recording(footage.camera_id, (begin, begin + times.seconds(footage.duration)))


def _camera_of(footage_id: str, cameras: Mapping[str, camera_pb2.Camera]) -> str:
    """Return the camera whose name a recording's id begins with; empty if there is none."""
    camera_id = footage_id.rsplit("-", 2)[0]
    return camera_id if camera_id in cameras else ""


def _asked(scan: scan_pb2.Scan) -> Span:
    interval = scan.scope.interval
    begin = times.seconds_of(interval.start_time) if interval.HasField("start_time") else _ALWAYS[0]
    end = times.seconds_of(interval.end_time) if interval.HasField("end_time") else _ALWAYS[1]
    return begin, end


def _gaps(
    scans: Sequence[scan_pb2.Scan],
    recordings: Mapping[str, _Recording],
    zone: tzinfo | None,
) -> list[Gap]:
    """Return what no search has searched, of what was asked for."""
    found: dict[tuple[str, Span], Gap] = {}
    for scan in scans:
        for gap in scan.coverage.gaps:
            recording = recordings.get(gap.footage_id)
            span = _by(span_of(gap.interval), _moved(recording, scan.scan_id))
            covered = recording.searched if recording else []
            left = without([span], covered) if span[0] < span[1] else [span]
            why = GAP_REASONS.get(gap.reason, "the reason is not known to this version")
            for each in left:
                camera_id = recording.camera_id if recording else ""
                when = spoken_span(each, zone) if each[0] else "the time is not known"
                found[gap.footage_id, each] = Gap(camera_id, each, when, why)
    return sorted(found.values(), key=lambda one: (one.span, one.camera_id))


def _stretches(
    stub: ScanServiceStub,
    scans: Sequence[scan_pb2.Scan],
    recordings: Mapping[str, _Recording],
    zone: tzinfo | None,
) -> tuple[list[Stretch], list[str]]:
    """Return the stretches to watch, in order of time, and what is not known of them."""
    found: dict[tuple[str, str], Stretch] = {}
    unlisted: dict[str, int] = {}
    for scan in scans:
        if not scan.coverage.incomparable_appearance_count:
            continue
        listed, unknown = stretches.read(stub, scan.scan_id)
        unlisted |= {one.footage_id: one.appearance_count for one in unknown}
        for one in listed:
            moved = _moved(recordings.get(one.footage_id), scan.scan_id)
            span = _by(span_of(one.interval), moved)
            found[one.footage_id, position(one)] = Stretch(
                camera_id=one.camera_id,
                span=span,
                when=spoken_span(span, zone),
                position=position(one),
                people=one.peak_person_count,
                why=stretches.why(one),
                file_name=one.file_name,
            )
    ranked = sorted(found.values(), key=lambda one: one.span[1] - one.span[0], reverse=True)
    lines = []
    if unlisted:
        lines.append(
            f"In {len(unlisted)} recordings people were in view whose faces could not be compared"
            f" ({sum(unlisted.values())} appearances), and when that was is not known any more."
        )
    if len(ranked) > MOST_STRETCHES:
        lines.append(
            f"{len(ranked) - MOST_STRETCHES} further stretches to watch by eye, shorter ones, are"
            " left out; `homeward scan stretches` lists all."
        )
    return sorted(ranked[:MOST_STRETCHES], key=lambda one: one.span), lines


def position(one: scan_pb2.IncomparableStretch) -> str:
    """Return where a stretch is in its file, to read."""
    return f"{times.position(one.start_offset)} to {times.position(one.end_offset)}"
