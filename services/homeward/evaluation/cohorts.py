"""Error rates of groups of people, as ISO/IEC 19795-10 asks for, and of children by age."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from homeward.cli.tables import aligned
from homeward.core.policy import LEAST_GROUP, Ages, Basis, Cohort, Rate
from homeward.evaluation import metrics
from homeward.evaluation.dataset import Dataset
from homeward.evaluation.footage import Search
from homeward.evaluation.metrics import Bootstrap, Photographs
from homeward.evaluation.results import share

AGE = "age"
"""The column of `cohorts.csv` that is told by age band."""

CHILDREN = Ages(0, 17)
AGE_BANDS = {
    "0 to 5": Ages(0, 5),
    "6 to 12": Ages(6, 12),
    "13 to 17": Ages(13, 17),
    "under 18": CHILDREN,
    "18 and older": Ages(18),
}
"""Each is told whether or not somebody is of it: that nobody is must be seen."""

LEAST_DRAWS = 20
"""Draws that a group is counted over: after so many, one person in a million was never enrolled."""

LEAST_OF_BAND = 5
"""People of each band of children without whom all children together stand for none of them: twenty
of seventeen years tell nothing of those of five."""

_WORDS = {"child": CHILDREN, "adult": Ages(18)}
_AGE = re.compile(r"(\d{1,3})(?:\.\d+)?(?:\s*(?:-|to)\s*(\d{1,3})|(\+))?")

Tables = tuple[tuple[str, tuple[Cohort, ...]], ...]
"""By attribute, the rates of its groups."""


@dataclass(frozen=True, slots=True)
class Group:
    """People who are alike in one attribute."""

    attribute: str
    name: str
    members: frozenset[str]
    """Identities."""
    ages: Ages | None = None


def ages_from(text: str) -> Ages | None:
    """Return the ages that a table's cell means: `7`, `6-12`, `18+`, `child`, `adult`.

    Returns:
        None when it is something else, which is then a group by its own name.
    """
    cell = text.strip().lower()
    if cell in _WORDS:
        return _WORDS[cell]
    found = _AGE.fullmatch(cell)
    if found is None:
        return None
    youngest, oldest, older = found.groups()
    if older:
        return Ages(int(youngest))
    end = int(oldest or youngest)
    return Ages(int(youngest), end) if end >= int(youngest) else None


def groups(dataset: Dataset) -> list[Group]:
    """Return the groups of a data set: those of its tables, and children by age band."""
    found: list[Group] = []
    for attribute, values in dataset.cohorts.items():
        known = {
            name: ages
            for name, text in values.items()
            if attribute.lower() == AGE and (ages := ages_from(text)) is not None
        }
        if known:
            found += [
                Group(
                    attribute,
                    title,
                    frozenset(name for name, ages in known.items() if band.holds(ages)),
                    band,
                )
                for title, band in AGE_BANDS.items()
            ]
        banded = {name for group in found if group.attribute == attribute for name in group.members}
        rest = {name: text for name, text in values.items() if name not in banded}
        found += [
            Group(attribute, value, frozenset(name for name in rest if rest[name] == value))
            for value in sorted(set(rest.values()))
        ]
    return found


def of_photographs(
    dataset: Dataset,
    photos: Photographs,
    *,
    gallery_size: int,
    threshold: float,
    how: Bootstrap,
) -> Tables:
    """Return the rates of each group, on photographs.

    Everybody is drawn as for the whole; the searches of each group are counted apart.
    """
    rng = np.random.default_rng([how.seed, gallery_size])  # the draws of the whole
    draws = [
        metrics.draw(photos, gallery_size=gallery_size, rng=rng)
        for _ in range(max(LEAST_DRAWS, how.draws // 10))
    ]
    others = np.concatenate([one.other_person for one in draws])
    mated = np.concatenate([one.mated_person for one in draws])
    false = np.concatenate([one.other_score >= threshold for one in draws])
    missed = np.concatenate([one.mated_score < threshold for one in draws])
    rows = []
    for group in groups(dataset):
        member = np.array([name in group.members for name in dataset.identities])
        stranger, own = member[others], member[mated]
        rows.append(
            Cohort(
                group.name,
                len(group.members),
                fpir=_rate(false[stranger], others[stranger], len(draws), how),
                fnir=_rate(missed[own], mated[own], len(draws), how),
                attribute=group.attribute,
                ages=group.ages,
                basis=Basis.PHOTOGRAPHS,
                fpir_identities=len(np.unique(others[stranger])),
                fnir_identities=len(np.unique(mated[own])),
            )
        )
    return _tables(rows)


def of_footage(
    dataset: Dataset, searches: Sequence[Search], *, threshold: float, how: Bootstrap
) -> Tables:
    """Return how often the people of each group are missed in footage.

    Truth files do not say who a stranger is, so that false positives cannot be told apart.
    """
    enrolled = [one for one in searches if one.identity]
    names = {name: number for number, name in enumerate({one.identity: None for one in enrolled})}
    person = np.array([names[one.identity] for one in enrolled], np.int64)
    missed = np.array([one.score < threshold for one in enrolled], bool)
    rows = []
    for group in groups(dataset):
        own = np.array([one.identity in group.members for one in enrolled], bool)
        rows.append(
            Cohort(
                group.name,
                len(group.members),
                fpir=None,
                fnir=_rate(missed[own], person[own], 1, how),
                attribute=group.attribute,
                ages=group.ages,
                basis=Basis.FOOTAGE,
                fnir_identities=len(np.unique(person[own])),
            )
        )
    return _tables(rows)


def _rate(
    errors: NDArray[np.bool_], people: NDArray[np.int64], draws: int, how: Bootstrap
) -> Rate | None:
    if not len(errors):
        return None
    rate = share(errors, people, how)
    searches = max(1, round(len(errors) / draws))  # in a draw: drawing again makes no new search
    return Rate(rate.value, rate.low, rate.high, searches)


def _tables(rows: Sequence[Cohort]) -> Tables:
    attributes = dict.fromkeys(row.attribute for row in rows)
    return tuple(
        (attribute, _of_whom([row for row in rows if row.attribute == attribute]))
        for attribute in attributes
    )


def _of_whom(rows: Sequence[Cohort]) -> tuple[Cohort, ...]:
    """Return the groups of an attribute; "under 18" only tells of ages that it has people of."""
    bands = [
        row.fnir_identities
        for row in rows
        if row.ages and CHILDREN.holds(row.ages) and row.ages != CHILDREN
    ]

    def checked(row: Cohort) -> Cohort:
        of_no_band = row.fnir_identities - sum(bands)  # of whom the table says `child` alone
        spread = min(bands, default=0) >= LEAST_OF_BAND
        return row if spread or of_no_band >= LEAST_GROUP else replace(row, ages=None)

    return tuple(checked(row) if row.ages == CHILDREN else row for row in rows)


def remark(row: Cohort) -> str:
    """Return what keeps a group's rate from being relied on, or nothing."""
    if not row.fnir_identities:
        return "nobody searched for: nothing is known of them"
    if row.fnir_identities < LEAST_GROUP:
        return f"too few people to tell ({LEAST_GROUP} are needed)"
    return ""


def lines(tables: Tables) -> list[str]:
    """Return the tables to read."""
    if not tables:
        sentence = (
            "groups of people: the data set has no cohorts.csv, so nothing is known of any, and"
            " the policy does not say that it was measured on children"
        )
        return [sentence]
    parts: list[str] = []
    for attribute, rows in tables:
        parts.append(f"groups by {attribute}, on {rows[0].basis}:")
        cells = [[attribute, "people", "FNIR", "of people", "FPIR", "of people", ""]]
        cells += [
            [
                row.name,
                str(row.identities),
                _percents(row.fnir),
                str(row.fnir_identities),
                _percents(row.fpir),
                str(row.fpir_identities),
                remark(row),
            ]
            for row in rows
        ]
        parts += aligned(cells)
    return parts


def _percents(rate: Rate | None) -> str:
    if rate is None:
        return "-"
    return f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}]"
