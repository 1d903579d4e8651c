"""Having a clip made, with its progress, and what is told of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from homeward.api.ingestion.v1 import clip_service_pb2
from homeward.api.ingestion.v1.clip_service_pb2_grpc import ClipServiceStub
from homeward.cli import patience, progress, times
from homeward.cli.errors import CallError, CliError, ExitCode
from homeward.cli.options import Session

_ATTEMPTS = 3
"""At a clip whose stream breaks: it is then made from the beginning."""

_STEPS = {
    clip_service_pb2.ClipProgress.STEP_FINDING: ("looking for faces", 0.0, 0.8),
    clip_service_pb2.ClipProgress.STEP_COMPARING: ("comparing them with the subject", 0.8, 0.0),
    clip_service_pb2.ClipProgress.STEP_ENCODING: ("blurring and encoding", 0.8, 0.2),
}
"""Of each step what it is called, where it begins and how much of the work it is, about."""

ALL_BLURRED = (
    "EVERY face in the clip is blurred, because none is the subject's for certain: a face is shown"
    " only in pictures where its own score reaches the threshold."
)
"""Where nobody can be recognised."""


@dataclass(frozen=True, slots=True, eq=False)
class MadeClip:
    """A clip as it came."""

    clip: clip_service_pb2.Clip
    file: bytes


def made_clip(session: Session, request: clip_service_pb2.RenderClipRequest) -> MadeClip:
    """Have a clip made; show how far it is.

    Raises:
        CallError: It is refused, or the service does not come back.
        CliError: What came is not what the service says that it made.
    """
    stub = ClipServiceStub(session.connections.channel("ingestion"))
    turn, failures = patience.Turn(), 0
    while True:
        try:
            with progress.shown("Making the clip") as show:
                return _received(stub, request, show)
        except CallError as error:
            if error.exit_code is not ExitCode.UNAVAILABLE:
                turn.wait(error)
                continue
            failures += 1
            if failures >= _ATTEMPTS:
                raise
            patience.pause(failures, error.message)


def _received(
    stub: ClipServiceStub, request: clip_service_pb2.RenderClipRequest, show: progress.Show
) -> MadeClip:
    clip: clip_service_pb2.Clip | None = None
    data = bytearray()
    for message in stub.RenderClip(request):
        kind = message.WhichOneof("payload")
        if kind == "progress":
            _show(show, message.progress)
        elif kind == "clip":
            clip = message.clip
        elif kind == "chunk":
            data += message.chunk
    if clip is None or hashlib.sha256(data).hexdigest() != clip.sha256:
        raise CliError(
            "the clip did not come as it was made",
            exit_code=ExitCode.INTERNAL,
            advice="run the command again",
        )
    return MadeClip(clip, bytes(data))


def _show(show: progress.Show, told: clip_service_pb2.ClipProgress) -> None:
    note, begins, share = _STEPS.get(told.step, ("", 0.0, 0.0))
    done = min(1.0, told.done_count / max(1, told.total_count))
    show(100 * (begins + share * done), 100.0, note)


def sentences(clip: clip_service_pb2.Clip) -> list[str]:
    """Return what a viewer of a clip must know."""
    lines = [
        (
            f"From {times.shown(clip.interval.start_time)} to"
            f" {times.shown(clip.interval.end_time)}, corrected for the camera's clock;"
            f" {clip.picture_count} pictures of"
            f" {clip.width} x {clip.height}, without sound."
        )
    ]
    if clip.subject == clip_service_pb2.Clip.SUBJECT_SHOWN:
        lines.append(
            f"The subject's face is shown in {clip.subject_picture_count} pictures; every other"
            " face is blurred."
        )
    else:
        lines.append(ALL_BLURRED)
    if clip.blurred_picture_count:
        lines.append(
            f"{clip.blurred_picture_count} pictures are blurred as a whole, because their faces"
            " could not be found for certain."
        )
    lines += [f"Missing: {problem}." for problem in clip.problems]
    lines.append(
        "Blurring is done by a machine: before you give the clip to anybody, watch all of it."
    )
    return lines
