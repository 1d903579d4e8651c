"""What scans find, on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.common import convert as common_convert
from homeward.core.inventory import backstop_time
from homeward.matching.convert.ids import footage_id_from
from homeward.matching.convert.probes import template_from
from homeward.matching.gallery.model import Box
from homeward.matching.sightings.model import MOST_STILLS, Finding, Sighting, SightingStill
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_STILL_BYTES = 1024 * 1024
MAX_FINDINGS = 64
MAX_REQUESTERS = 1
"""A finding is of one scan, which one person asked for."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


def findings_from(
    request: sighting_service_pb2.RecordSightingsRequest, *, now: datetime
) -> list[Finding]:
    """Return what a scan found, with the stills."""
    return _each_from(request.findings, _pictures_from, now=now)


def findings_without_stills_from(
    request: sighting_service_pb2.JoinSightingsRequest, *, now: datetime
) -> list[Finding]:
    """Return what a scan found and has made no stills of yet."""
    return _each_from(request.findings, _no_pictures_from, now=now)


def _each_from(
    findings: Sequence[sighting_service_pb2.SightingFinding],
    stills_from: Callable[[sighting_service_pb2.SightingFinding, str], tuple[bytes, ...] | None],
    *,
    now: datetime,
) -> list[Finding]:
    wire.count_between(len(findings), "findings", least=1, most=MAX_FINDINGS)
    return [
        _finding_from(finding, path, stills_from(finding, path), now=now)
        for index, finding in enumerate(findings)
        for path in [f"findings[{index}]"]
    ]


def _finding_from(
    finding: sighting_service_pb2.SightingFinding,
    path: str,
    stills: tuple[bytes, ...] | None,
    *,
    now: datetime,
) -> Finding:
    template = template_from(finding.template, f"{path}.template")
    sighting = _sighting_from(
        finding.sighting, f"{path}.sighting", model_digest=template.model_digest, now=now
    )
    before = None
    if finding.HasField("include_rejected_before_time"):
        before = wire.from_timestamp(
            finding.include_rejected_before_time, f"{path}.include_rejected_before_time"
        )
    received = until = None
    if finding.HasField("footage_receive_time"):
        received = wire.from_timestamp(finding.footage_receive_time, f"{path}.footage_receive_time")
        until = backstop_time(received, sighting.delete_time)
    return Finding(
        sighting,
        template,
        stills,
        include_rejected_before=before,
        still_until=until,
        received=received,
    )


def _sighting_from(
    sighting: sighting_pb2.Sighting, at: str, *, model_digest: str, now: datetime
) -> Sighting:
    """Return a sighting that has no id yet."""
    for name in ("best_shot_time", "start_offset", "end_offset", "best_shot_offset", "delete_time"):
        wire.require(sighting, name, f"{at}.{name}")
    start, end = wire.from_interval(sighting, "interval", required=True, within=f"{at}.")
    assert start is not None, "required"
    assert end is not None, "required"
    first = wire.from_duration(sighting.start_offset, f"{at}.start_offset")
    last = wire.from_duration(sighting.end_offset, f"{at}.end_offset")
    if last < first:
        raise invalid_field(f"{at}.end_offset", "must not be before start_offset")
    return Sighting(
        sighting_id="",
        subject_id=wire.uuid_text(sighting.subject_id, f"{at}.subject_id"),
        photo_id=wire.uuid_text(sighting.photo_id, f"{at}.photo_id"),
        footage_id=footage_id_from(sighting.footage_id, f"{at}.footage_id"),
        camera_id=wire.text(sighting.camera_id, f"{at}.camera_id", least=1, most=63),
        scan_id=wire.uuid_text(sighting.scan_id, f"{at}.scan_id"),
        start_time=start,
        end_time=end,
        best_shot_time=wire.from_timestamp(sighting.best_shot_time, f"{at}.best_shot_time"),
        start_offset=first,
        end_offset=last,
        best_shot_offset=wire.from_duration(sighting.best_shot_offset, f"{at}.best_shot_offset"),
        score=_score_from(sighting.score, f"{at}.score"),
        best_shot_score=_score_from(sighting.best_shot_score, f"{at}.best_shot_score")
        if sighting.HasField("best_shot_score")
        else None,
        threshold=_score_from(sighting.threshold, f"{at}.threshold"),
        policy_id=wire.text(sighting.policy_id, f"{at}.policy_id", least=1, most=200),
        model_digest=model_digest,
        face_height_px=sighting.face_height_px,
        create_time=now,
        delete_time=wire.from_timestamp(sighting.delete_time, f"{at}.delete_time"),
        figures=common_convert.figures_from(sighting.figures, f"{at}.figures")
        if sighting.HasField("figures")
        else None,
        rival_score=_score_from(sighting.rival_score, f"{at}.rival_score")
        if sighting.HasField("rival_score")
        else None,
        time_uncertain=sighting.time_uncertain if sighting.HasField("time_uncertain") else None,
        footage_sha256=_digest_from(sighting.footage_sha256, f"{at}.footage_sha256"),
        clock_offset=wire.from_duration(sighting.clock_offset, f"{at}.clock_offset")
        if sighting.HasField("clock_offset")
        else None,
        requesters=_requesters_from(sighting, at),
        stills=_stills_from(sighting, at),
    )


