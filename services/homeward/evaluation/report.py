"""What an evaluation found: as values, which become JSON, a page and a policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from homeward.core.policy import Cohort, Rate


@dataclass(frozen=True, slots=True)
class Series:
    """A rate over thresholds, ranks or sizes, with its 95 % interval."""

    at: tuple[float, ...]
    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    trials: int
    people: int


@dataclass(frozen=True, slots=True)
class Identification:
    """Open-set and closed-set rates of a gallery of one size."""

    gallery_size: int
    fpir: Series
    fnir: Series
    cmc: Series
    fpir_at_threshold: Rate
    fnir_at_threshold: Rate
    fpir_foretold: float
    """From the gallery size that the threshold was chosen for, see `policy.fpir_at`."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Verification: two photographs at a time."""

    genuine_mean: float
    genuine_deviation: float
    genuine_count: int
    impostor_mean: float
    impostor_deviation: float
    impostor_count: int
    edges: tuple[float, ...]
    """Of the histograms' bins."""
    genuine_density: tuple[float, ...]
    impostor_density: tuple[float, ...]
    fold_accuracy: float
    fold_accuracy_error: float
    """Standard error of the mean over ten folds."""
    at_fmr: tuple[tuple[float, float, Rate], ...]
    """False match rate, the threshold that has it, and the false non-match rate there."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """A way to make photographs worse."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Condition:
    """Photographs made worse in one way, searched against good ones."""

    degradation: Degradation
    no_face: Rate
    """Failure to acquire."""
    fnmr: Rate
    """False non-matches at the threshold, failures to acquire included."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What enrolment makes of the photographs."""

    photographs: int
    no_face: Rate
    refused: Rate
    """Photographs that enrolment refuses, for any reason."""
    reasons: tuple[tuple[str, int], ...]
    people_without: int
    """People none of whose photographs can be enrolled: failures to enrol."""
    fnmr_of_accepted: Rate | None
    fnmr_of_refused: Rate | None
    """Good photographs against accepted and against refused ones, as references, at the
    threshold."""


@dataclass(frozen=True, slots=True)
class FootageCurve:
    """Appearances scored in one way."""

    scored: str
    fpir: Series
    fnir: Series
    threshold: float
    """The least that keeps the FPIR that was asked for."""
    fpir_there: Rate
    fnir_there: Rate


@dataclass(frozen=True, slots=True)
class HeadBand:
    """Enrolled people in view with heads of some size."""

    least_px: float
    most_px: float
    fnir: tuple[tuple[str, Rate], ...]
    """For each way to score, at its own threshold."""


@dataclass(frozen=True, slots=True)
class FootageReport:
    """Appearances in labelled recordings, searched as scans search them."""

    recordings: int
    gallery_size: int
    """People, in the smallest gallery that a recording was searched for."""
    enrolled_appearances: int
    strangers_appearances: int
    curves: tuple[FootageCurve, ...]
    bands: tuple[HeadBand, ...]
    fpir_at_threshold: Rate
    fnir_at_threshold: Rate
    """As scanned, at the threshold of the policy."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Two photographs whose labels a human should look at."""

    first: str
    second: str
    score: float


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    model_name: str
    model_digest: str
    runtimes: tuple[str, str]
    dataset: str
    dataset_digest: str
    identities: int
    photographs: int
    left_out: tuple[str, ...]
    seed: int
    draws: int
    make_time: datetime
    fpir_asked: float
    gallery_size: int
    threshold: float
    threshold_from: str
    """`footage` or `photographs`: what the threshold was chosen on."""
    enrolment: Enrolment
    pairs: Pairs
    identification: tuple[Identification, ...]
    conditions: tuple[Condition, ...]
    cohorts: tuple[tuple[str, tuple[Cohort, ...]], ...]
    suspects: tuple[Suspect, ...]
    """Under two names, and very alike."""
    doubtful: tuple[Suspect, ...]
    """Under one name, and unlike."""
    footage: FootageReport | None

    @property
    def chosen(self) -> Identification:
        """The gallery for which the rates of the photographs are told."""
        return next(one for one in self.identification if one.gallery_size == self.gallery_size)
