"""From scores to the results of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from homeward.core.policy import Rate, fpir_at
from homeward.evaluation import metrics
from homeward.evaluation.footage import Search
from homeward.evaluation.metrics import NOTHING, THRESHOLDS, Bootstrap, Curve, OpenSet, Photographs
from homeward.evaluation.photos import Sample, similarities
from homeward.evaluation.report import (
    Condition,
    Degradation,
    Enrolment,
    FootageCurve,
    FootageReport,
    HeadBand,
    Identification,
    Pairs,
    Series,
    Suspect,
)

FMRS = (1e-2, 1e-3, 1e-4)
SUSPECT = 0.6
"""Two photographs of different people that are more alike than this are shown to a human: most are
one person under two names."""

DOUBTFUL = 0.2
"""Two photographs of one person that are less alike than this are shown to a human: many are of two
people, or of somebody else in the picture."""

MOST_SUSPECTS = 100
HEAD_BANDS = (24, 32, 40, 48, 56, 64, 80, 120, 10_000)
"""Edges of head heights, pixels, that footage is told apart by."""

Scorer = Callable[[Search], float]
SCORERS: Mapping[str, Scorer] = {
    "as scanned": lambda search: search.score,
    "fused template alone": lambda search: search.fused,
    "best picture alone": lambda search: search.best_shot,
}


def series(curve: Curve) -> Series:
    """Return a curve as plain numbers."""

    def plain(values: NDArray[np.float64]) -> tuple[float, ...]:
        return tuple(np.round(values, 6).tolist())

    return Series(
        plain(curve.at),
        plain(curve.value),
        plain(curve.low),
        plain(curve.high),
        curve.trials,
        curve.people,
    )


def index_of(threshold: float) -> int:
    """Return which of `THRESHOLDS` is the nearest."""
    return int(np.argmin(np.abs(THRESHOLDS - threshold)))


def identification(
    measured: Sequence[OpenSet], *, threshold: float, chosen: OpenSet
) -> tuple[Identification, ...]:
    """Return the rates of each gallery size at a threshold."""
    index = index_of(threshold)
    base = float(chosen.fpir.value[index])
    return tuple(
        Identification(
            one.gallery_size,
            series(one.fpir),
            series(one.fnir),
            series(one.cmc),
            one.fpir.rate(index),
            one.fnir.rate(index),
            fpir_at(base, gallery_size=chosen.gallery_size, now=one.gallery_size),
        )
        for one in measured
    )


def pairs(photos: Photographs, how: Bootstrap) -> Pairs:
    """Return the results of verification."""
    compared = metrics.verification(photos)
    edges = np.round(np.arange(-0.4, 1.0001, 0.02), 2)
    accuracy, error = metrics.fold_accuracy(compared, photos, folds=10, seed=how.seed)

    def density(scores: NDArray[np.float64]) -> tuple[float, ...]:
        return tuple(np.round(np.histogram(scores, edges, density=True)[0], 6).tolist())

    rates = []
    for fmr in FMRS:
        threshold = metrics.threshold_at_fmr(compared.impostor, fmr)
        missed = compared.genuine < threshold
        rates.append((fmr, threshold, share(missed, compared.genuine_person, how)))
    return Pairs(
        genuine_mean=float(compared.genuine.mean()),
        genuine_deviation=float(compared.genuine.std()),
        genuine_count=len(compared.genuine),
        impostor_mean=float(compared.impostor.mean()),
        impostor_deviation=float(compared.impostor.std()),
        impostor_count=len(compared.impostor),
        edges=tuple(edges.tolist()),
        genuine_density=density(compared.genuine),
        impostor_density=density(compared.impostor),
        fold_accuracy=accuracy,
        fold_accuracy_error=error,
        at_fmr=tuple(rates),
    )


def share(errors: NDArray[np.bool_], person: NDArray[np.int64], how: Bootstrap) -> Rate:
    """Return the share of comparisons in error, with its interval over people; some are there."""

    def weighted(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray([weights[errors].sum() / max(weights.sum(), 1e-12)])

    return metrics.bootstrapped(weighted, np.zeros(1), person, how).rate(0)


def condition(
    degradation: Degradation,
    worse: Sequence[Sample],
    good: Sequence[Sample],
    *,
    threshold: float,
    how: Bootstrap,
) -> Condition:
    """Return how often photographs made worse do not match other photographs of the same person.

    Args:
        degradation: What was done to them.
        worse: The photographs made worse, in the order of `good`.
        good: As they were; refused ones are no references.
        threshold: Least cosine similarity of a match.
        how: Intervals are made.
    """
    number = {name: index for index, name in enumerate({one.identity: None for one in good})}
    whose = np.array([number[one.identity] for one in good])
    scores = similarities(worse, good)
    usable = np.array([not one.problems for one in good])
    same = (whose[:, None] == whose[None, :]) & usable[None, :] & usable[:, None]
    np.fill_diagonal(same, False)
    rows, _ = np.nonzero(same)
    without = np.array([one.template is None for one in worse])
    return Condition(
        degradation,
        no_face=share(without[usable], whose[usable], how),
        fnmr=share(scores[same] < threshold, whose[rows], how),
    )


def enrolment(samples: Sequence[Sample], *, threshold: float, how: Bootstrap) -> Enrolment:
    """Return what enrolment refuses, and whether it is right to."""
    number = {name: index for index, name in enumerate({one.identity: None for one in samples})}
    whose = np.array([number[one.identity] for one in samples])
    refused = np.array([bool(one.problems) for one in samples])
    no_face = np.array([one.template is None for one in samples])
    reasons = Counter(str(problem) for one in samples for problem in one.problems)
    scores = similarities(samples, samples)
    same = whose[:, None] == whose[None, :]
    np.fill_diagonal(same, False)

    def fnmr(references: NDArray[np.bool_]) -> Rate | None:
        chosen = same & references[None, :] & ~refused[:, None]
        rows, _ = np.nonzero(chosen)
        if not len(rows):
            return None
        return share(scores[chosen] < threshold, whose[rows], how)

    return Enrolment(
        photographs=len(samples),
        no_face=share(no_face, whose, how),
        refused=share(refused, whose, how),
        reasons=tuple(sorted(reasons.items())),
        people_without=len(number) - len(np.unique(whose[~refused])),
        fnmr_of_accepted=fnmr(~refused),
        fnmr_of_refused=fnmr(refused & ~no_face),
    )


def suspects(samples: Sequence[Sample], photos: Photographs) -> tuple[Suspect, ...]:
    """Return photographs of different people that are suspiciously alike, most alike first."""
    same = photos.identity[:, None] == photos.identity[None, :]
    found = _pairs_where(samples, photos, (photos.similarity > SUSPECT) & ~same)
    return tuple(sorted(found, key=lambda one: -one.score)[:MOST_SUSPECTS])


def doubtful(samples: Sequence[Sample], photos: Photographs) -> tuple[Suspect, ...]:
    """Return photographs of one person that are suspiciously unlike, least alike first."""
    same = photos.identity[:, None] == photos.identity[None, :]
    compared = photos.similarity > NOTHING
    found = _pairs_where(samples, photos, (photos.similarity < DOUBTFUL) & compared & same)
    return tuple(sorted(found, key=lambda one: one.score)[:MOST_SUSPECTS])


def _pairs_where(
    samples: Sequence[Sample], photos: Photographs, chosen: NDArray[np.bool_]
) -> list[Suspect]:
    return [
        Suspect(
            f"{samples[a].identity}/{samples[a].name}",
            f"{samples[b].identity}/{samples[b].name}",
            round(float(photos.similarity[a, b]), 4),
        )
        for a, b in np.argwhere(np.triu(chosen, 1)).tolist()
    ]


def footage_report(
    searches: Sequence[Search],
    *,
    recordings: int,
    gallery_size: int,
    fpir: float,
    threshold: float | None,
    how: Bootstrap,
) -> FootageReport:
    """Return what searches of recordings amount to.

    Args:
        searches: Of all recordings.
        recordings: How many there are.
        gallery_size: People in the smallest gallery.
        fpir: Rate to choose thresholds for.
        threshold: Of the policy; None for the one that is chosen here.
        how: Intervals are made.
    """
    enrolled = [one for one in searches if one.identity]
    strangers = [one for one in searches if not one.identity]
    curves = tuple(
        _footage_curve(name, scorer, enrolled, strangers, fpir=fpir, how=how)
        for name, scorer in SCORERS.items()
    )
    chosen = curves[0].threshold if threshold is None else threshold
    whose = _numbers([one.identity for one in enrolled])

    def missed(rows: NDArray[np.int64], curve: FootageCurve, scorer: Scorer) -> Rate:
        scores = np.array([scorer(enrolled[row]) for row in rows])
        return share(scores < curve.threshold, whose[rows], how)

    bands = []
    heads = np.array([one.head_px for one in enrolled])
    for least, most in pairwise(HEAD_BANDS):
        rows = np.flatnonzero((heads >= least) & (heads < most))
        if len(rows):
            rates = tuple(
                (curve.scored, missed(rows, curve, SCORERS[curve.scored])) for curve in curves
            )
            bands.append(HeadBand(least, most, rates))
    at = index_of(chosen)
    mated, others = _rates(SCORERS["as scanned"], enrolled, strangers, how)
    return FootageReport(
        recordings=recordings,
        gallery_size=gallery_size,
        enrolled_appearances=len(enrolled),
        strangers_appearances=len(strangers),
        curves=curves,
        bands=tuple(bands),
        fpir_at_threshold=others.rate(at),
        fnir_at_threshold=mated.rate(at),
    )


def _footage_curve(
    name: str,
    scorer: Scorer,
    enrolled: Sequence[Search],
    strangers: Sequence[Search],
    *,
    fpir: float,
    how: Bootstrap,
) -> FootageCurve:
    fnir, false = _rates(scorer, enrolled, strangers, how)
    fit = np.flatnonzero(false.value <= fpir)
    at = int(fit[0]) if len(fit) else len(THRESHOLDS) - 1
    return FootageCurve(
        name, series(false), series(fnir), float(THRESHOLDS[at]), false.rate(at), fnir.rate(at)
    )


def _rates(
    scorer: Scorer,
    enrolled: Sequence[Search],
    strangers: Sequence[Search],
    how: Bootstrap,
) -> tuple[Curve, Curve]:
    """Return FNIR and FPIR over thresholds; strangers are drawn again by recording and appearance.

    Who a stranger was is not known, so each appearance of one counts as a person of its own.
    """
    mated = np.array([scorer(one) for one in enrolled])
    others = np.array([scorer(one) for one in strangers])
    whose = _numbers([one.identity for one in enrolled])
    each = np.arange(len(others))

    def curve(scores: NDArray[np.float64], person: NDArray[np.int64], *, above: bool) -> Curve:
        def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            shares = metrics.share_above(scores, THRESHOLDS, weights)
            return shares if above else 1 - shares

        return metrics.bootstrapped(measure, THRESHOLDS, person, how)

    return curve(mated, whose, above=False), curve(others, each, above=True)


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    number = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], np.int64)
