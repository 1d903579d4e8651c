"""Whom a search has looked for: those whom it names, or everybody who could be compared then."""

from __future__ import annotations

from collections.abc import Iterable

from homeward.api.ingestion.v1 import scan_pb2
from homeward.api.matching.v1 import subject_pb2
from homeward.cli import times
from homeward.cli.render import some_of


def was_for(scan: scan_pb2.Scan, subject: subject_pb2.Subject) -> bool:
    """Return whether a scan has looked for a subject from its beginning.

    One that names nobody looks for those who have a reference photograph that can be compared. A
    photograph that the model pack in use cannot use counts for nothing, whichever pack was in use.
    """
    if scan.scope.subject_ids:
        return subject.subject_id in scan.scope.subject_ids
    began = times.seconds_of(scan.create_time)
    return any(
        times.seconds_of(photo.create_time) <= began
        for photo in subject.reference_photos
        if not photo.unusable
    )


def left_out(scan: scan_pb2.Scan, subjects: Iterable[subject_pb2.Subject]) -> list[str]:
    """Return a warning about people who are enrolled and whom a search has not looked for.

    Args:
        scan: Of which those who are enrolled after its end expect nothing.
        subjects: Everybody who may be looked for.
    """
    until = times.seconds_of(scan.end_time) if scan.HasField("end_time") else float("inf")
    names = [
        one.label or one.case_reference or one.subject_id
        for one in subjects
        if one.state == subject_pb2.Subject.STATE_OPEN
        and not scan.scope.subject_ids
        and times.seconds_of(one.create_time) <= until
        and not was_for(scan, one)
    ]
    if not names:
        return []
    line = (
        f"WARNING: not looked for, or not from the beginning of this search: {some_of(names)}."
        " There was no reference photograph of them that can be compared (`homeward subject show`)."
    )
    return [line]
