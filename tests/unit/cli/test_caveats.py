from __future__ import annotations

from typing import Any

import pytest

from homeward.api.common.v1.policy_pb2 import (
    MEASUREMENT_BASIS_PHOTOGRAPHS,
    AgeFigures,
    AgeRange,
    ErrorRate,
    PolicyFigures,
)
from homeward.api.matching.v1 import subject_pb2
from homeward.api.matching.v1.sighting_pb2 import Sighting
from homeward.cli import caveats
from homeward.cli.caveats import NOT_IN_FORCE, Worth

CHILD, ADULT = subject_pb2.AGE_GROUP_CHILD, subject_pb2.AGE_GROUP_ADULT
SAYS_LITTLE = "finds nothing, that says little"


def worth(*ages: tuple[int, int | None], policy_id: str = "p/1") -> Worth:
    """Return a policy that was measured on people of these ages."""
    told = [
        AgeFigures(
            ages=AgeRange(youngest_years=youngest, oldest_years=oldest),
            fnir=ErrorRate(value=0.3, low=0.2, high=0.4),
            identity_count=25,
            basis=MEASUREMENT_BASIS_PHOTOGRAPHS,
        )
        for youngest, oldest in ages
    ]
    return Worth(policy_id, PolicyFigures(age_figures=told))


def subject(label: str = "Anna", age: Any = CHILD, **told: Any) -> subject_pb2.Subject:
    return subject_pb2.Subject(
        subject_id=label.lower(), label=label, age_group=age, case_reference="MP-1", **told
    )


def test_a_child_is_warned_of_when_the_policy_does_not_say_whom_it_was_measured_on() -> None:
    (line,) = caveats.of_subjects([subject()], worth())

    assert line.startswith("WARNING: enrolled as a child (under 18): Anna. Policy p/1 does not say")
    assert "Children are found far less often than adults" in line
    assert SAYS_LITTLE in line


def test_a_policy_of_adults_alone_warns_of_a_child() -> None:
    (line,) = caveats.of_subjects([subject()], worth((18, None)))

    assert "does not say that it was measured on children" in line


@pytest.mark.parametrize(
    "ages", [[(0, 17)], [(0, 5), (6, 12), (13, 17), (18, None)], [(0, None)], [(0, 12), (10, 20)]]
)
def test_a_policy_that_was_measured_on_children_silences_the_warning(
    ages: list[tuple[int, int | None]],
) -> None:
    told = caveats.of_subjects([subject()], worth(*ages))

    assert not any("WARNING" in line for line in told)


def test_how_often_children_are_missed_is_told_where_it_was_measured() -> None:
    (line,) = caveats.of_subjects([subject()], worth((0, 5), (6, 17), (18, None)))

    assert line == (
        "Children missed, by age, as measured: 0 to 5: 30.0 % (20.0 to 40.0) in photographs;"
        " 6 to 17: 30.0 % (20.0 to 40.0) in photographs."
    )


@pytest.mark.parametrize(
    ("ages", "missing"),
    [([(13, 17)], "0 to 12"), ([(6, 12)], "0 to 5 and 13 to 17"), ([(0, 16)], "none of 17 years.")],
)
def test_a_policy_that_was_measured_on_some_children_names_the_other_ages(
    ages: list[tuple[int, int | None]], missing: str
) -> None:
    (line,) = caveats.of_subjects([subject()], worth(*ages))

    assert "was measured on children, but on none of" in line
    assert missing in line
    assert SAYS_LITTLE in line


def test_without_a_policy_in_force_a_child_is_warned_of() -> None:
    (line,) = caveats.of_subjects([subject()], NOT_IN_FORCE)

    assert "No policy is in force, so it is not known how often children are found." in line


def test_an_adult_is_warned_of_when_children_alone_were_measured() -> None:
    (line,) = caveats.of_subjects([subject(age=ADULT)], worth((0, 17)))

    assert line.startswith("WARNING: enrolled as an adult: Anna.")
    assert "was measured on people of 0 to 17 years alone" in line


@pytest.mark.parametrize("ages", [[], [(18, None)], [(13, 17), (18, None)], [(0, 18)]])
def test_of_an_adult_nothing_is_said_otherwise(ages: list[tuple[int, int | None]]) -> None:
    assert caveats.of_subjects([subject(age=ADULT)], worth(*ages)) == []


def test_several_children_share_a_sentence_that_names_five() -> None:
    names = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus"]
    (line,) = caveats.of_subjects([subject(name) for name in names], worth())

    assert "enrolled as children (under 18): Ada, Ben, Cleo, Dan, Eva and 2 more." in line


def test_of_a_closed_subject_nothing_is_said() -> None:
    closed = subject(state=subject_pb2.Subject.STATE_CLOSED)

    assert caveats.of_subjects([closed], worth()) == []


def test_a_candidate_is_told_by_the_policy_that_it_was_found_by() -> None:
    old = Sighting(subject_id="anna", policy_id="p/1")
    new = Sighting(subject_id="anna", policy_id="p/2", figures=worth((0, 17)).figures)
    known = {"anna": subject()}

    first, second = caveats.beside([old, new], known)

    assert "Policy p/1 does not say" in first
    assert second.startswith("Children missed")
    assert (caveats.mark(known["anna"], old), caveats.mark(known["anna"], new)) == ("child", "")


def test_of_a_candidate_of_nobody_known_nothing_is_said() -> None:
    gone = Sighting(subject_id="gone", policy_id="p/1")

    assert caveats.beside([gone], {}) == []
    assert caveats.mark(None, gone) == ""
