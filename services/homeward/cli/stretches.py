"""Stretches to watch by eye, as a table, as CSV and as a playlist."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC
from urllib.parse import quote

from homeward.api.ingestion.v1 import scan_pb2, scan_service_pb2
from homeward.api.ingestion.v1.scan_pb2 import IncomparableStretch, UnlistedFootage
from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub
from homeward.cli import terminal, times
from homeward.cli.follow import ENDED, tell_gaps
from homeward.cli.options import Session
from homeward.cli.paging import all_pages

TABLE = ("camera", "from", "to", "file from", "file to", "people", "why", "file", "footage")
_CSV = (
    *("camera", "footage", "file", "from", "to", "time uncertain"),
    *("start in file", "end in file", "start in file seconds", "end in file seconds"),
    *("people at a time", "appearances", "appearances too small"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet."""
_PLAIN = " !$&'()*+,;=@[]{}~^`"
"""What a name may hold in a playlist beside letters and digits. `%`, `?`, `#` and `:` would be
parts of an address."""


_REASONS = {
    scan_pb2.UNLISTED_REASON_FOOTAGE_GONE: (
        "the recording was removed, or reached its deadline, and the times went with it"
    ),
    scan_pb2.UNLISTED_REASON_TIMES_GONE: "the times are not kept; search the recording again",
}


def read(
    scans: ScanServiceStub, scan_id: str
) -> tuple[list[IncomparableStretch], list[UnlistedFootage]]:
    """Return the stretches of a scan, and the recordings without known stretches."""
    unlisted: list[UnlistedFootage] = []

    def page(
        request: scan_service_pb2.ListIncomparableStretchesRequest,
    ) -> scan_service_pb2.ListIncomparableStretchesResponse:
        response = scans.ListIncomparableStretches(request)
        unlisted.extend(response.unlisted_footage)
        return response

    request = scan_service_pb2.ListIncomparableStretchesRequest(scan_id=scan_id)
    return all_pages(page, request, lambda answer: answer.incomparable_stretches), unlisted


def tell(
    session: Session,
    scan: scan_pb2.Scan,
    found: Sequence[IncomparableStretch],
    unlisted: Sequence[UnlistedFootage],
) -> None:
    """Print stretches; then recordings without known stretches, and gaps in the coverage."""
    view, gaps = session.view, scan.coverage.gaps
    if view.json:
        view.document(
            {"incomparableStretches": found, "unlistedFootage": unlisted, "gaps": list(gaps)}
        )
        return
    if found:
        view.say("Somebody was in view whose face could not be compared:")
        view.table(
            TABLE, [row(one) for one in found], optional=("footage", "to", "why", "people", "file")
        )
        count = "1 stretch" if len(found) == 1 else f"{len(found)} stretches"
        view.say(f"{count}, {times.span(total_seconds(found))} to watch.")
        if any(one.time_uncertain for one in found):
            view.say(times.UNCERTAIN)
    elif not unlisted:
        view.say(_nothing_listed(scan.coverage))
    if unlisted:
        view.say("Not listed, though somebody there could not be compared:")
        view.table(
            ("footage", "appearances", "why"),
            [
                (one.footage_id, str(one.appearance_count), _REASONS.get(one.reason, "unknown"))
                for one in unlisted
            ],
        )
    if scan.state not in ENDED:
        view.say("The scan has not ended: what it has yet to search is not in this list.")
    if gaps:
        tell_gaps(session, scan.coverage)


def warn_of_names(found: Iterable[IncomparableStretch]) -> None:
    """Tell which items of a playlist may open another recording."""
    for name in same_names(found):
        terminal.tell(
            f"Several recordings are named {name}: the playlist opens the one that is beside it.",
            err=True,
        )


