"""Who calls, as a server has found out, and where code further in asks for it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from homeward.servicekit import errors, wire


class Role(StrEnum):
    """What a caller is trusted to do; documented in `common/v1/options.proto`."""

    INVESTIGATOR = "investigator"
    REVIEWER = "reviewer"
    SUBJECT_ADMIN = "subject-admin"
    UPLOADER = "uploader"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    AUTHORISER = "authoriser"
    SERVICE = "service"
    """Bound to the name in a certificate; no token gives it."""


OF_NO_CASE = frozenset({Role.AUDITOR, Role.OPERATOR, Role.UPLOADER})
"""Roles of those who do not work on cases."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what for."""

    name: str
    """As the issuer of the token names them; of a service or program, its certificate's name."""
    roles: frozenset[Role]
    cases: frozenset[str] | None = None
    """References of the cases that they may see; None for every case."""
    purpose: str = ""
    """Why, as stated with the call."""
    case_reference: str = ""
    """For which case, as stated with the call."""


_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller | None:
    """Return who makes the call that is under way; None where nobody is checked, or outside of one.

    A server that checks its callers sets it before anything of a service runs.
    """
    return _current.get()


def name_of_caller(stated: str) -> str:
    """Return who makes the call under way: the caller, or as stated where nobody is checked."""
    caller = current_caller()
    return stated if caller is None else caller.name


@contextmanager
def acting_for(caller: Caller) -> Iterator[None]:
    """Have `current_caller` return the caller while the block runs."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)


def visible_cases() -> frozenset[str] | None:
    """Return the cases that the current caller may see; None for every case."""
    caller = current_caller()
    return None if caller is None else caller.cases


def may_see(case_reference: str | None) -> bool:
    """Tell whether the current caller may see what belongs to a case.

    Args:
        case_reference: Of the case; None where it is not known any more.
    """
    cases = visible_cases()
    return cases is None or case_reference in cases


def require_case(case_reference: str) -> None:
    """Refuse the current caller a case that is not theirs, where they state it themselves.

    Raises:
        PermissionDeniedError: `CASE_NOT_ASSIGNED`.
    """
    if not may_see(case_reference):
        raise case_not_assigned("the call is for a case that the caller is not assigned to")


def acting_name(stated: str, field: str, *, most: int) -> str:
    """Return who acts: the caller, whatever is stated; who is stated where nobody is checked.

    Args:
        stated: The name in the request.
        field: The path of that.
        most: Characters that a name may have where callers are not checked.

    Raises:
        InvalidArgumentError: `FIELD_INVALID`: no name, or too long a one, where it counts.
    """
    return name_of_caller("") or wire.text(stated, field, least=1, most=most)


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are alike but for case, width of letters and spaces.

    Two people whose names differ in these alone are taken for one, where a second one is needed.
    """
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


def case_not_assigned(message: str) -> errors.PermissionDeniedError:
    """Return the refusal of what belongs to cases that are not the caller's."""
    return errors.PermissionDeniedError(message, reason=errors.Reason.CASE_NOT_ASSIGNED)
