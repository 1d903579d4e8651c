from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from homeward.core.policy import (
    LEAST_GROUP,
    MOST_AGE_GROUPS,
    Ages,
    Basis,
    Cohort,
    Measurement,
    Rate,
    figures_of,
    measured_ages,
)
from homeward.evaluation import cohorts
from homeward.evaluation.dataset import Dataset, DatasetError, Photo, read_dataset
from homeward.evaluation.footage import Search
from homeward.evaluation.metrics import Bootstrap, Photographs

HOW = Bootstrap(draws=200, seed=1)
RATE = Rate(0.2, 0.1, 0.3, trials=50)


def dataset(ages: Mapping[str, str]) -> Dataset:
    photos = tuple(Photo(name, Path(name, f"{n}.png")) for name in ages for n in range(3))
    return Dataset(Path("people"), photos, {"age": ages})


def aged(*counts: tuple[str, int]) -> dict[str, str]:
    """Return so many people of each age."""
    texts = [text for text, count in counts for _ in range(count)]
    return {f"p{number:03}": text for number, text in enumerate(texts)}


def rows(
    drawn: Callable[..., Photographs], ages: Mapping[str, str], **scores: float
) -> dict[str, Cohort]:
    photos = drawn(len(ages), 3, **scores)
    ((attribute, found),) = cohorts.of_photographs(
        dataset(ages), photos, gallery_size=len(ages) // 2, threshold=0.4, how=HOW
    )
    assert attribute == "age"
    return {row.name: row for row in found}


@pytest.mark.parametrize(
    ("cell", "ages"),
    [
        ("7", Ages(7, 7)),
        ("7.9", Ages(7, 7)),
        (" 6-12 ", Ages(6, 12)),
        ("6 to 12", Ages(6, 12)),
        ("18+", Ages(18)),
        ("Child", Ages(0, 17)),
        ("adult", Ages(18)),
        ("young", None),
        ("12-6", None),
    ],
)
def test_ages_are_read_as_they_are_written(cell: str, ages: Ages | None) -> None:
    assert cohorts.ages_from(cell) == ages


def test_children_are_told_apart_by_age_band_at_its_edges(
    drawn: Callable[..., Photographs],
) -> None:
    found = rows(drawn, aged(*((str(age), 2) for age in (0, 5, 6, 12, 13, 17, 18, 60))))

    assert {name: row.identities for name, row in found.items()} == {
        "0 to 5": 4,
        "6 to 12": 4,
        "13 to 17": 4,
        "under 18": 12,
        "18 and older": 4,
    }


def test_a_band_without_anybody_is_told_all_the_same(drawn: Callable[..., Photographs]) -> None:
    found = rows(drawn, aged(("30", 30)))

    assert found["6 to 12"].identities == 0
    assert found["6 to 12"].fnir is None
    assert cohorts.remark(found["6 to 12"]).startswith("nobody searched for")


def test_rates_are_those_of_the_group_and_name_its_people(
    drawn: Callable[..., Photographs],
) -> None:
    ages = aged(("9", 30), ("40", 30))
    photos = drawn(60, 3)
    child = np.arange(180) < 90
    both = child[:, None] & child[None, :]
    same = photos.identity[:, None] == photos.identity[None, :]
    scores = np.where(both & same, 0.2, photos.similarity)  # no child is found
    ((_, found),) = cohorts.of_photographs(
        dataset(ages), replace(photos, similarity=scores), gallery_size=30, threshold=0.4, how=HOW
    )
    told = {row.name: row for row in found}

    children, adults = told["6 to 12"], told["18 and older"]
    assert children.fnir is not None
    assert adults.fnir is not None
    assert (children.fnir.value, children.fnir.high) == (1.0, 1.0)
    assert adults.fnir.value < 0.05
    assert (children.fnir_identities, children.fpir_identities) == (30, 30)
    # Two searches each of the half of thirty that are enrolled, in a draw; not in all draws.
    assert children.fnir.trials == pytest.approx(30, abs=4)


def test_a_group_is_too_small_below_twenty_people(drawn: Callable[..., Photographs]) -> None:
    found = rows(drawn, aged(("9", LEAST_GROUP - 1), ("40", LEAST_GROUP)))

    assert "too few people to tell (20 are needed)" in cohorts.remark(found["6 to 12"])
    assert cohorts.remark(found["18 and older"]) == ""


def measurement(*groups: Cohort) -> Measurement:
    return Measurement(
        gallery_size=50, fpir=RATE, fnir=RATE, dataset="", dataset_digest="", identities=60,
        photographs=120, seed=1, make_time=datetime(2026, 1, 1, tzinfo=UTC), limits="",
        cohorts=groups,
    )  # fmt: skip


