"""The linear ranker: readable weights times features in [0, 1]. Exactly one `RankerVersion` is active.

Every score can be taken apart again: `explain_score` says what each feature contributed to it. What a cosine means, by
the curve of the model that answers, is read here as well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypedDict

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from ml.inference.arrays import Vectors
from ml.inference.calibration.calibration import Calibration as Curve
from ml.inference.calibration.calibration import CalibrationError, QueryScale
from recommender.index import Candidates
from recommender.models import Calibration, RankerVersion
from recommender.ranker_weights import DEFAULT_WEIGHTS, WeightsInvalid, check_weights

from .features import Floats, RankingQuery, describe_features

logger = logging.getLogger(__name__)

BUILT_IN = "built-in"
REREAD_SECONDS = 0.2
REREAD_CURVE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ranker:
    name: str
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Ranking:
    """`order` int64[n] lists candidates best first; `score` and `contributions` are in candidate order.

    Contributions float64[n] by feature sum to `score` float64[n], which lies in [0, 1].
    """

    order: NDArray[np.int64]
    score: Floats
    weights: Mapping[str, float]
    contributions: Mapping[str, Floats]


class Reason(TypedDict):
    value: float
    weight: float
    contribution: float
    text: str


def active_ranker() -> Ranker:
    """The active row's ranker, read every REREAD_SECONDS at most: answers need not wait for it.

    The built-in weights where there is no such row, or none that can order anything.
    """
    return read_active_ranker(period=time.monotonic() // REREAD_SECONDS)


@lru_cache(maxsize=1)
def read_active_ranker(period: float) -> Ranker:
    """The ranker in the database. The cache keeps it for one period, which is a whole number that grows."""
    row = RankerVersion.objects.filter(state=RankerVersion.State.ACTIVE).values_list("name", "weights").first()
    if row is None:
        return Ranker(BUILT_IN, DEFAULT_WEIGHTS)
    name, weights = row
    try:
        return Ranker(name, check_weights(weights))
    except WeightsInvalid as exc:
        logger.error("ranker %s cannot be used, answers are ordered by the built-in weights: %s", name, exc)
        return Ranker(BUILT_IN, DEFAULT_WEIGHTS)


def scale_query(model_id: int, vectors: Vectors) -> QueryScale | None:
    """What cosines to a query's photos mean, float32[m, dim] by this model; None where the model is not calibrated."""
    curve = read_curve(model_id, period=time.monotonic() // REREAD_CURVE_SECONDS)
    try:
        return None if curve is None else curve.scale_query(vectors)
    except CalibrationError as exc:
        logger.error("Model %s answers without probabilities. %s", model_id, exc)
        return None


@lru_cache(maxsize=4)
def read_curve(model_id: int, period: float) -> Curve | None:
    """A model's curve in the database, kept for one period as the ranker is."""
    data = Calibration.objects.filter(model=model_id).values_list("data", flat=True).first()
    try:
        return None if data is None else Curve.from_bytes(bytes(data))
    except CalibrationError as exc:
        logger.error("Model %s answers without probabilities: run `models calibrate`. %s", model_id, exc)
        return None


def activate_ranker(ranker: RankerVersion) -> None:
    """Order every answer from a moment on by this ranker. Raises WeightsInvalid."""
    check_weights(ranker.weights)
    state = RankerVersion.State
    with transaction.atomic():
        RankerVersion.objects.filter(state=state.ACTIVE).exclude(pk=ranker.pk).update(state=state.RETIRED)
        RankerVersion.objects.filter(pk=ranker.pk).update(state=state.ACTIVE)


def compute_ranking(
    features: Mapping[str, Floats], weights: Mapping[str, float], listings: NDArray[np.integer]
) -> Ranking:
    """Weighted mean of the features, with weights that `check_weights` passed; listing ids order equal scores."""
    total = sum(weights.values())
    contributions = {name: weight / total * features[name] for name, weight in weights.items()}
    score = np.sum(list(contributions.values()), axis=0)
    # The last key of lexsort counts first, so ids decide only between equal scores.
    return Ranking(np.lexsort((listings, -score)), score, weights, contributions)


def explain_score(
    place: int,
    candidates: Candidates,
    query: RankingQuery,
    paths: Mapping[int, str],
    features: Mapping[str, Floats],
    ranking: Ranking,
) -> dict[str, Reason]:
    """The reasons of the candidate at one place of the arrays; their contributions sum to its score."""
    texts = describe_features(place, candidates, query, paths)
    return {
        name: Reason(
            value=float(features[name][place]),
            weight=weight,
            contribution=float(ranking.contributions[name][place]),
            text=texts[name],
        )
        for name, weight in ranking.weights.items()
    }
