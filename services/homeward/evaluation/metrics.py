"""Error rates of identification and verification, with intervals; ISO/IEC 19795-1's terms.

All of it works on the similarities of photographs, never on pictures. People are drawn, not
photographs: whoever is enrolled in a draw has no photograph among the searches of strangers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homeward.core.policy import Rate

Scores = NDArray[np.float64]

NOTHING = -2.0
"""Score of what could not be compared: below every threshold."""

THRESHOLDS = np.round(np.arange(-0.2, 1.0001, 0.005), 3)
"""Cosine similarities that rates are told for."""

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Photographs:
    """Photographs that were compared with each other."""

    identity: NDArray[np.int64]
    """Whose each is, shape (n,)."""
    similarity: Scores
    """Cosine of each two, shape (n, n); `NOTHING` where one of them has no face."""
    enrollable: NDArray[np.bool_]
    """Whether each may be a reference, shape (n,)."""

    @property
    def people(self) -> int:
        """Number of people."""
        return int(self.identity.max()) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """The searches of one draw of people into enrolled ones and strangers."""

    mated_person: NDArray[np.int64]
    """Whose each search for an enrolled person is, shape (m,)."""
    mated_score: Scores
    """Similarity to their own reference, shape (m,)."""
    mated_rank: NDArray[np.int64]
    """Of their own reference among all, from 1, shape (m,)."""
    other_person: NDArray[np.int64]
    """Whose each search of a stranger is, shape (k,)."""
    other_score: Scores
    """The highest similarity to any reference, shape (k,)."""


def draw(photos: Photographs, *, gallery_size: int, rng: np.random.Generator) -> Draw:
    """Enrol one photograph each of some people at random, and search with all others.

    Searches are every photograph of the enrolled but the enrolled one, and every photograph of
    everybody else.

    Args:
        photos: Of all.
        gallery_size: People to enrol; fewer than have an enrollable photograph.
        rng: Makes the choices.
    """
    order = rng.permutation(len(photos.identity))
    order = order[photos.enrollable[order]]
    people, first = np.unique(photos.identity[order], return_index=True)
    if gallery_size >= len(people):
        raise ValueError("there would be nobody left who is not enrolled")
    enrolled = rng.permutation(len(people))[:gallery_size]
    gallery = order[first[enrolled]]
    owner = photos.identity[gallery]
    is_enrolled = np.isin(photos.identity, owner)
    mated = np.flatnonzero(is_enrolled & ~np.isin(np.arange(len(photos.identity)), gallery))
    other = np.flatnonzero(~is_enrolled)
    searched = photos.similarity[np.ix_(mated, gallery)]
    own = owner[None, :] == photos.identity[mated][:, None]
    own_score = np.where(own, searched, -np.inf).max(axis=1, initial=-np.inf)
    return Draw(
        mated_person=photos.identity[mated],
        mated_score=own_score,
        mated_rank=1 + (searched > own_score[:, None]).sum(axis=1),
        other_person=photos.identity[other],
        other_score=photos.similarity[np.ix_(other, gallery)].max(axis=1, initial=NOTHING),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A rate over thresholds or ranks, with its interval; shapes (t,)."""

    at: Scores
    value: Scores
    low: Scores
    high: Scores
    trials: int
    """Searches in a draw, on average."""
    people: int
    """Whose searches they are, on average."""

    def rate(self, index: int) -> Rate:
        """Return the rate at one of the thresholds."""
        return Rate(
            value=float(self.value[index]),
            low=float(self.low[index]),
            high=float(self.high[index]),
            trials=self.trials,
        )


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are made."""

    draws: int
    """How often people are drawn again."""
    seed: int
    """Makes it the same each time."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenSet:
    """Identification with a gallery of one size."""

    gallery_size: int
    fpir: Curve
    """Over `THRESHOLDS`."""
    fnir: Curve
    """Over `THRESHOLDS`."""
    cmc: Curve
    """Share of searches for an enrolled person that have them within a rank, over ranks."""


