"""The figures of a report, section by section."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from homeward.api.common.v1.retention_pb2 import HeldData
from homeward.api.matching.v1.activity_service_pb2 import (
    CandidateActivity,
    DailyActivity,
    SearchActivity,
)
from homeward.cli import times
from homeward.cli.report.period import Period
from homeward.cli.report.trail import GENERIC_FROM, TrailTally
from homeward.core.promise import Comparison, Interval, Outcomes, Verdict, compare

LEAST_PEOPLE = 5
"""Of fewer people their number is not told: somebody could know who it was."""

_COUNTS = [one.name for one in SearchActivity.DESCRIPTOR.fields if one.name.endswith("_count")]
_OUTCOMES = (
    "unreviewed_count",
    "confirmed_count",
    "rejected_count",
    "inconclusive_count",
    "awaiting_second_count",
    "approved_count",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number."""

    section: str
    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """What a day had, or a month of a yearly report."""

    name: str
    searches: int
    searched_hours: float
    appearances: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a report is made of."""

    period: Period
    days: Sequence[DailyActivity]
    trail: TrailTally
    held: Sequence[HeldData]
    problems: Sequence[str]
    """Of the stores, and lost sightings."""
    missing: Sequence[str]
    """What is not covered, in sentences."""
    promised: Interval | None
    """What the policy in force promises, for a period without candidates."""
    exact: bool
    """Whether to tell the numbers of few people too."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report."""

    period: Period
    figures: Sequence[Figure]
    days: Sequence[Day]
    policies: Sequence[CandidateActivity]
    outcomes: Sequence[tuple[str, int]]
    comparison: Comparison
    purposes: Sequence[tuple[str, int]]
    overdue: Sequence[HeldData]
    problems: Sequence[str]
    missing: Sequence[str]
    alarms: Sequence[str] = field(default_factory=tuple)

    def section(self, name: str) -> list[Figure]:
        """Return the figures of a section."""
        return [one for one in self.figures if one.section == name]


def made_of(evidence: Evidence) -> Report:
    """Return the report."""
    searches = _added(one.searches for one in evidence.days)
    policies = _by_policy(evidence.days)
    outcomes = _outcomes(policies)
    compared = comparison(evidence.days, evidence.promised)
    quoted, others, none = evidence.trail.purposes()
    purposes = [*quoted]
    if others:
        purposes.append((f"stated for fewer than {GENERIC_FROM} cases, not quoted", others))
    if none:
        purposes.append(("not stated", none))
    overdue = [one for one in evidence.held if one.overdue_count]
    return Report(
        period=evidence.period,
        figures=[
            *_searches(searches, evidence.trail),
            *_candidates(outcomes, evidence.trail, policies),
            *_people(evidence),
            *_access(evidence.trail),
        ],
        days=_days(evidence),
        policies=policies,
        outcomes=outcomes,
        comparison=compared,
        purposes=purposes,
        overdue=overdue,
        problems=evidence.problems,
        missing=evidence.missing,
        alarms=_alarms(compared, overdue, evidence.problems),
    )


