"""What a policy's error rates mean, for somebody who has never heard of one."""

from __future__ import annotations

from homeward.api.common.v1.policy_pb2 import ErrorRate, PolicyFigures
from homeward.cli import policy_figures

SCORE = (
    "The score says how alike two faces were measured to be, on a scale that ends at 1. It is not a"
    " percentage, and not the chance that it is the same person: a score of 0.60 does not mean"
    " 60\u00a0%. That chance depends on how many other people were compared, and on whether the"
    " person was there at all, which nobody knows. No number on this sheet states it."
)
NOTHING = (
    "No candidate at a place or time does not mean that the person was not there: they may have"
    " been missed, or have shown no face, or that time was not searched."
)
_PEOPLE = 100
_MANY = 1000
_LEAST_TOLD = 0.1
"""Of a candidate."""


def sentences(policy_id: str, figures: PolicyFigures, comparisons: int) -> list[str]:
    """Return what to expect of a policy, in counts of people out of how many.

    Args:
        policy_id: The policy.
        figures: Its error rates, for as many people as were enrolled.
        comparisons: Appearances that were compared in the searches; 0 if that is not known.
    """
    enrolled = policy_figures.people(figures.gallery_size)
    lines = [
        f"By policy {policy_id}, with {enrolled} enrolled:",
        _strangers(figures.expected_fpir),
    ]
    if comparisons and figures.expected_fpir.high:
        lines.append(
            f"In the searches behind this sheet {_count(comparisons)} appearances of people were"
            f" compared. If none of these people were enrolled,"
            f" {_by_chance(figures.expected_fpir, comparisons)} would still be listed, by mistake."
            " So a candidate may well be somebody else."
        )
    lines.append(_missed(figures.fnir))
    return lines


def _strangers(rate: ErrorRate) -> str:
    who = "Of people who pass a camera and are not enrolled"
    if rate.value <= 0 < rate.high:
        return (
            f"{who}, none was listed when it was measured; up to"
            f" {policy_figures.one_in(ErrorRate(value=rate.high))} may be."
        )
    highest = policy_figures.one_in(ErrorRate(value=rate.high))
    least = f"between {policy_figures.one_in(ErrorRate(value=rate.low))} and {highest}"
    interval = least if rate.low > 0 else f"{highest} at most"
    return f"{who}, about {policy_figures.one_in(rate)} is listed by mistake ({interval})."


def _missed(rate: ErrorRate) -> str:
    return (
        f"Of {_PEOPLE} times that a person who is looked for passes a camera, about"
        f" {_whole(rate.value)} are missed (between {_whole(rate.low)} and {_whole(rate.high)});"
        f" that was counted over {_count(rate.trial_count)} appearances, in pictures like those"
        " that it was measured on. Yours may be worse."
    )


def _whole(rate: float) -> str:
    return f"{round(rate * _PEOPLE)}" if rate * _PEOPLE >= 1 or not rate else "fewer than 1"


def _by_chance(rate: ErrorRate, comparisons: int) -> str:
    if rate.high * comparisons < _LEAST_TOLD:
        return f"fewer than {_LEAST_TOLD}"
    least, most = _few(rate.low * comparisons), _few(rate.high * comparisons)
    return f"about {_few(rate.value * comparisons)} ({least} to {most})"


def _few(count: float) -> str:
    if count < _LEAST_TOLD:
        return "none" if not count else f"fewer than {_LEAST_TOLD}"
    return f"{count:.1f}" if count < 10 else f"{count:.0f}"  # noqa: PLR2004 - two digits


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f") if number >= _MANY else str(number)