def open_set(photos: Photographs, how: Bootstrap, *, gallery_size: int, ranks: int = 20) -> OpenSet:
    """Measure identification with galleries of one size.

    Values are means over draws. Intervals are percentiles over as many draws in each of which the
    people are drawn again with replacement (a bootstrap over identities), so that they hold for
    other people and other galleries, not for other photographs of these.
    """
    rng = np.random.default_rng([how.seed, gallery_size])
    fpir, fnir, cmc = [], [], []
    sizes = np.zeros(4)
    for _ in range(how.draws):
        one = draw(photos, gallery_size=gallery_size, rng=rng)
        plain = (np.ones(len(one.other_score)), np.ones(len(one.mated_score)))
        again = (_resampled(one.other_person, rng), _resampled(one.mated_person, rng))
        fpir.append([share_above(one.other_score, THRESHOLDS, w) for w in (plain[0], again[0])])
        fnir.append([1 - share_above(one.mated_score, THRESHOLDS, w) for w in (plain[1], again[1])])
        cmc.append([_within_rank(one.mated_rank, ranks, w) for w in (plain[1], again[1])])
        sizes += [
            len(one.other_score),
            len(np.unique(one.other_person)),
            len(one.mated_score),
            len(np.unique(one.mated_person)),
        ]
    others, other_people, mated, mated_people = np.round(sizes / how.draws).astype(int).tolist()
    at_ranks = np.arange(1, ranks + 1, dtype=np.float64)
    return OpenSet(
        gallery_size,
        fpir=_curve(THRESHOLDS, np.array(fpir), others, other_people),
        fnir=_curve(THRESHOLDS, np.array(fnir), mated, mated_people),
        cmc=_curve(at_ranks, np.array(cmc), mated, mated_people),
    )


def share_above(scores: Scores, thresholds: Scores, weights: Scores) -> Scores:
    """Return which share of scores, shape (n,), is at or above each threshold, shape (t,)."""
    order = np.argsort(scores)
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    total = below[-1]
    if total == 0:
        return np.zeros(len(thresholds))
    return np.asarray(1 - below[np.searchsorted(scores[order], thresholds, "left")] / total)


def _within_rank(rank: NDArray[np.int64], ranks: int, weights: Scores) -> Scores:
    counts = np.bincount(np.minimum(rank, ranks + 1), weights=weights, minlength=ranks + 2)
    return np.asarray(np.cumsum(counts[1 : ranks + 1]) / max(weights.sum(), 1e-12))


def _resampled(person: NDArray[np.int64], rng: np.random.Generator) -> Scores:
    """Return how often each search counts when its people are drawn with replacement."""
    people, which = np.unique(person, return_inverse=True)
    if not len(people):
        return np.zeros(0)
    times = np.bincount(rng.integers(0, len(people), len(people)), minlength=len(people))
    return times[which].astype(np.float64)


def _curve(at: Scores, drawn: Scores, trials: int, people: int) -> Curve:
    """Return a curve of drawn values, shape (draws, 2, t): as they are, and drawn again."""
    value = drawn[:, 0].mean(axis=0)
    return Curve(at, value, *interval(value, drawn[:, 1], people), trials, people)


def interval(value: Scores, drawn: Scores, people: int) -> tuple[Scores, Scores]:
    """Return the 95 % intervals of rates, shape (t,), from rates drawn again, shape (draws, t).

    Where nobody was in error, or everybody, drawing again tells nothing: the rule of three does.
    """
    edge = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(drawn, [edge, 100 - edge], axis=0)
    most = at_most(people)
    low, high = np.where(low == 1, 1 - most, low), np.where(high == 0, most, high)
    return np.minimum(low, value), np.maximum(high, value)


def at_most(trials: int) -> float:
    """Return the greatest rate of which `trials` without an error are not surprising (95 %).

    1 - 0.05^(1/n), about 3/n: Hanley and Lippman-Hand, JAMA 249 (13), 1983.
    """
    return 1.0 if trials == 0 else 1 - (1 - CONFIDENCE) ** (1 / trials)


def bootstrapped(
    measure: Callable[[Scores], Scores], at: Scores, person: NDArray[np.int64], how: Bootstrap
) -> Curve:
    """Return rates of weighted searches with their intervals, over identities.

    Args:
        measure: Takes a weight for each search, shape (n,), and returns rates, shape (t,).
        at: What the rates are told for, shape (t,).
        person: Whose each search is, shape (n,).
        how: How often to draw people again.
    """
    value = measure(np.ones(len(person)))
    people = len(np.unique(person))
    drawn = redrawn(measure, person, how)
    return Curve(at, value, *interval(value, drawn, people), len(person), people)