def group(ages: Ages | None, people: int, basis: Basis = Basis.PHOTOGRAPHS) -> Cohort:
    return Cohort("", people, None, RATE, "age", ages, basis, 0, people)


def ages_of(found: Sequence[Cohort]) -> list[Ages]:
    return [one.ages for one in measured_ages(measurement(*found))]


def test_a_policy_was_measured_on_the_groups_that_are_large_enough() -> None:
    found = [group(Ages(6, 12), LEAST_GROUP - 1), group(Ages(13, 17), LEAST_GROUP), group(None, 99)]

    assert ages_of(found) == [Ages(13, 17)]
    told = figures_of(measurement(*found), approved=True, gallery_size=1).ages
    assert [(one.ages, one.identities) for one in told] == [(Ages(13, 17), LEAST_GROUP)]


def test_footage_counts_where_both_were_measured() -> None:
    both = [group(Ages(0, 17), 40, Basis.FOOTAGE), group(Ages(0, 17), 90)]

    (told,) = measured_ages(measurement(*both))
    assert (told.basis, told.identities) == (Basis.FOOTAGE, 40)


def test_a_policy_of_too_many_ages_is_refused() -> None:
    many = [group(Ages(age, age), LEAST_GROUP) for age in range(MOST_AGE_GROUPS + 1)]

    assert len(measured_ages(measurement(*many[:-1]))) == MOST_AGE_GROUPS
    with pytest.raises(ValueError, match="more than 20 groups of age"):
        measurement(*many)


def test_a_policy_without_groups_was_measured_on_no_age() -> None:
    old = Cohort("18 to 30", 200, RATE, RATE)

    assert measured_ages(measurement(old)) == ()


@pytest.mark.parametrize(
    ("ages", "stands"),
    [
        ((("17", 40), ("30", 20)), False),  # nobody younger was measured
        ((("3", 4), ("8", 18), ("15", 18), ("30", 20)), False),
        ((("3", 5), ("8", 18), ("15", 18), ("30", 20)), True),
        ((("child", LEAST_GROUP), ("30", 20)), True),  # more is not known
        ((("child", LEAST_GROUP - 1), ("30", 20)), False),
    ],
)
def test_children_together_stand_for_all_only_when_every_band_has_some(
    drawn: Callable[..., Photographs], ages: Sequence[tuple[str, int]], *, stands: bool
) -> None:
    found = rows(drawn, aged(*ages)).values()

    assert (Ages(0, 17) in ages_of(list(found))) is stands


def test_people_in_footage_are_missed_by_group() -> None:
    ages = aged(("9", 25), ("40", 25))
    searches = [
        Search("a", name, 40.0, 0.3 if text == "9" else 0.6, 0.0, 0.0)
        for name, text in ages.items()
        for _ in range(2)
    ]
    stranger = Search("a", "", 40.0, 0.9, 0.0, 0.0)

    ((_, found),) = cohorts.of_footage(dataset(ages), [*searches, stranger], threshold=0.4, how=HOW)

    told = {row.name: row for row in found}
    children = told["6 to 12"]
    assert children.fnir is not None
    assert (children.fnir.value, children.fnir.trials, children.fnir_identities) == (1.0, 50, 25)
    assert (children.fpir, children.basis) == (None, Basis.FOOTAGE)
    adults = told["18 and older"].fnir
    assert adults is not None
    assert adults.value == 0


def test_tables_are_printed_with_intervals_people_and_remarks(
    drawn: Callable[..., Photographs],
) -> None:
    found = rows(drawn, aged(("9", 10), ("40", 30)))

    title, *table = cohorts.lines((("age", tuple(found.values())),))

    assert title == "groups by age, on photographs:"
    band = next(line for line in table if line.startswith("6 to 12"))
    assert "10" in band
    assert "too few people to tell (20 are needed)" in band
    assert "[" in band


def test_without_groups_it_is_said_that_nothing_is_known_of_children() -> None:
    (line,) = cohorts.lines(())

    assert "does not say that it was measured on children" in line


@pytest.mark.parametrize("cell", ["1990", "-3", "12-6", "131"])
def test_what_is_nobodys_age_is_refused_with_its_place(
    people: Callable[..., Path], cell: str
) -> None:
    folder = people(20)
    (folder / "cohorts.csv").write_text(f"identity,Age\np000,{cell}\n")

    with pytest.raises(DatasetError, match=r"line 2.*nobody's age in years, 0 to 130"):
        read_dataset(folder)


def test_the_oldest_age_is_taken(people: Callable[..., Path]) -> None:
    folder = people(20)
    (folder / "cohorts.csv").write_text("identity,age\np000,130\n")

    assert read_dataset(folder).cohorts == {"age": {"p000": "130"}}
