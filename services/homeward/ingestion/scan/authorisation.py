"""Why a scan is made, whether it is authorised, and the rules for both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Justification:
    """Why a scan is made, as stated by whoever asked for it."""

    everything: bool = False
    """Search although the scope is not targeted."""
    everything_reason: str = ""
    necessity: str = ""
    less_intrusive_means: str = ""
    """Those that were tried, or why there are none."""


UNJUSTIFIED = Justification()
"""Of a scan of which nothing was stated."""


class AuthorisationState(StrEnum):
    """Where the authorisation of a scan is in its life."""

    NOT_REQUIRED = "not required"
    AWAITED = "awaited"
    AUTHORISED = "authorised"
    REFUSED = "refused"
    LAPSED = "lapsed"
    """Nobody decided in time: it counts as refused."""

    @property
    def forbids(self) -> bool:
        """Whether the scan is to be stopped, and what it found erased."""
        return self in (AuthorisationState.REFUSED, AuthorisationState.LAPSED)

    @property
    def decided(self) -> bool:
        """Whether nobody can decide otherwise any more."""
        return self.forbids or self is AuthorisationState.AUTHORISED


@dataclass(frozen=True, slots=True)
class Authorisation:
    """Whether a scan is authorised, and who has decided that."""

    state: AuthorisationState = AuthorisationState.NOT_REQUIRED
    deadline: datetime | None = None
    """Until when it is awaited; None when none is required."""
    decider: str = ""
    decide_time: datetime | None = None
    """When it was decided, or lapsed."""
    reference: str = ""
    """Where the authorisation is on file."""
    reason: str = ""
    """Why it was refused."""
    erase_time: datetime | None = None
    """When what the scan had found was erased; None while that is not done."""
    lapse_told: bool = False
    """Whether it stands in the audit trail that nobody decided in time."""

    def has_lapsed(self, now: datetime) -> bool:
        """Return whether the deadline has passed, and nobody has decided."""
        awaited = self.state is AuthorisationState.AWAITED
        return awaited and self.deadline is not None and now >= self.deadline


@dataclass(frozen=True, slots=True)
class ScanRules:
    """What is asked of those who create and authorise scans."""

    targeted: bool = False
    """Refuse a scan that is not targeted, unless it says why."""
    authorised_within: timedelta | None = None
    """Time within which a scan must be authorised; None requires no authorisation."""
    own_scans: bool = False
    """Whether somebody may authorise what they asked for themselves."""

    def authorisation(self, now: datetime) -> Authorisation:
        """Return the authorisation of a scan that is created now."""
        if self.authorised_within is None:
            return Authorisation()
        return Authorisation(AuthorisationState.AWAITED, now + self.authorised_within)


NO_RULES = ScanRules()
"""Nothing is asked."""