def row(stretch: IncomparableStretch) -> tuple[str, ...]:
    """Return a stretch as a row of `TABLE`."""
    return (
        stretch.camera_id,
        times.marked(stretch.interval.start_time, uncertain=stretch.time_uncertain),
        times.shown(stretch.interval.end_time),
        times.position(stretch.start_offset),
        times.position(stretch.end_offset),
        str(stretch.peak_person_count),
        why(stretch),
        stretch.file_name,
        stretch.footage_id,
    )


def as_csv(stretches: Iterable[IncomparableStretch]) -> bytes:
    """Return stretches as CSV, with a mark in front by which spreadsheets know UTF-8.

    A file's name that a spreadsheet would take for a formula has `'` before it.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_CSV)
    for one in stretches:
        interval = one.interval
        writer.writerow(
            [
                *(one.camera_id, one.footage_id, _not_a_formula(one.file_name)),
                interval.start_time.ToDatetime(UTC).isoformat(timespec="milliseconds"),
                interval.end_time.ToDatetime(UTC).isoformat(timespec="milliseconds"),
                "yes" if one.time_uncertain else "no",
                *(times.position(one.start_offset), times.position(one.end_offset)),
                f"{times.seconds(one.start_offset):.3f}",
                f"{times.seconds(one.end_offset):.3f}",
                *(one.peak_person_count, one.appearance_count, one.too_small_appearance_count),
            ]
        )
    return text.getvalue().encode("utf-8-sig")


def as_playlist(stretches: Iterable[IncomparableStretch]) -> bytes:
    """Return stretches as a playlist for VLC: each item is a part of a file in the same folder."""
    lines = ["#EXTM3U"]
    for one in stretches:
        start, end = times.seconds(one.start_offset), times.seconds(one.end_offset)
        people = f"{one.peak_person_count} at a time"
        # VLC takes what is before a comma, or before a hyphen between spaces, for an artist.
        title = f"{one.camera_id} {times.shown(one.interval.start_time)} ({people})"
        lines += [
            f"#EXTINF:{max(1, round(end - start))},{title}",
            f"#EXTVLCOPT:start-time={start:.3f}",
            f"#EXTVLCOPT:stop-time={end:.3f}",
            _address(one.file_name),
        ]
    return ("\n".join(lines) + "\n").encode()


def same_names(stretches: Iterable[IncomparableStretch]) -> list[str]:
    """Return the file names that several recordings have: a playlist cannot tell them apart."""
    recordings: dict[str, set[str]] = {}
    for one in stretches:
        recordings.setdefault(one.file_name, set()).add(one.footage_id)
    return sorted(name for name, ids in recordings.items() if len(ids) > 1)


def total_seconds(stretches: Sequence[IncomparableStretch]) -> float:
    """Return how long it takes to watch them all."""
    return sum(times.seconds(one.end_offset) - times.seconds(one.start_offset) for one in stretches)


def why(stretch: IncomparableStretch) -> str:
    """Return why the faces in a stretch could not be compared."""
    if stretch.too_small_appearance_count == stretch.appearance_count:
        return "too small"
    return "too small, not clear" if stretch.too_small_appearance_count else "not clear"


def _not_a_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _address(name: str) -> str:
    """Return a file name as a relative address; letters beyond ASCII stay as they are."""
    kept = "".join(
        one if ord(one) > 127 and one.isprintable() else quote(one, safe=_PLAIN)  # noqa: PLR2004 - ASCII
        for one in name
    )
    return f"%20{kept[1:]}" if kept.startswith(" ") else kept


def _nothing_listed(coverage: scan_pb2.ScanCoverage) -> str:
    """Return the meaning of an empty list: no stretch, and no recording without known ones."""
    if coverage.incomparable_appearance_count:
        return (
            "When somebody was in view who could not be compared is not known: that was in pieces"
            " that were not searched to their end."
        )
    if not coverage.searched_duration.ToTimedelta():
        return "Nothing was searched, so that nothing is known of who was in view."
    return (
        "Every face that was found in what was searched could be compared. A person who showed no"
        " face is not counted."
    )
