"""Warnings about subjects for whom a policy's error rates do not hold, for investigators.

A subject is marked as a child or as an adult. A policy names the ages that it was measured on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from homeward.api.common.v1 import policy_pb2
from homeward.api.common.v1.policy_pb2 import AgeFigures, PolicyFigures
from homeward.api.matching.v1 import matching_service_pb2, subject_pb2, subject_service_pb2
from homeward.api.matching.v1.matching_service_pb2_grpc import MatchingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import policy_figures
from homeward.cli.errors import CliError, ExitCode, tell
from homeward.cli.options import Session
from homeward.cli.paging import all_pages
from homeward.cli.render import some_of

MAJORITY = 18
"""Age in years below which a person is enrolled as a child."""

_OLDEST = 130
_FEW = 10
"""Most subjects that are read one by one; of more, the whole list is read in pages."""

_FAR_LESS = (
    "Children are found far less often than adults, and the younger the less often. If a search"
    " finds nothing, that says little; look at each candidate more closely."
)
_BASES = {
    policy_pb2.MEASUREMENT_BASIS_PHOTOGRAPHS: "in photographs",
    policy_pb2.MEASUREMENT_BASIS_FOOTAGE: "in footage",
}


@dataclass(frozen=True, slots=True)
class Worth:
    """A policy's id and error rates."""

    policy_id: str
    """Empty when none is in force."""
    figures: PolicyFigures


NOT_IN_FORCE = Worth("", PolicyFigures())


def in_force(session: Session) -> Worth:
    """Return the policy in force, or `NOT_IN_FORCE`."""
    stub = MatchingServiceStub(session.connections.channel("matching"))
    try:
        policy = stub.GetThresholdPolicy(matching_service_pb2.GetThresholdPolicyRequest()).policy
    except CliError as error:  # the command goes on without it
        if error.exit_code is not ExitCode.PRECONDITION:
            tell(error, about="whom the policy was measured on is not known")
        return NOT_IN_FORCE
    return Worth(policy.policy_id, policy.figures)


def of_ages(worth: Worth, *, child: bool) -> str:
    """Return a warning if a policy's error rates do not hold for children, or for adults."""
    groups = list(worth.figures.age_figures)
    known = {age for one in groups for age in _years(one)}
    if not child:
        if not groups or any(age >= MAJORITY for age in known):
            return ""
        return (
            f"policy {worth.policy_id} was measured on people of {_named(known)} years alone: its"
            " figures do not hold for adults. If a search finds nothing, that says little."
        )
    missing = set(range(MAJORITY)) - known
    if not worth.policy_id:
        return (
            f"no policy is in force, so it is not known how often children are found. {_FAR_LESS}"
        )
    if len(missing) == MAJORITY:
        return (
            f"policy {worth.policy_id} does not say that it was measured on children. {_FAR_LESS}"
        )
    if missing:
        return (
            f"policy {worth.policy_id} was measured on children, but on none of"
            f" {_named(missing)} years. Such children may be found far less often: if a"
            " search finds nothing, that says little."
        )
    return ""


def measured(worth: Worth) -> str:
    """Return how often children are missed, where a policy was measured on them."""
    rates = [
        f"{_named(set(_years(one)))}: {policy_figures.percent(one.fnir)}"
        f" {_BASES.get(one.basis, '')}"
        for one in worth.figures.age_figures
        if min(_years(one)) < MAJORITY
    ]
    return f"Children missed, by age, as measured: {'; '.join(rates)}." if rates else ""


def of_subjects(found: Iterable[subject_pb2.Subject], worth: Worth) -> list[str]:
    """Return warnings about subjects: a line about children, and one about adults."""
    children: list[str] = []
    adults: list[str] = []
    for each in found:
        if each.state == subject_pb2.Subject.STATE_CLOSED:
            continue
        names = children if _is_child(each) else adults
        names.append(each.label or each.case_reference or each.subject_id)
    lines = []
    for child, names in ((True, children), (False, adults)):
        if names and (caveat := of_ages(worth, child=child)):
            as_what = "as a child (under 18)" if child else "as an adult"
            if len(names) > 1:
                as_what = "as children (under 18)" if child else "as adults"
            lines.append(
                f"WARNING: enrolled {as_what}: {some_of(names)}. {caveat[0].upper()}{caveat[1:]}"
            )
        elif child and names and (rates := measured(worth)):
            lines.append(rates)
    return lines