def count(number: int) -> str:
    """Return a number to read, with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def _searches(searches: SearchActivity, trail: TrailTally) -> list[Figure]:
    name = "Searches"
    asked, done = (
        times.seconds(one) / 3600
        for one in (searches.requested_duration, searches.searched_duration)
    )
    return [
        Figure(name, "searches asked for", count(len(trail.searches)), "by the audit trail"),
        Figure(name, "searches that have ended", count(searches.search_count)),
        Figure(
            name,
            "of these, of all footage or for everybody",
            count(searches.everything_count),
            "each with a reason on record",
        ),
        Figure(name, "authorised", count(searches.authorised_count)),
        Figure(name, "refused, and what they found erased", count(searches.refused_count)),
        Figure(
            name,
            "not authorised in time, and what they found erased",
            count(searches.lapsed_count),
        ),
        Figure(name, "authorisation awaited", count(searches.awaited_count)),
        Figure(
            name,
            "footage asked for, hours",
            hours_text(asked),
            "counted once for each search",
        ),
        Figure(name, "footage searched, hours", hours_text(done)),
        Figure(name, "recordings in these searches", count(searches.footage_count)),
        Figure(
            name,
            "faces found in pictures",
            count(searches.face_count),
            "one person in view for a minute is several hundred",
        ),
        Figure(
            name,
            "appearances compared",
            count(searches.appearance_count),
            "one person who passes a camera is one, or a few",
        ),
        Figure(
            name,
            "of these, like nobody who is looked for, and forgotten at once",
            count(searches.discarded_appearance_count),
        ),
        Figure(
            name,
            "appearances that could not be compared",
            count(searches.incomparable_appearance_count),
            "too small, or not clear",
        ),
    ]


def _candidates(
    outcomes: Sequence[tuple[str, int]],
    trail: TrailTally,
    policies: Sequence[CandidateActivity],
) -> list[Figure]:
    name = "Candidates"
    total = sum(number for _, number in outcomes)
    unapproved = total - sum(one.approved_count for one in policies)
    return [
        Figure(name, "candidates listed", count(total), "leads for people to judge"),
        *(Figure(name, f"of these, {state}", count(number)) for state, number in outcomes),
        Figure(
            name,
            "found by a policy that nobody had approved",
            count(unapproved),
            "evaluation, or an earlier version: nobody may act on these",
        ),
        Figure(name, "decisions by reviewers", count(trail.reviews), "by the audit trail"),
        Figure(name, "confirmed sightings given out", count(trail.exports), "by the audit trail"),
        Figure(name, "use records given out", count(trail.use_records), "by the audit trail"),
    ]


def _people(evidence: Evidence) -> list[Figure]:
    def people(number: int) -> str:
        few = 0 < number < LEAST_PEOPLE and not evidence.exact
        return f"fewer than {LEAST_PEOPLE}" if few else count(number)

    name = "People looked for"
    trail = evidence.trail
    return [
        Figure(name, "people enrolled in this time", people(len(trail.enrolled))),
        Figure(
            name,
            "people whose search was ended, and whose data was erased",
            people(len(trail.ended)),
        ),
    ]


def _access(trail: TrailTally) -> list[Figure]:
    name = "Access"
    return [
        Figure(name, "events in the audit trail", count(trail.events)),
        Figure(name, "calls refused to known callers", count(trail.denied)),
        Figure(name, "calls refused to unknown callers", count(trail.unknown_callers)),
        Figure(name, "recordings erased", count(len(trail.recordings_erased))),
    ]


def _added(days: Iterable[SearchActivity]) -> SearchActivity:
    made = SearchActivity()
    asked = searched = 0
    for one in days:
        for name in _COUNTS:
            setattr(made, name, getattr(made, name) + getattr(one, name))
        asked += one.requested_duration.seconds
        searched += one.searched_duration.seconds
    made.requested_duration.FromSeconds(asked)
    made.searched_duration.FromSeconds(searched)
    return made


def _by_policy(days: Iterable[DailyActivity]) -> list[CandidateActivity]:
    found: dict[str, CandidateActivity] = {}
    for one in (one for day in days for one in day.candidates):
        held = found.setdefault(one.policy_id, CandidateActivity(policy_id=one.policy_id))
        for name in _OUTCOMES:
            setattr(held, name, getattr(held, name) + getattr(one, name))
    return [found[name] for name in sorted(found)]


def _outcomes(policies: Sequence[CandidateActivity]) -> list[tuple[str, int]]:
    return [
        ("confirmed", sum(one.confirmed_count for one in policies)),
        ("confirmed by one, awaiting another", sum(one.awaiting_second_count for one in policies)),
        ("rejected, and erased at once", sum(one.rejected_count for one in policies)),
        (
            "inconclusive: a reviewer could not tell",
            sum(one.inconclusive_count for one in policies),
        ),
        ("not judged", sum(one.unreviewed_count for one in policies)),
    ]


def comparison(days: Iterable[DailyActivity], in_force: Interval | None) -> Comparison:
    """Return wrong candidates of some days beside what was promised.

    Args:
        days: As matching counts them.
        in_force: What the policy in force promises.
    """
    told = list(days)
    return compare(
        sum(one.searches.appearance_count for one in told),
        [_of_policy(activity) for one in told for activity in one.candidates],
        in_force=in_force,
    )


def _of_policy(activity: CandidateActivity) -> Outcomes:
    promised = activity.promised_fpir
    known = activity.HasField("promised_fpir")
    return Outcomes(
        wrong=activity.rejected_count,
        open=activity.unreviewed_count
        + activity.inconclusive_count
        + activity.awaiting_second_count,
        promised=Interval(promised.value, promised.low, promised.high) if known else None,
        promised_count=promised.trial_count,
        policy_id=activity.policy_id,
    )


def _days(evidence: Evidence) -> list[Day]:
    """Return each day of a month, or each month of a year, that has come."""
    groups: dict[str, list[SearchActivity]] = {}
    width = len("2026-11") if evidence.period.yearly else len("2026-11-29")
    for day in evidence.days:
        groups.setdefault(day.date[:width], []).append(day.searches)
    found = []
    for name in sorted(groups):
        added = _added(groups[name])
        hours = times.seconds(added.searched_duration) / 3600
        found.append(Day(name, added.search_count, hours, added.appearance_count))
    return found


def hours_text(hours: float) -> str:
    """Return hours to read; never 0 of a few seconds."""
    told = f"{hours:,.2f}".replace(",", "\u202f")
    return "under 0.01" if hours and not float(f"{hours:.2f}") else told


def _alarms(
    comparison: Comparison, overdue: Sequence[HeldData], problems: Sequence[str]
) -> list[str]:
    alarms = []
    if comparison.verdict is Verdict.BROKEN:
        alarms.append(
            "More candidates were wrong than the policy promises, and chance does not explain it."
            " Measure the policy again, on footage of these cameras, before it is relied on"
            " (docs/evaluation.md)."
        )
    if overdue:
        names = ", ".join(f"{one.name}: {one.overdue_count}" for one in overdue)
        alarms.append(f"Data is held past its deadline, which is a breach: {names}.")
    return [*alarms, *problems]
