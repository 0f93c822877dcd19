"""Fits a model's calibration: from vectors of photos that are known to show the same kind of thing, or others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ml.errors import MlError
from ml.inference.arrays import Vectors

from .calibration import Basis, Calibration, Floats

Ints = npt.NDArray[np.int64]

MOST_PHOTOS = 4_000
MOST_PAIRS = 20_000  # of the same kind, and as many of others
LEAST_PAIRS = 100
PROTOTYPES = 8  # of each kind of blank picture
ROUNDS = 100
BINS = 15  # of the expected calibration error (Guo et al., ICML 2017)


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
    """Slope and offset of the logistic curve of greatest likelihood: probability of `same` by float64[M] `scores`."""
    slope, offset = 1.0, -float(scores.mean())
    for _ in range(ROUNDS):  # Newton's method; the likelihood is concave
        found = 1 / (1 + np.exp(-np.clip(slope * scores + offset, -50, 50)))
        weight = np.maximum(found * (1 - found), 1e-9)
        error = same - found
        gradient = np.array([(error * scores).sum(), error.sum()])
        curvature = np.array(
            [[(weight * scores**2).sum(), (weight * scores).sum()], [(weight * scores).sum(), weight.sum()]]
        )
        step = np.linalg.solve(curvature + 1e-6 * np.eye(2), gradient)
        slope, offset = slope + step[0], offset + step[1]
        if np.abs(step).max() < 1e-9:
            break
    return float(slope), float(offset)


def measure_calibration_error(probabilities: Floats, same: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of what is said from what is true, over bins of equal width."""
    places = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    said = np.bincount(places, probabilities, minlength=BINS)
    true = np.bincount(places, same, minlength=BINS)
    return float(np.abs(said - true).sum() / counts.sum())


class TooFewPairs(MlError):
    """There are too few photos of one kind, or all are of one kind, to fit a curve on."""


def fit_calibration(
    photos: LabelledVectors, references: Vectors, blanks: Sequence[Vectors], basis: Basis
) -> Calibration:
    """Fit a curve on pairs of `photos`; `references` are float32[R, dim], photos of all sorts, theirs among them.

    `blanks` are float32[n, dim] of each kind of picture that shows nothing. The error is that of a curve fitted on one
    half of the groups, on pairs of the other.

    Raises:
        TooFewPairs: fewer than 100 pairs of one kind, or of different kinds, can be drawn.
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


def _measure_error_on_others(without: Calibration, photos: LabelledVectors) -> float:
    """The calibration error on pairs of one half of the groups, by a curve that was fitted on the other half."""
    groups = np.asarray(photos.groups or np.arange(len(photos.labels)), str)
    names = np.unique(groups)
    fitted_on = set(np.random.default_rng(1).permutation(names)[: len(names) // 2].tolist())
    half = np.array([group in fitted_on for group in groups])
    curve: tuple[float, float] | None = None
    error = 0.0
    for part in (half, ~half):
        labels = [label for label, is_in in zip(photos.labels, part, strict=True) if is_in]
        pairs = draw_pairs(labels, groups[part].tolist())
        if not len(pairs.same):
            return error
        scores, same = score_pairs(without, photos.vectors[part], pairs), np.tile(pairs.same, 2)
        if curve is None:
            curve = fit_curve(scores, same)
        else:
            error = measure_calibration_error(1 / (1 + np.exp(-(curve[0] * scores + curve[1]))), same)
    return error
