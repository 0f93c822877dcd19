"""The linear ranker: readable weights times features in [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.ranker_weights import check_weights

from .features import Floats


@dataclass(frozen=True, slots=True)
class Ranking:
    """`order` int64[n] lists candidates best first; `score` and `contributions` are in candidate order.

    Contributions float64[n] by feature sum to `score` float64[n], which lies in [0, 1].
    """

    order: NDArray[np.int64]
    score: Floats
    weights: Mapping[str, float]
    contributions: Mapping[str, Floats]


def rank(features: Mapping[str, Floats], weights: Mapping[str, float], listings: NDArray[np.integer]) -> Ranking:
    """Weighted mean of the features; equal scores are ordered by listing id.

    Raises WeightsInvalid.
    """
    checked = check_weights(weights)
    total = sum(checked.values())
    contributions = {name: weight / total * features[name] for name, weight in checked.items()}
    score = np.sum(list(contributions.values()), axis=0)
    return Ranking(np.lexsort((listings, -score)), score, checked, contributions)
