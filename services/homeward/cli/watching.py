"""Following sightings over broken connections and restarts, without missing a change."""

from __future__ import annotations

from collections.abc import Generator

from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import patience, times
from homeward.cli.errors import CallError, ExitCode
from homeward.cli.render import enum_word

Response = sighting_service_pb2.WatchSightingsResponse

_CHANGES = {
    Response.CHANGE_RECORDED: "new candidate",
    Response.CHANGE_ALTERED: "found again",
    Response.CHANGE_ERASED: "erased",
}
_STATES = {
    sighting_pb2.Sighting.STATE_AWAITING_SECOND: "awaiting second",
    sighting_pb2.Sighting.STATE_REJECTED: "rejected",
}


def changes(
    stub: SightingServiceStub,
    request: sighting_service_pb2.WatchSightingsRequest,
    *,
    patient: bool = False,
) -> Generator[Response, None, None]:
    """Yield what happens to sightings, for as long as the caller likes.

    A stream that ends or breaks is opened again after the last place that was received, so that
    nothing is missed.

    Args:
        stub: The service.
        request: What to follow; its place is brought up to date.
        patient: Wait for a service that did not answer even once.

    Raises:
        CallError: The service refuses; or it did not answer once, and `patient` is not set.
    """
    failures, answered = 0, patient
    while True:
        try:
            for response in stub.WatchSightings(request):
                failures, answered = 0, True
                request.resume_token, request.from_oldest = response.resume_token, False
                yield response
            broken = "the watch ended"
        except CallError as error:
            if error.status == "DEADLINE_EXCEEDED" and answered and not failures:
                continue  # of this one call: it is opened again
            if error.exit_code is not ExitCode.UNAVAILABLE or not answered:
                raise
            broken = error.message
        failures += 1
        patience.pause(failures, broken)


def described(response: Response) -> str:
    """Return what happened, in words."""
    if response.change in _CHANGES:
        return _CHANGES[response.change]
    word = enum_word(sighting_pb2.Sighting.State.Name(response.state), "STATE_")
    return _STATES.get(response.state, word)


def line(response: Response, sighting_id: str, subject_id: str) -> str:
    """Return a change as a line to read.

    Args:
        response: The change.
        sighting_id: As it is to be shown.
        subject_id: As it is to be shown.
    """
    sighting = response.sighting
    seen = (
        f"  camera {sighting.camera_id}"
        f"  {times.marked(sighting.interval.start_time, uncertain=sighting.time_uncertain)}"
        f"  score {sighting.score:.3f}"
        if sighting.camera_id
        else ""
    )
    when = times.shown(response.change_time)
    return f"{when}  {described(response):<15}  {sighting_id}  subject {subject_id}{seen}"
