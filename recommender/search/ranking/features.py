"""What speaks for a candidate, as numbers in [0, 1], from the index's columns alone: no query per result.

A value that is not known on either side is neutral (0.5): it neither lifts nor sinks a listing against its peers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listings.geo import haversine_km
from listings.models import SEPARATOR
from recommender.index import Candidates

Floats = NDArray[np.float64]

NEUTRAL = 0.5
HALF_DISTANCE_KM = 20.0
HALF_LIFE_DAYS = 30.0
ENOUGH_PHOTOS = 4
SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Query:
    """What the candidates are compared with.

    `now` is in epoch seconds, `point` in degrees on the 1 km grid; `farthest` is the distance between unit vectors at
    which a candidate no longer looks alike: that of the last one retrieved (`vector_distance` of its cosine).
    """

    now: float
    category: str | None = None
    price: float | None = None
    point: tuple[float, float] | None = None
    farthest: float = math.sqrt(2)


def features(candidates: Candidates, query: Query, paths: Mapping[int, str]) -> dict[str, Floats]:
    """Every feature of every candidate.

    `paths` maps category ids to paths; an id it lacks counts as no category. Returns float64[n] in [0, 1] by name.
    """
    return {
        "similarity": visual_closeness(candidates.similarity, query.farthest),
        "category": category_closeness(candidates.category, query.category, paths),
        "price": price_closeness(candidates.price, query.price),
        "distance": distance_closeness(distances_km(candidates, query.point)),
        "age": freshness(candidates.created, query.now),
        "photos": np.clip(candidates.photos / ENOUGH_PHOTOS, 0.0, 1.0).astype(np.float64),
    }


def visual_closeness(similarity: NDArray[np.floating], farthest: float) -> Floats:
    """1 for the same picture, NEUTRAL at the farthest candidate, linear between. float[n] cosines to float64[n].

    Cosines of one model may all lie within a thousandth of each other, of another between 0 and 1; measured by the
    candidates themselves, a picture that is almost the same stands out under either.
    """
    return np.clip(1.0 - (1.0 - NEUTRAL) * vector_distance(similarity) / max(farthest, 1e-6), 0.0, 1.0)


def vector_distance(similarity: NDArray[np.floating]) -> Floats:
    """Euclidean distance of two unit vectors by their cosine: sqrt(2 - 2 cos)."""
    return np.sqrt(np.maximum(2.0 - 2.0 * similarity.astype(np.float64), 0.0))


def category_closeness(category: NDArray[np.integer], wanted: str | None, paths: Mapping[int, str]) -> Floats:
    """Levels two paths share from the root, over the depth of the deeper one. int[n] ids to float64[n]."""
    ids, where = np.unique(category, return_inverse=True)
    per_id = np.array([_shared(wanted, paths.get(int(one))) for one in ids], np.float64)
    return per_id[where] if len(ids) else np.empty(0)


def shared_levels(one: str, other: str) -> int:
    """How many levels two category paths share, counted from the root."""
    levels = 0
    for a, b in zip(one.split(SEPARATOR), other.split(SEPARATOR), strict=False):
        if a != b:
            break
        levels += 1
    return levels


def _shared(wanted: str | None, path: str | None) -> float:
    if wanted is None or path is None:
        return NEUTRAL
    return shared_levels(wanted, path) / max(len(wanted.split(SEPARATOR)), len(path.split(SEPARATOR)))


def price_closeness(price: NDArray[np.floating], wanted: float | None) -> Floats:
    """exp(-|log price ratio|), that is cheaper / dearer, with one unit added to both so that free compares too."""
    if wanted is None:
        return np.full(len(price), NEUTRAL)
    ours, theirs = wanted + 1.0, price.astype(np.float64) + 1.0
    return _known(np.minimum(ours, theirs) / np.maximum(ours, theirs))


def distances_km(candidates: Candidates, point: tuple[float, float] | None) -> Floats:
    """Great-circle distance of each candidate, float64[n] in km, NaN where a side is unknown."""
    if point is None:
        return np.full(len(candidates), np.nan)
    return haversine_km(point, candidates.latitude, candidates.longitude)


def distance_closeness(km: Floats) -> Floats:
    """Halves every HALF_DISTANCE_KM."""
    return _known(0.5 ** (km / HALF_DISTANCE_KM))


def freshness(created: NDArray[np.floating], now: float) -> Floats:
    """Halves every HALF_LIFE_DAYS; a time in the future counts as now. `created` in epoch seconds."""
    days = np.maximum(now - created.astype(np.float64), 0.0) / SECONDS_PER_DAY
    return _known(0.5 ** (days / HALF_LIFE_DAYS))


def _known(values: Floats) -> Floats:
    return np.where(np.isnan(values), NEUTRAL, values)