def of_scope(
    known: Mapping[str, subject_pb2.Subject], subject_ids: Sequence[str], worth: Worth
) -> list[str]:
    """Return warnings about a search for some subjects, or for all when none is named."""
    wanted = set(subject_ids)
    return of_subjects(
        (one for one in known.values() if not wanted or one.subject_id in wanted), worth
    )


def beside(
    scored: Iterable[policy_figures.ScoredMatch], known: Mapping[str, subject_pb2.Subject]
) -> list[str]:
    """Return warnings about candidates, by the policies that they were found by.

    Args:
        scored: Candidates or sightings.
        known: Subjects by id; other subjects get no warning.
    """
    by_policy: dict[str, tuple[Worth, dict[str, subject_pb2.Subject]]] = {}
    for one in scored:
        worth = Worth(one.policy_id, one.figures)
        _, found = by_policy.setdefault(one.policy_id, (worth, {}))
        if one.subject_id in known:
            found[one.subject_id] = known[one.subject_id]
    return [
        line for worth, found in by_policy.values() for line in of_subjects(found.values(), worth)
    ]


def subjects(session: Session) -> dict[str, subject_pb2.Subject]:
    """Return all subjects by id; if they cannot be read, print why and return none."""
    stub = SubjectServiceStub(session.connections.channel("matching"))
    try:
        found = all_pages(
            stub.ListSubjects,
            subject_service_pb2.ListSubjectsRequest(show_closed=True),
            lambda page: page.subjects,
        )
    except CliError as error:
        tell(error, about="names are left out, and who is a child")
        return {}
    return {each.subject_id: each for each in found}


def subjects_of(
    session: Session, scored: Iterable[policy_figures.ScoredMatch]
) -> dict[str, subject_pb2.Subject]:
    """Return the subjects of candidates by id; a few subjects are read one by one."""
    wanted = {one.subject_id for one in scored}
    if len(wanted) > _FEW:
        return {name: one for name, one in subjects(session).items() if name in wanted}
    stub = SubjectServiceStub(session.connections.channel("matching"))
    found = {}
    for name in sorted(wanted):
        try:
            request = subject_service_pb2.GetSubjectRequest(subject_id=name)
            found[name] = stub.GetSubject(request).subject
        except CliError as error:
            if error.exit_code is not ExitCode.NOT_FOUND:  # erased meanwhile
                tell(error, about="who is a child is left out")
                break
    return found


def mark(subject: subject_pb2.Subject | None, one: policy_figures.ScoredMatch) -> str:
    """Return a mark for a candidate for whom the error rates do not hold, or nothing."""
    if subject is None:
        return ""
    child = _is_child(subject)
    if not of_ages(Worth(one.policy_id, one.figures), child=child):
        return ""
    return "child" if child else "adult"


def _is_child(subject: subject_pb2.Subject) -> bool:
    return subject.age_group == subject_pb2.AGE_GROUP_CHILD


def _years(one: AgeFigures) -> range:
    oldest = one.ages.oldest_years if one.ages.HasField("oldest_years") else _OLDEST
    return range(one.ages.youngest_years, max(oldest, one.ages.youngest_years) + 1)


def _named(ages: set[int]) -> str:
    """Return ages to read, such as `0 to 5 and 13 to 17`."""
    spans: list[list[int]] = []
    for age in sorted(ages):
        if spans and spans[-1][1] == age - 1:
            spans[-1][1] = age
        else:
            spans.append([age, age])
    return " and ".join(_span(*span) for span in spans)


def _span(first: int, last: int) -> str:
    if last >= _OLDEST:
        return f"{first} and older"
    return f"{first}" if first == last else f"{first} to {last}"
