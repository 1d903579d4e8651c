"""The file of a threshold policy: an operating point, and the measurement that it rests on.

`homeward evaluate` writes it, people approve it, matching chooses candidates by it. JSON.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

FORMAT = 1
"""Of the file; another is refused."""

MOST_BYTES = 1_000_000
"""Of the file."""


LEAST_GROUP = 20
"""Fewer people than this tell nothing about the error rate of their group: where none of 20 is
missed, the rate may still be 14 % (the rule of three)."""


MOST_AGE_GROUPS = 20
"""Age groups that a policy tells of, as they travel with each candidate; an evaluation makes 5."""


class PolicyError(ValueError):
    """The file is no policy; says where it is wrong."""


@dataclass(frozen=True, slots=True)
class Rate:
    """An error rate with its 95 % interval, all in [0, 1]."""

    value: float
    low: float
    high: float
    trials: int
    """Searches that it was counted over."""

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.value <= self.high <= 1 and self.trials > 0):
            raise ValueError("not 0 <= low <= value <= high <= 1 over at least one search")


class Basis(StrEnum):
    """What a rate was counted on."""

    PHOTOGRAPHS = "photographs"
    FOOTAGE = "footage"


@dataclass(frozen=True, slots=True)
class Ages:
    """Ages in whole years, both ends included."""

    youngest: int
    oldest: int | None = None
    """None: however old."""

    def __post_init__(self) -> None:
        if self.youngest < 0 or (self.oldest is not None and self.oldest < self.youngest):
            raise ValueError("not 0 <= youngest <= oldest")

    def holds(self, other: Ages) -> bool:
        """Whether everybody of other ages is of these."""
        ends = self.oldest is None or (other.oldest is not None and other.oldest <= self.oldest)
        return self.youngest <= other.youngest and ends


@dataclass(frozen=True, slots=True)
class Cohort:
    """The rates of one group of people, in the sense of ISO/IEC 19795-10."""

    name: str
    identities: int
    fpir: Rate | None
    """None without a search of anybody of it who is not enrolled."""
    fnir: Rate | None
    """None without a search of anybody of it who is enrolled."""
    attribute: str = ""
    """By what the people were told apart, such as `age`."""
    ages: Ages | None = None
    """Theirs, where the group is one of age."""
    basis: Basis = Basis.PHOTOGRAPHS
    """What its rates were counted on."""
    fpir_identities: int = 0
    """People whose searches `fpir` was counted over."""
    fnir_identities: int = 0
    """People whose searches `fnir` was counted over."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured at a threshold, in the terms of ISO/IEC 19795-1."""

    gallery_size: int
    """Enrolled people that each search was compared with."""
    fpir: Rate
    """False positive identification rate: searches of people who are not enrolled that return
    anybody."""
    fnir: Rate
    """False negative identification rate: searches of people who are enrolled that do not return
    them."""
    dataset: str
    """What it was measured on, in words."""
    dataset_digest: str
    """SHA-256, hexadecimal, over the names and bytes of its files."""
    identities: int
    photographs: int
    seed: int
    make_time: datetime
    limits: str
    """How far the data are from what the policy is for, in plain words."""
    cohorts: tuple[Cohort, ...] = ()

    def __post_init__(self) -> None:
        if len(measured_ages(self)) > MOST_AGE_GROUPS:
            raise ValueError(f"more than {MOST_AGE_GROUPS} groups of age")


@dataclass(frozen=True, slots=True)
class AgeFigures:
    """How often people of some ages are missed, where enough of them were measured."""

    ages: Ages
    fnir: Rate
    identities: int
    """People whose searches it was counted over, at least `LEAST_GROUP`."""
    basis: Basis


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """What a threshold is worth for a search, as it travels with each candidate."""

    approved: bool
    gallery_size: int
    """Enrolled people that the search compares with."""
    expected_fpir: Rate
    """Of a gallery of that size."""
    fnir: Rate
    """As measured."""
    measured_gallery_size: int
    ages: tuple[AgeFigures, ...] = ()
    """The ages that the policy was measured on, youngest first; of others nothing is known."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """An operating point for one model pack."""

    policy_id: str
    """Name and version, such as `yunet-sface/1`."""
    model_name: str
    model_digest: str
    """Of the pack whose scores the threshold is for."""
    threshold: float
    """Least cosine similarity of a candidate, in [-1, 1]."""
    measurement: Measurement
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"of format {self.format}; this Homeward reads {FORMAT}")
        if not -1 <= self.threshold <= 1:
            raise ValueError("a threshold outside of [-1, 1]")


def read_policy(data: bytes) -> PolicyFile:
    """Read a policy file.

    Raises:
        PolicyError: It is none, or too long.
    """
    if len(data) > MOST_BYTES:
        raise PolicyError(f"it has {len(data)} bytes; a policy has {MOST_BYTES} at most")
    try:
        return msgspec.json.decode(data, type=PolicyFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"it is no policy file: {error}") from error


def write_policy(policy: PolicyFile) -> bytes:
    """Return the file of a policy."""
    return msgspec.json.format(msgspec.json.encode(policy), indent=2) + b"\n"


def fpir_at(measured: float, *, gallery_size: int, now: int) -> float:
    """Return the FPIR to expect of a gallery of another size, in [0, 1].

    1 - (1 - FPIR)^(now / gallery_size): each enrolled person is another chance of a false positive,
    independent of the others (Grother and Phillips, "Models of large population recognition
    performance", CVPR 2004). People who look alike make it grow more slowly than that.

    Args:
        measured: FPIR of a gallery of `gallery_size`, in [0, 1].
        gallery_size: People that it was measured with, at least 1.
        now: People that are enrolled now.
    """
    if measured >= 1:
        return 1.0 if now else 0.0
    return -math.expm1(now / gallery_size * math.log1p(-measured))


def figures_of(measured: Measurement, *, approved: bool, gallery_size: int) -> PolicyFigures:
    """Return what a measurement lets expect of a gallery.

    Args:
        measured: With a gallery of its own size.
        approved: Whether an approval is in force.
        gallery_size: Enrolled people that a search compares with, at least 0.
    """
    rate = measured.fpir
    low, value, high = (
        fpir_at(end, gallery_size=measured.gallery_size, now=gallery_size)
        for end in (rate.low, rate.value, rate.high)
    )
    return PolicyFigures(
        approved=approved,
        gallery_size=gallery_size,
        expected_fpir=Rate(value, low, high, rate.trials),
        fnir=measured.fnir,
        measured_gallery_size=measured.gallery_size,
        ages=measured_ages(measured),
    )


def measured_ages(measured: Measurement) -> tuple[AgeFigures, ...]:
    """Return the ages that a measurement tells of, youngest first.

    A group of fewer than `LEAST_GROUP` people tells of nobody. Where one was measured on footage
    and on photographs, footage counts, as it is what is searched.
    """
    found: dict[Ages, AgeFigures] = {}
    for one in sorted(measured.cohorts, key=lambda each: each.basis is Basis.FOOTAGE):
        if one.ages and one.fnir and one.fnir_identities >= LEAST_GROUP:
            found[one.ages] = AgeFigures(one.ages, one.fnir, one.fnir_identities, one.basis)
    return tuple(
        sorted(found.values(), key=lambda each: (each.ages.youngest, each.ages.oldest or math.inf))
    )
