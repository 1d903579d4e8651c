"""What is counted of searches and candidates: names of figures, which two services share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

SEARCHES = "searches"
CANDIDATES = "candidates"


class SearchFigure(StrEnum):
    """Figures of a search."""

    SEARCHES = "searches"
    EVERYTHING = "everything"
    AUTHORISED = "authorised"
    REFUSED = "refused"
    LAPSED = "lapsed"
    AWAITED = "awaited"
    REQUESTED_SECONDS = "requested_seconds"
    SEARCHED_SECONDS = "searched_seconds"
    FOOTAGE = "footage"
    FACES = "faces"
    APPEARANCES = "appearances"
    DISCARDED = "discarded"
    INCOMPARABLE = "incomparable"


class CandidateFigure(StrEnum):
    """Figures of a candidate, each by policy; beside them, one of its state."""

    PROMISED = "promised"
    """Candidates that came with what the policy promised."""
    PROMISED_VALUE = "promised_value"
    PROMISED_LOW = "promised_low"
    PROMISED_HIGH = "promised_high"
    APPROVED = "approved"


def of_policy(policy_id: str, figure: str) -> str:
    """Return the name of a figure of a policy."""
    return f"{figure} {policy_id}"


def by_policy(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the figures of each policy, by their own names, in the order of the policies' ids."""
    found: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        policy_id, figure = policy_and_figure(name)
        found.setdefault(policy_id, {})[figure] = value
    return dict(sorted(found.items()))


def policy_and_figure(name: str) -> tuple[str, str]:
    """Return what `of_policy` was given."""
    figure, _, policy_id = name.partition(" ")
    return policy_id, figure