def _pictures_from(finding: sighting_service_pb2.SightingFinding, path: str) -> tuple[bytes, ...]:
    """Return the bytes of a finding's stills; earlier scanners send one."""
    _require_still(finding.still, f"{path}.still")
    if len(finding.stills) != len(finding.sighting.stills):
        raise invalid_field(f"{path}.stills", "must be as many as sighting.stills")
    for index, still in enumerate(finding.stills):
        _require_still(still, f"{path}.stills[{index}]")
    return tuple(finding.stills) or (finding.still,)


def _no_pictures_from(finding: sighting_service_pb2.SightingFinding, path: str) -> None:
    for name in ("still", "stills"):
        if getattr(finding, name):
            raise invalid_field(f"{path}.{name}", "must be empty: RecordSightings takes stills")


def _require_still(still: bytes, path: str) -> None:
    if not 1 <= len(still) <= MAX_STILL_BYTES:
        raise invalid_field(path, f"must have 1 to {MAX_STILL_BYTES} bytes")


def _stills_from(sighting: sighting_pb2.Sighting, at: str) -> tuple[SightingStill, ...]:
    wire.count_between(len(sighting.stills), f"{at}.stills", least=0, most=MOST_STILLS)
    stills = tuple(
        _still_from(still, f"{at}.stills[{index}]") for index, still in enumerate(sighting.stills)
    )
    offsets = [still.offset for still in stills]
    if any(one >= other for one, other in pairwise(offsets)):
        raise invalid_field(f"{at}.stills", "must be in order of time, each of another picture")
    best = wire.from_duration(sighting.best_shot_offset, f"{at}.best_shot_offset")
    if stills and best not in offsets:
        raise invalid_field(f"{at}.stills", "must have that of best_shot_offset among them")
    return stills


def _still_from(still: sighting_pb2.SightingStill, at: str) -> SightingStill:
    for name in ("offset", "time"):
        wire.require(still, name, f"{at}.{name}")
    return SightingStill(
        offset=wire.from_duration(still.offset, f"{at}.offset"),
        time=wire.from_timestamp(still.time, f"{at}.time"),
        score=_score_from(still.score, f"{at}.score") if still.HasField("score") else None,
        face_height_px=still.face_height_px,
        face_box=_box_from(still.face_box, f"{at}.face_box")
        if still.HasField("face_box")
        else None,
        quality=wire.number_between(still.quality, f"{at}.quality", least=0, most=1)
        if still.HasField("quality")
        else None,
    )


def _box_from(box: types_pb2.BoundingBox, path: str) -> Box:
    if not (box.width > 0 and box.height > 0):
        raise invalid_field(path, "must have a width and a height of more than 0")
    return Box(box.x, box.y, box.width, box.height)


def _requesters_from(sighting: sighting_pb2.Sighting, at: str) -> tuple[str, ...]:
    wire.count_between(len(sighting.requesters), f"{at}.requesters", least=0, most=MAX_REQUESTERS)
    return tuple(
        wire.text(name, f"{at}.requesters[{index}]", least=1, most=200)
        for index, name in enumerate(sighting.requesters)
    )


def _score_from(value: float, path: str) -> float:
    return wire.number_between(value, path, least=-1, most=1)


def _digest_from(digest: str, path: str) -> str:
    if digest and not _DIGEST.fullmatch(digest):
        raise invalid_field(path, "must be 64 hexadecimal digits")
    return digest
