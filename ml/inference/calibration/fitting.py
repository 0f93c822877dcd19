"""Fits a model's calibration: from vectors of photos that are known to show the same kind of thing, or others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ml.errors import MlError
from ml.inference.arrays import Vectors

from .calibration import Basis, Calibration, Floats, compute_logistic

Ints = npt.NDArray[np.int64]

MOST_PHOTOS = 4_000
MOST_PAIRS = 20_000  # of the same kind, and as many of others
LEAST_PAIRS = 100
PROTOTYPES = 8  # of each kind of blank picture
ROUNDS, LEAST_STEP = 100, 1e-8
LEAST_GAIN = 0.01  # nats below a coin's cross-entropy; what says less tells nothing apart
BINS = 15  # of the expected calibration error (Guo et al., ICML 2017)


class NotFitted(MlError):
    """No curve can be fitted on these photos; others may do."""


class TooFewPairs(NotFitted):
    """There are too few photos of one kind, or all are of one kind."""


class TellsNothingApart(NotFitted):
    """What is said to be the same kind looks no more alike than what is not."""


@dataclass(frozen=True)
class LabelledVectors:
    """N photos by one model: float32[N, dim] of length 1, what each shows, and whose pictures it is among.

    Photos of one group are never paired: what one person photographs looks alike whatever it is. Where no photo has
    a group, each is its own.
    """

    vectors: Vectors
    labels: Sequence[str]
    groups: Sequence[str] = ()


@dataclass(frozen=True)
class Pairs:
    """M pairs of photos: places int64[M] of the first and the second, and bool[M], whether they show the same."""

    first: Ints
    second: Ints
    same: npt.NDArray[np.bool_]


def draw_pairs(labels: Sequence[str], groups: Sequence[str] = (), *, seed: int = 1, most: int = MOST_PAIRS) -> Pairs:
    """Draw as many pairs of the same label as of different ones, at most `most` of each, none within a group.

    Of more than 4,000 photos so many are drawn first, because all their pairs are looked at.
    """
    rng = np.random.default_rng(seed)
    _, kinds = np.unique(np.asarray(labels, str), return_inverse=True)
    _, owners = np.unique(np.asarray(groups, str), return_inverse=True) if groups else (None, np.arange(len(kinds)))
    drawn = np.sort(rng.permutation(len(kinds))[:MOST_PHOTOS])
    first, second = (drawn[places] for places in np.triu_indices(len(drawn), 1))
    apart = owners[first] != owners[second]
    same = kinds[first] == kinds[second]
    of_same, of_others = np.flatnonzero(apart & same), np.flatnonzero(apart & ~same)
    count = min(most, len(of_same), len(of_others))
    chosen = np.concatenate([rng.choice(which, count, replace=False) for which in (of_same, of_others)])
    return Pairs(first[chosen], second[chosen], same[chosen])


def fit_curve(scores: Floats, same: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the likeliest logistic curve: probability of `same` by float64[M] `scores`.

    Newton's method from a curve that says nothing, with steps halved until they help (Lin, Lin & Weng, Machine Learning
    68, 2007). Targets are a little less than certain, as in Platt 1999, so that any scores give a finite curve.

    Raises:
        TellsNothingApart: the curve does not rise, or says hardly more than that half of the pairs are the same.
    """
    certain = np.array([1 / (2 + (~same).sum()), 1 - 1 / (2 + same.sum())])
    targets, rows = certain[same.astype(int)], np.stack([scores, np.ones(len(scores))])
    curve = np.zeros(2)
    loss = _measure_loss(curve, rows, targets)
    for _ in range(ROUNDS):
        found = compute_logistic(curve @ rows)
        curvature = (rows * (found * (1 - found))) @ rows.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, rows @ (targets - found))
        while (better := _measure_loss(curve + step, rows, targets)) > loss and np.abs(step).max() > LEAST_STEP:
            step /= 2
        if np.abs(step).max() <= LEAST_STEP:
            break
        curve, loss = curve + step, better
    if curve[0] <= 0 or loss > np.log(2) - LEAST_GAIN:
        raise TellsNothingApart(
            "Under this model, photos of one kind are no more alike than photos of different kinds."
        )
    return float(curve[0]), float(curve[1])


def _measure_loss(curve: Floats, rows: Floats, targets: Floats) -> float:
    """Mean cross-entropy, in nats, of a curve float64[2] on rows float64[2, M]."""
    odds = curve @ rows
    return float((np.logaddexp(0, odds) - targets * odds).mean())


