"""The error rates of a policy, in sentences for investigators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from homeward.api.common.v1.policy_pb2 import ErrorRate, PolicyFigures
from homeward.cli.render import short_ids

DOUBTFUL_MARGIN = 0.15
"""A candidate is doubtful if the score of another enrolled subject is lower by less than this.

Measured at a threshold of 0.40 (docs/evaluation.md): it marked 53 of 2127 right candidates, 35 of
44 wrong ones, and 71 of 80 relatives."""

DOUBT = (
    "? The score of another enrolled person is close to this one, or higher. That happens with"
    " relatives, and with most wrong candidates: compare the pictures with both people."
)
_NAMED = 5
"""Most candidates that are named before a policy's sentence."""

_FEW = 10
"""Below this "1 in N" is told with a decimal."""


def sentences(policy_id: str, figures: PolicyFigures, *, found: bool = False) -> list[str]:
    """Return the error rates of a policy, and warnings as `warnings` does."""
    lines = [
        f"Policy {policy_id}: {expectation(figures)}",
        *warnings(policy_id, figures, found=found),
    ]
    return lines if figures.gallery_size else lines[1:]


def expectation(figures: PolicyFigures) -> str:
    """Return how many people are listed wrongly, and how many are missed."""
    return (
        f"with {people(figures.gallery_size)} looked for, {_listed(figures.expected_fpir)}. Of the"
        f" people who are looked for and pass a camera, about {percent(figures.fnir)} are missed."
    )


def _listed(fpir: ErrorRate) -> str:
    # None listed of some hundreds does not mean that none of some thousands will be.
    if fpir.value <= 0 < fpir.high:
        highest = one_in(_rate(fpir.high))
        return (
            "no stranger became a candidate when it was measured; in use, up to"
            f" {highest} strangers may"
        )
    high = one_in(_rate(fpir.high))
    interval = f"{one_in(_rate(fpir.low))} to {high}" if fpir.low > 0 else f"at most {high}"
    return f"about {one_in(fpir)} strangers ({interval}) becomes a candidate by mistake"


def warnings(policy_id: str, figures: PolicyFigures, *, found: bool = False) -> list[str]:
    """Return warnings about relying on a policy.

    Args:
        policy_id: Of the policy.
        figures: What it is worth.
        found: Whether they are of candidates; it may have been approved since these were found.
    """
    lines = []
    if not figures.approved:
        when = (
            "had not been approved by anybody when these candidates were found. Do not act on them."
            if found
            else "has not been approved by anybody. Do not act on these candidates."
        )
        lines.append(f"EVALUATION ONLY: policy {policy_id} {when}")
    if outgrown(figures):
        lines.append(
            f"WARNING: policy {policy_id} was measured with"
            f" {people(figures.measured_gallery_size)} enrolled, and {figures.gallery_size} are"
            " looked for: these figures are estimates, and more of the candidates will be wrong."
        )
    return lines


def outgrown(figures: PolicyFigures) -> bool:
    """Whether more people are compared with than were when the policy was measured."""
    return figures.gallery_size > figures.measured_gallery_size


def distinct(scored: Iterable[ScoredMatch]) -> list[str]:
    """Return the sentences of candidates: of each policy once, as the gallery was largest.

    Where candidates were found by several policies, or before and after an approval, one that is
    not about all of them begins with those that it is about.
    """
    groups: dict[tuple[str, bool], list[ScoredMatch]] = {}
    for one in scored:
        groups.setdefault((one.policy_id, one.figures.approved), []).append(one)
    told: dict[str, list[ScoredMatch]] = {}
    for (policy_id, _), found in groups.items():
        worst = max((one.figures for one in found), key=lambda figures: figures.gallery_size)
        for line in sentences(policy_id, worst, found=True):
            told.setdefault(line, []).extend(found)
    count = sum(map(len, groups.values()))
    return [
        line if len(found) == count else f"{_named(found)}: {line}" for line, found in told.items()
    ]


def _named(found: Sequence[ScoredMatch]) -> str:
    ids = short_ids([one.sighting_id for one in found])
    more = len(found) - _NAMED
    names = ", ".join(ids[one.sighting_id] for one in found[:_NAMED])
    return f"For {names}{f' and {more} more' if more > 0 else ''}"


class ScoredMatch(Protocol):
    """A sighting, or a candidate of a scan."""

    @property
    def sighting_id(self) -> str: ...  # noqa: D102
    @property
    def subject_id(self) -> str: ...  # noqa: D102
    @property
    def policy_id(self) -> str: ...  # noqa: D102
    @property
    def figures(self) -> PolicyFigures: ...  # noqa: D102
    @property
    def score(self) -> float: ...  # noqa: D102
    @property
    def rival_score(self) -> float: ...  # noqa: D102
    def HasField(self, field_name: Literal["rival_score", "figures"], /) -> bool: ...  # noqa: D102, N802


def doubtful(scored: ScoredMatch) -> bool:
    """Whether somebody else who is enrolled is nearly as alike, or more so."""
    return scored.HasField("rival_score") and scored.score - scored.rival_score < DOUBTFUL_MARGIN


def notes(scored: Sequence[ScoredMatch]) -> list[str]:
    """Return the sentences below a list of sightings or candidates."""
    doubt = [DOUBT] if any(doubtful(one) for one in scored) else []
    return doubt + distinct(one for one in scored if one.HasField("figures"))


def score(scored: ScoredMatch) -> str:
    """Return a score to read, with a mark if it is doubtful; `DOUBT` explains the mark."""
    return f"{scored.score:.3f}{' ?' if doubtful(scored) else ''}"


def one_in(rate: ErrorRate) -> str:
    """Return a small rate to read, such as `1 in 5200`, to two digits."""
    if rate.value <= 0:
        return "none"
    count = 1 / rate.value
    if count < _FEW:
        return f"1 in {count:.1f}".removesuffix(".0")
    return f"1 in {float(f'{count:.1e}'):.0f}"


def _rate(value: float) -> ErrorRate:
    return ErrorRate(value=value)


def percent(rate: ErrorRate) -> str:
    """Return a rate to read with its interval, such as `4.2 % (2.8 to 6.3)`."""
    return f"{_share(rate.value)} % ({_share(rate.low)} to {_share(rate.high)})"


def people(count: int) -> str:
    """Return a number of people to read."""
    return "1 person" if count == 1 else f"{count} people"


def _share(rate: float) -> str:
    # Two digits that count: a rate of 0.0021 % is not 0.0 %.
    percents = 100 * rate
    return f"{percents:.1f}" if percents >= 1 or not percents else f"{percents:.2g}"
