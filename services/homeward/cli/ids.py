"""Finding what a user means by the beginning of an id, a label or a case reference."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import (
    camera_service_pb2,
    footage_service_pb2,
    scan_service_pb2,
)
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub
from homeward.api.matching.v1 import (
    policy_service_pb2,
    sighting_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from homeward.api.matching.v1.policy_service_pb2_grpc import PolicyServiceStub
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import times
from homeward.cli.errors import CliError, ExitCode, advise
from homeward.cli.options import Session
from homeward.cli.paging import all_pages

SHORTEST = 4
"""Fewest characters of an id that stand for it."""

_LENGTH = 36
"""Of a UUID."""
_UUID_PREFIX = re.compile(r"[0-9a-f]{1,8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?")
_FOOTAGE_ID = re.compile(r"[a-z0-9-]+-\d{8}t\d{12}z-[0-9a-f]{16}")
_DAY_IN_ID = re.compile(r"-(?P<day>\d{8})t\d{0,12}z?(-[0-9a-f]{0,15})?$")


def begins_uuid(given: str) -> bool:
    """Return whether a UUID could begin so."""
    return _UUID_PREFIX.fullmatch(given) is not None


def full_id(
    noun: str, given: str, known: Callable[[], Iterable[str]], *, length: float = _LENGTH
) -> str:
    """Return the id that `given` is, or is the only one to begin with.

    Args:
        noun: Kind of the resource, such as `scan`.
        given: An id, or at least 4 characters of its beginning.
        known: Lists the existing ids; called only when needed.
        length: Length of a whole id, which is not looked up.

    Raises:
        CliError: No id begins so, several do, or the caller may not list them.
    """
    if len(given) < SHORTEST:
        raise CliError(
            f"{given} is too short for an id: give at least {SHORTEST} characters of it",
            advice=f"`homeward {noun} list` shows them",
        )
    if len(given) >= length:
        return given
    with _listing(noun, given):
        found = sorted({name for name in known() if name.startswith(given)})
    if given in found:
        return given
    if len(found) == 1:
        return found[0]
    if not found:
        raise not_found(noun, f"no {noun} has an id that begins with {given}")
    raise CliError(
        f"several {noun} ids begin with {given}: {', '.join(found)}",
        advice="give more of it",
    )


@contextmanager
def _listing(noun: str, given: str) -> Iterator[None]:
    """Raise a better error where the caller may not list what `given` is the beginning of."""
    try:
        yield
    except CliError as error:
        if error.reason != "ROLE_MISSING":
            raise
        raise CliError(
            f"{given} is no whole id of a {noun}, and you may not list them to find which one is"
            " meant",
            exit_code=error.exit_code,
            reason=error.reason,
            advice="give the whole id",
        ) from error


def not_found(noun: str, message: str, *, advice: str = "") -> CliError:
    """Return the error about something that does not exist."""
    return CliError(
        message,
        exit_code=ExitCode.NOT_FOUND,
        reason=f"{noun.upper()}_NOT_FOUND",
        advice=advice or f"`homeward {noun} list` shows them",
    )


def full_subject_id(session: Session, given: str) -> str:
    """Return the id of the subject whose id, label or case reference is given.

    An id may be cut; a label and a case reference are given in full, in small or capital letters.

    Raises:
        CliError: There is no such subject, or several.
    """
    if len(given) >= _LENGTH and begins_uuid(given):
        return given
    stub = SubjectServiceStub(session.connections.channel("matching"))

    def listed(prefix: str) -> list[subject_pb2.Subject]:
        request = subject_service_pb2.ListSubjectsRequest(id_prefix=prefix, show_closed=True)
        with _listing("subject", given):
            return all_pages(stub.ListSubjects, request, lambda page: page.subjects)

    begun = listed(given) if len(given) >= SHORTEST and begins_uuid(given) else []
    everybody = [] if len(begun) == 1 else listed("")
    called = [one for one in everybody if given.casefold() in _names(one)]
    found = {one.subject_id: one for one in (*begun, *called)}
    if len(found) == 1:
        return next(iter(found))
    if found:
        raise CliError(
            f"{given} is several subjects: {'; '.join(map(_described, found.values()))}",
            advice="give the id of the one that you mean",
        )
    near = get_close_matches(given.casefold(), {name for one in everybody for name in _names(one)})
    alike = [_described(one) for one in everybody if _names(one) & set(near)]
    raise not_found(
        "subject",
        f"no subject has the label or case {given}, nor an id that begins so",
        advice=f"did you mean {' or '.join(alike[:3])}?" if alike else "",
    )


def _names(subject: subject_pb2.Subject) -> set[str]:
    return {name.casefold() for name in (subject.label, subject.case_reference) if name}


def _described(subject: subject_pb2.Subject) -> str:
    named = " ".join(filter(None, (subject.case_reference, subject.label)))
    return f"{subject.subject_id} ({named})" if named else subject.subject_id


def full_sighting_id(session: Session, given: str) -> str:
    """Return the id of the sighting that `given` is or begins."""
    stub = SightingServiceStub(session.connections.channel("matching"))
    request = sighting_service_pb2.ListSightingsRequest(id_prefix=given)

    def known() -> Iterable[str]:
        if not begins_uuid(given):
            return ()
        listed = all_pages(stub.ListSightings, request, lambda page: page.sightings)
        return (each.sighting_id for each in listed)

    return full_id("sighting", given, known)


def full_scan_id(session: Session, given: str) -> str:
    """Return the id of the scan that `given` is or begins."""
    stub = ScanServiceStub(session.connections.channel("ingestion"))

    def known() -> Iterable[str]:
        request = scan_service_pb2.ListScansRequest()
        return (one.scan_id for one in all_pages(stub.ListScans, request, lambda page: page.scans))

    return full_id("scan", given, known)


def full_policy_id(session: Session, given: str) -> str:
    """Return the id of the policy that `given` is or begins."""
    stub = PolicyServiceStub(session.connections.channel("matching"))
    request = policy_service_pb2.ListPoliciesRequest()
    listed = all_pages(stub.ListPolicies, request, lambda page: page.policies)
    known = [one.policy_id for one in listed]
    # Of one that is not there, the service says so.
    begun = any(name.startswith(given) for name in known)
    return full_id("policy", given, lambda: known, length=math.inf) if begun else given


def known_cameras(session: Session, given: Sequence[str]) -> Sequence[str]:
    """Return names of cameras as they are given.

    Raises:
        CliError: There is no camera of one of these names.
    """
    if not given:
        return given
    names = camera_names(session)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names)
            raise not_found(
                "camera",
                f"no camera is named {name}",
                advice=f"did you mean {' or '.join(near)}?"
                if near
                else advise("CAMERA_NOT_FOUND", {}),
            )
    return given


def camera_names(session: Session) -> list[str]:
    """Return the names of all cameras."""
    stub = CameraServiceStub(session.connections.channel("ingestion"))
    request = camera_service_pb2.ListCamerasRequest()
    cameras = all_pages(stub.ListCameras, request, lambda page: page.cameras)
    return [each.camera_id for each in cameras]


def full_footage_id(session: Session, given: str) -> str:
    """Return the id of the footage that `given` is or begins.

    An id begins with its camera and day, so that only those are listed.
    """
    if _FOOTAGE_ID.fullmatch(given):
        return given

    def known() -> Iterable[str]:
        # The cameras whose recordings may have an id that begins so.
        cameras = [
            name for name in camera_names(session) if f"{name}-".startswith(given[: len(name) + 1])
        ]
        if not cameras:
            return ()
        request = footage_service_pb2.ListFootageRequest(
            camera_ids=cameras, interval=_day_of(given)
        )
        stub = FootageServiceStub(session.connections.channel("ingestion"))
        listed = all_pages(stub.ListFootage, request, lambda page: page.footage)
        return (each.footage_id for each in listed)

    # It begins with the camera's name, whose length varies.
    return full_id("footage", given, known, length=math.inf)


def _day_of(beginning: str) -> TimeInterval | None:
    """Return the day that the beginning of an id names, if it goes that far."""
    found = _DAY_IN_ID.search(beginning)
    if found is None:
        return None
    try:
        day = datetime.strptime(found["day"], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:  # no day, and so no beginning of an id
        return None
    return times.interval(day, day + timedelta(days=1))