def redrawn(
    measure: Callable[[Scores], Scores], person: NDArray[np.int64], how: Bootstrap
) -> Scores:
    """Return a measure of weighted searches, shape (draws, t), with the people drawn again."""
    rng = np.random.default_rng(how.seed)
    return np.array([measure(_resampled(person, rng)) for _ in range(how.draws)])


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """Comparisons of two photographs, one to one."""

    genuine: Scores
    """Scores of two photographs of one person, shape (g,)."""
    genuine_person: NDArray[np.int64]
    impostor: Scores
    """Scores of two photographs of two people, shape (i,)."""
    impostor_pairs: NDArray[np.int64]
    """Which photographs they are, shape (i, 2)."""


def verification(photos: Photographs) -> Verification:
    """Return all comparisons of two photographs that have a face each."""
    first, second = np.triu_indices(len(photos.identity), k=1)
    scores = photos.similarity[first, second]
    compared = scores > NOTHING
    first, second, scores = first[compared], second[compared], scores[compared]
    same = photos.identity[first] == photos.identity[second]
    return Verification(
        genuine=scores[same],
        genuine_person=photos.identity[first[same]],
        impostor=scores[~same],
        impostor_pairs=np.column_stack([first[~same], second[~same]]),
    )


def threshold_at_fmr(impostor: Scores, fmr: float) -> float:
    """Return the least threshold that at most this share of impostor scores reaches."""
    ordered = np.sort(impostor)[::-1]
    allowed = math.floor(fmr * len(ordered))
    return float(np.nextafter(ordered[allowed], 2.0)) if allowed < len(ordered) else -1.0


def fold_accuracy(
    pairs: Verification, photos: Photographs, *, folds: int, seed: int
) -> tuple[float, float]:
    """Return mean and standard error of the accuracy of verification over folds, in [0, 1].

    As LFW's protocol: people are dealt into folds; for each fold the threshold that is best on the
    others is used; it has as many impostor pairs as genuine ones. The pairs are not LFW's.
    """
    rng = np.random.default_rng([seed, folds])
    fold = rng.permutation(photos.people) % folds
    sides = photos.identity[pairs.impostor_pairs]
    impostor_fold = np.where(fold[sides[:, 0]] == fold[sides[:, 1]], fold[sides[:, 0]], -1)
    genuine_fold = fold[pairs.genuine_person]
    accuracy = []
    for number in range(folds):
        own = pairs.genuine[genuine_fold == number]
        others = rng.permutation(pairs.impostor[impostor_fold == number])[: len(own)]
        if not len(own) or not len(others):
            continue
        training = _best_threshold(
            pairs.genuine[genuine_fold != number],
            pairs.impostor[(impostor_fold != number) & (impostor_fold >= 0)],
        )
        accuracy.append(((own >= training).mean() + (others < training).mean()) / 2)
    return float(np.mean(accuracy)), float(np.std(accuracy) / math.sqrt(max(len(accuracy), 1)))


def _best_threshold(genuine: Scores, impostor: Scores) -> float:
    hits = share_above(genuine, THRESHOLDS, np.ones(len(genuine)))
    false = share_above(impostor, THRESHOLDS, np.ones(len(impostor)))
    return float(THRESHOLDS[np.argmax(hits - false)])


def operating_point(open_set: OpenSet, fpir: float) -> int:
    """Return the index of the least threshold whose FPIR is at most `fpir`."""
    fit = np.flatnonzero(open_set.fpir.value <= fpir)
    return int(fit[0]) if len(fit) else len(THRESHOLDS) - 1


def gallery_sizes(people: int) -> Sequence[int]:
    """Return sizes to measure with: halves, down from half of the people."""
    sizes: list[int] = []
    size = people // 2
    while size >= 10 and len(sizes) < 5:  # noqa: PLR2004 - smaller ones tell nothing more
        sizes.append(size)
        size //= 2
    return sizes[::-1]
