"""Clips on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from homeward.api.ingestion.v1 import clip_service_pb2
from homeward.ingestion.clip.model import (
    DEFAULT_MARGIN,
    MOST_MARGIN,
    ClipProgress,
    ClipRequest,
    FinishedClip,
    Step,
)
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

CHUNK_BYTES = 256 * 1024

_STEPS = {
    Step.FINDING: clip_service_pb2.ClipProgress.STEP_FINDING,
    Step.COMPARING: clip_service_pb2.ClipProgress.STEP_COMPARING,
    Step.ENCODING: clip_service_pb2.ClipProgress.STEP_ENCODING,
}


def request_from(request: clip_service_pb2.RenderClipRequest) -> ClipRequest:
    """Return what clip is asked for."""
    margin = DEFAULT_MARGIN
    if request.HasField("margin"):
        margin = wire.from_duration(request.margin, "margin")
    if not timedelta() <= margin <= MOST_MARGIN:
        raise invalid_field("margin", f"must be 0 to {MOST_MARGIN.total_seconds():.0f} s")
    if request.around_still and not margin:
        raise invalid_field("margin", "must be more than 0 around the still")
    return ClipRequest(
        sighting_id=wire.uuid_text(request.sighting_id, "sighting_id"),
        margin=margin,
        around_still=request.around_still,
        burn_time=request.burn_time,
    )


def to_progress(progress: ClipProgress) -> clip_service_pb2.RenderClipResponse:
    """Return how far a clip is."""
    return clip_service_pb2.RenderClipResponse(
        progress=clip_service_pb2.ClipProgress(
            step=_STEPS[progress.step], done_count=progress.done, total_count=progress.total
        )
    )


def to_messages(clip: FinishedClip) -> Iterator[clip_service_pb2.RenderClipResponse]:
    """Yield a clip: what is told of it, then its file."""
    shown = clip.subject_picture_count > 0
    yield clip_service_pb2.RenderClipResponse(
        clip=clip_service_pb2.Clip(
            sighting_id=clip.sighting_id,
            interval=wire.to_interval(clip.start_time, clip.end_time),
            size_bytes=len(clip.file),
            sha256=clip.sha256,
            footage_sha256=clip.footage_sha256,
            width=clip.width,
            height=clip.height,
            picture_count=clip.picture_count,
            blurred_picture_count=clip.blurred_picture_count,
            subject=clip_service_pb2.Clip.SUBJECT_SHOWN
            if shown
            else clip_service_pb2.Clip.SUBJECT_UNCERTAIN,
            subject_picture_count=clip.subject_picture_count,
            problems=clip.problems,
            record=clip.seal.record if clip.seal else b"",
            note=clip.seal.note if clip.seal else "",
        )
    )
    for start in range(0, len(clip.file), CHUNK_BYTES):
        yield clip_service_pb2.RenderClipResponse(chunk=clip.file[start : start + CHUNK_BYTES])
