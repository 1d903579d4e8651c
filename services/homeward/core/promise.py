"""Whether more candidates were wrong than the policy promised.

The report of the command line and the metrics of matching judge by this alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

_Z = 1.959963984540054
"""Of the normal distribution: 95 % lie within so many deviations."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate, with the interval that holds the true one with 95 % confidence."""

    value: float
    low: float
    high: float


def wilson(count: int, trials: int) -> Interval:
    """Return the rate of `count` in `trials`, with Wilson's score interval.

    Args:
        count: Between 0 and `trials`.
        trials: At least 1.
    """
    rate = count / trials
    squared = _Z**2
    middle = (rate + squared / (2 * trials)) / (1 + squared / trials)
    reach = (
        _Z
        * math.sqrt(rate * (1 - rate) / trials + squared / (4 * trials**2))
        / (1 + squared / trials)
    )
    low = 0.0 if count == 0 else max(0.0, middle - reach)
    high = 1.0 if count == trials else min(1.0, middle + reach)
    return Interval(rate, low, high)


class Verdict(StrEnum):
    """What reviews say of a policy's promise."""

    KEPT = "kept"
    """Even if all that nobody has judged were wrong, the promise would be kept."""
    NOT_BROKEN = "not broken"
    """What was judged does not show that it is broken."""
    BROKEN = "broken"
    """More were wrong than promised, and chance does not explain it."""
    UNKNOWN = "unknown"
    """Nobody was compared, or nothing is promised."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Wrong candidates beside what was promised."""

    compared: int
    """Appearances that were compared."""
    wrong: int
    """Candidates that were rejected."""
    open: int
    """Candidates that may be wrong, and that nobody has judged for good."""
    promised: Interval | None
    policies: tuple[Comparison, ...] = ()
    """The same of each policy by itself. Which one compared an appearance is not counted: so each
    counts as if it had compared all, which is in its favour."""

    @property
    def observed(self) -> Interval | None:
        """The rate of wrong candidates; None if nobody was compared."""
        # Of one appearance several candidates may come, one of each person that it is like.
        return wilson(min(self.wrong, self.compared), self.compared) if self.compared else None

    @property
    def at_most(self) -> Interval | None:
        """The rate if all were wrong that nobody has judged for good."""
        wrong = min(self.wrong + self.open, self.compared)
        return wilson(wrong, self.compared) if self.compared else None

    @property
    def verdict(self) -> Verdict:
        """What that says of the promise."""
        if self.observed is None or self.at_most is None or self.promised is None:
            return Verdict.UNKNOWN
        if self.observed.low > self.promised.high or any(
            one.verdict is Verdict.BROKEN for one in self.policies
        ):
            return Verdict.BROKEN
        promises = [one.promised for one in (self, *self.policies) if one.promised is not None]
        if all(self.at_most.high <= promised.high for promised in promises):
            return Verdict.KEPT
        return Verdict.NOT_BROKEN


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of some candidates, and what was promised of them."""

    wrong: int
    """Rejected by reviewers."""
    open: int
    """Not judged for good."""
    promised: Interval | None = None
    """In the mean over those that came with a promise."""
    promised_count: int = 0
    """How many did."""
    policy_id: str = ""
    """Of the policy that they were listed by."""


def compare(
    compared: int, outcomes: Iterable[Outcomes], *, in_force: Interval | None
) -> Comparison:
    """Return wrong candidates beside what was promised of them, in the mean.

    Args:
        compared: Appearances that were compared.
        outcomes: Of the candidates that came of that.
        in_force: What the policy in force promises: counts where no candidate came with a promise.
    """
    all_of = list(outcomes)
    by_policy: dict[str, list[Outcomes]] = {}
    for one in all_of:
        by_policy.setdefault(one.policy_id, []).append(one)
    parts = tuple(_compared(compared, part, None) for part in by_policy.values())
    return replace(_compared(compared, all_of, in_force), policies=parts)


def _compared(compared: int, outcomes: list[Outcomes], in_force: Interval | None) -> Comparison:
    promises = [(one.promised, one.promised_count) for one in outcomes if one.promised is not None]
    count = sum(number for _, number in promises)
    value = sum(one.value * number for one, number in promises)
    low = sum(one.low * number for one, number in promises)
    high = sum(one.high * number for one, number in promises)
    mean = Interval(value / count, low / count, high / count) if count else in_force
    return Comparison(
        compared=compared,
        wrong=sum(one.wrong for one in outcomes),
        open=sum(one.open for one in outcomes),
        promised=mean,
    )
