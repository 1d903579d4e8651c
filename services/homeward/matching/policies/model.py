"""A threshold, and who answers for it until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from homeward.core.policy import Measurement, PolicyFigures, PolicyFile


class PolicyState(StrEnum):
    """Where a policy is in its life."""

    UNAPPROVED = "unapproved"
    APPROVED = "approved"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Approval:
    """Who vouched for a policy, and for how long."""

    approver: str
    note: str
    approve_time: datetime
    valid_until: datetime
    expire_time: datetime | None = None
    """When somebody ended it before `valid_until`."""
    expire_reason: str = ""

    @property
    def end(self) -> datetime:
        """When it ends, or has ended."""
        return self.expire_time or self.valid_until


@dataclass(frozen=True, slots=True)
class Policy:
    """An operating point, and whether it may be used."""

    file: PolicyFile
    sha256: str
    """Of the file, hexadecimal."""
    shipped: bool
    """Whether it came with this version of Homeward."""
    active: bool
    """Whether candidates are to be chosen by it."""
    approval: Approval | None
    """The newest, whether or not it has ended."""

    def state_at(self, now: datetime) -> PolicyState:
        """Return where it is in its life."""
        if self.approval is None:
            return PolicyState.UNAPPROVED
        return PolicyState.APPROVED if now < self.approval.end else PolicyState.EXPIRED


@dataclass(frozen=True, slots=True)
class ThresholdPolicy:
    """The operating point that candidates are chosen by."""

    policy_id: str
    model_digest: str
    threshold: float
    """Least cosine similarity of a candidate, in [-1, 1]."""
    measurement: Measurement
    figures: PolicyFigures
    approval: Approval | None
    """None without one that is in force."""
    evaluation: bool
    """Whether a policy need not be approved."""
