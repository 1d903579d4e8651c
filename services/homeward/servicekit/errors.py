"""The errors that a caller may see.

Use cases and adapters raise a `DomainError`; `interceptors.map_errors` turns it into a status with
`google.rpc` details, and `clients.translate` turns such a status back. The reasons are those of
`homeward.api.common.v1.ErrorReason` without their prefix, which a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto


class Reason(StrEnum):
    """Why a call failed; documented in `common/v1/error_reason.proto`."""

    @staticmethod
    def _generate_next_value_(name: str, *_: object) -> str:
        return name

    FIELD_INVALID = auto()
    PAGE_TOKEN_INVALID = auto()
    ETAG_MISMATCH = auto()
    REQUEST_ID_REUSED = auto()
    COMPONENT_UNAVAILABLE = auto()
    QUEUE_FULL = auto()
    INTERNAL = auto()
    DEADLINE_EXCEEDED = auto()
    RPC_UNKNOWN = auto()
    MESSAGE_TOO_LARGE = auto()
    MESSAGE_UNDECODABLE = auto()
    QUOTA_EXCEEDED = auto()
    CAMERA_NOT_FOUND = auto()
    CAMERA_EXISTS = auto()
    CAMERA_HAS_FOOTAGE = auto()
    FOOTAGE_NOT_FOUND = auto()
    FOOTAGE_EXPIRED = auto()
    FOOTAGE_EXISTS_ELSEWHERE = auto()
    FOOTAGE_UNREADABLE = auto()
    FOOTAGE_TOO_RECENT = auto()
    UPLOAD_SIZE_MISMATCH = auto()
    UPLOAD_DIGEST_MISMATCH = auto()
    UPLOAD_OFFSET_MISMATCH = auto()
    UPLOAD_NOT_FOUND = auto()
    SCAN_NOT_FOUND = auto()
    SCAN_SCOPE_EMPTY = auto()
    SCAN_ENDED = auto()
    SCAN_LIMIT = auto()
    SCAN_NOT_TARGETED = auto()
    SCAN_DECIDED = auto()
    RETENTION_UNSAFE = auto()
    SUBJECT_NOT_FOUND = auto()
    SUBJECT_CLOSED = auto()
    PHOTO_REFUSED = auto()
    PHOTO_LIMIT = auto()
    PHOTO_NOT_FOUND = auto()
    NO_OPEN_SUBJECTS = auto()
    SIGHTING_NOT_FOUND = auto()
    SIGHTING_NOT_CONFIRMED = auto()
    SIGHTING_REVIEWED = auto()
    POLICY_NOT_FOUND = auto()
    POLICY_EXISTS = auto()
    POLICY_NOT_APPROVED = auto()
    POLICY_EXPIRED = auto()
    POLICY_MODEL_MISMATCH = auto()
    SUBJECTS_LOST = auto()
    GALLERY_INCOMPLETE = auto()
    REVIEWER_DECIDED_BEFORE = auto()
    REVIEWER_IS_REQUESTER = auto()
    SIGHTING_LEASED = auto()
    REVIEW_STANDS = auto()
    RESUME_TOKEN_EXPIRED = auto()
    EMBEDDING_MODEL_MISMATCH = auto()
    IMAGE_UNREADABLE = auto()
    MODEL_NOT_SERVED = auto()
    AUDIT_KEY_MISSING = auto()
    FOOTAGE_DAMAGED = auto()
    TOKEN_MISSING = auto()
    TOKEN_INVALID = auto()
    TOKEN_EXPIRED = auto()
    TOKEN_NOT_YET_VALID = auto()
    ROLE_MISSING = auto()
    CASE_NOT_ASSIGNED = auto()
    PURPOSE_REQUIRED = auto()
    OWN_SCAN = auto()
    CLIP_TOO_LONG = auto()


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that breaks its rule."""

    field: str
    description: str


class DomainError(Exception):
    """An error with an answer for the caller.

    Args:
        message: What is wrong, and where. Goes to the caller: no driver's text, no name, no path
            of a machine.
        reason: For programs.
        metadata: The metadata that the reason's documentation names.
        violations: Fields at fault, for `Reason.FIELD_INVALID`.
        retry_seconds: Time after which the same call may succeed, where it is known.
        advice: What the operator does about it. Goes to the log, with the message, and no further:
            a caller can neither start an engine nor change a setting.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_seconds: int | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(f"{message}: {advice}" if advice else message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_seconds = retry_seconds
        self.advice = advice


class InvalidArgumentError(DomainError):
    """The request is wrong whatever the state of the system."""


class UnauthenticatedError(DomainError):
    """Nobody knows who calls."""


class PermissionDeniedError(DomainError):
    """Whoever calls may not do this."""


class NotFoundError(DomainError):
    """What the request names does not exist."""


class AlreadyExistsError(DomainError):
    """What the request would create exists."""


class FailedPreconditionError(DomainError):
    """The state of the system forbids the request."""


class AbortedError(DomainError):
    """Another caller changed the resource first; read it again and retry."""


class ResourceExhaustedError(DomainError):
    """A limit is reached."""


class UnavailableError(DomainError):
    """An engine or a service does not answer; the same call may work later.

    Args:
        message: As of `DomainError`.
        reason: As of `DomainError`.
        metadata: As of `DomainError`.
        retry_seconds: As of `DomainError`.
        waited: Whether the call already waited for an answer until its deadline. The caller then
            reports the error instead of waiting as long again.
        advice: As of `DomainError`.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        metadata: Mapping[str, str] | None = None,
        retry_seconds: int | None = None,
        waited: bool = False,
        advice: str = "",
    ) -> None:
        super().__init__(
            message,
            reason=reason,
            metadata=metadata,
            retry_seconds=retry_seconds,
            advice=advice,
        )
        self.waited = waited


class DeadlineExceededError(DomainError):
    """The deadline of the call has passed."""


class UnimplementedError(DomainError):
    """There is no such call."""


class InternalError(DomainError):
    """A fault in Homeward."""


def invalid_field(field: str, description: str) -> InvalidArgumentError:
    """Return the error for one field that breaks its rule."""
    return InvalidArgumentError(
        f"{field}: {description}",
        reason=Reason.FIELD_INVALID,
        violations=[FieldViolation(field, description)],
    )


def unavailable(
    component: str,
    address: str,
    advice: str,
    *,
    fact: str = "",
    since: datetime | None = None,
    waited: bool = False,
) -> UnavailableError:
    """Return the error for an engine or a service that does not answer.

    Args:
        component: Its name, such as `NATS`.
        address: Where it should be.
        advice: What the operator does about it.
        fact: What is known of why, which callers are told too.
        since: When it was first found not to answer, if that is known; in UTC.
        waited: As of `UnavailableError`.
    """
    when = f" since {since:%Y-%m-%d %H:%M:%SZ}" if since else ""
    metadata = {"component": component, "address": address}
    if since:
        metadata["since_time"] = since.isoformat(timespec="seconds")
    return UnavailableError(
        f"{component} does not answer at {address}{when}{fact and f': {fact}'}",
        reason=Reason.COMPONENT_UNAVAILABLE,
        metadata=metadata,
        waited=waited,
        advice=advice,
    )