def measure_calibration_error(probabilities: Floats, same: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of what is said from what is true, over bins of equal width."""
    places = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    said = np.bincount(places, probabilities, minlength=BINS)
    true = np.bincount(places, same, minlength=BINS)
    return float(np.abs(said - true).sum() / counts.sum())


def fit_calibration(
    photos: LabelledVectors, references: Vectors, blanks: Sequence[Vectors], basis: Basis
) -> Calibration:
    """Fit a curve on pairs of `photos`; `references` are float32[R, dim], photos of all sorts, theirs among them.

    `blanks` are float32[n, dim] of each kind of picture that shows nothing. The error is that of a curve fitted on one
    half of the groups, on pairs of the other.

    Raises:
        TooFewPairs: fewer than 100 pairs of one kind, or of different kinds, can be drawn.
        TellsNothingApart: see `fit_curve`.
    """
    prototypes, limit = learn_blanks(blanks, np.concatenate([photos.vectors, references]))
    without = Calibration(1.0, 0.0, references, prototypes, limit, basis, pairs=0, error=0.0)
    pairs = draw_pairs(photos.labels, photos.groups)
    if len(pairs.same) < 2 * LEAST_PAIRS:
        raise TooFewPairs(
            f"Of {len(photos.labels)} photos only {len(pairs.same) // 2} pairs by different people show the same kind "
            f"of thing, or as few do not; {LEAST_PAIRS} of both are needed."
        )
    scores = score_pairs(without, photos.vectors, pairs)
    slope, offset = fit_curve(scores, np.tile(pairs.same, 2))
    return replace(
        without,
        slope=slope,
        offset=offset,
        pairs=len(pairs.same),
        error=_measure_error_on_others(without, photos),
    )


def score_pairs(calibration: Calibration, vectors: Vectors, pairs: Pairs) -> Floats:
    """float64[2 M]: deviations above the usual, of each pair with its first photo as the query, then its second."""
    cosines = (vectors[pairs.first] * vectors[pairs.second]).sum(axis=1, dtype=np.float64)
    means, deviations = calibration.measure_usual_cosines(vectors)
    return np.concatenate([(cosines - means[which]) / deviations[which] for which in (pairs.first, pairs.second)])


def learn_blanks(blanks: Sequence[Vectors], real: Vectors) -> tuple[Vectors, float]:
    """Prototypes float32[B, dim] of kinds of blank pictures, and the cosine to the nearest that tells them from others.

    A third of the pictures of each kind is kept to find the limit by: half-way between those that are farthest from a
    prototype and the `real` photos, float32[N, dim], that are nearest to one. Where these overlap, photos keep the
    benefit of the doubt.
    """
    from sklearn.cluster import KMeans

    parts = []
    for each in blanks:
        learned = each[len(each) // 3 :]
        found = KMeans(min(PROTOTYPES, len(learned)), n_init=3, random_state=0).fit(learned).cluster_centers_
        parts.append(found / np.linalg.norm(found, axis=1, keepdims=True))
    prototypes = np.concatenate(parts).astype(np.float32)
    kept = np.concatenate([each[: len(each) // 3] for each in blanks])
    farthest_blank = float((kept @ prototypes.T).max(axis=1).min())
    nearest_photo = float(np.quantile((real @ prototypes.T).max(axis=1), 0.999))
    return prototypes, max((farthest_blank + nearest_photo) / 2, nearest_photo)


def _measure_error_on_others(without: Calibration, photos: LabelledVectors) -> float | None:
    """The calibration error on pairs of one half of the groups, by a curve that was fitted on the other half.

    None where a half has too few pairs to fit or to judge by.
    """
    groups = np.asarray(photos.groups or np.arange(len(photos.labels)), str)
    names = np.unique(groups)
    fitted_on = set(np.random.default_rng(1).permutation(names)[: len(names) // 2].tolist())
    half = np.array([group in fitted_on for group in groups])
    judged = []
    for part in (half, ~half):
        labels = [label for label, is_in in zip(photos.labels, part, strict=True) if is_in]
        pairs = draw_pairs(labels, groups[part].tolist())
        if len(pairs.same) < 2 * LEAST_PAIRS:
            return None
        judged.append((score_pairs(without, photos.vectors[part], pairs), np.tile(pairs.same, 2)))
    try:
        slope, offset = fit_curve(*judged[0])
    except TellsNothingApart:
        return None
    scores, same = judged[1]
    return measure_calibration_error(compute_logistic(slope * scores + offset), same)
