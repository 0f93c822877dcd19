"""What speaks for a candidate: each feature as a number from 0 to 1, and in words that a buyer understands.

Both are made from the index's columns alone, without a query per result. A value that is not known on either side is
neutral (0.5): it neither lifts nor sinks a listing against its peers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from listings.finding.geo import haversine_km
from listings.querysets import SEPARATOR
from ml.inference.calibration.calibration import QueryScale
from recommender.index import Candidates

Floats = NDArray[np.float64]

# A feature that cannot be known has a value in the middle of its range, so that it neither helps nor harms a listing.
NEUTRAL = 0.5
# At this distance the feature "distance" has half the value that it has for a listing next door.
HALF_DISTANCE_KM = 20.0
# After this many days the feature "age" has half the value that it has for a new listing.
HALF_LIFE_DAYS = 30.0
# More photos than this tell a buyer little more.
ENOUGH_PHOTOS = 4
SECONDS_PER_DAY = 86_400.0
# From which probability on photos that show the same kind of thing are called so.
LIKENESS = (
    (0.999, "looks nearly the same"),
    (0.95, "looks very alike"),
    (0.5, "looks alike"),
    (0.0, "looks a little alike"),
)


@dataclass(frozen=True, slots=True)
class RankingQuery:
    """What the candidates are compared with.

    `now` is in epoch seconds, `point` in degrees on the 1 km grid; `farthest` is the distance between unit vectors at
    which a candidate no longer looks alike: that of the last one retrieved (`vector_distance` of its cosine). `scale`
    says what its cosines mean, where that is known.
    """

    now: float
    category: str | None = None
    price: float | None = None
    point: tuple[float, float] | None = None
    farthest: float = math.sqrt(2)
    scale: QueryScale | None = None

    def compute_probability(self, cosine: float) -> float | None:
        """That a photo of this cosine shows the same kind of thing; None where nobody knows."""
        return None if self.scale is None else float(self.scale.compute_probabilities(cosine))


def compute_features(candidates: Candidates, query: RankingQuery, paths: Mapping[int, str]) -> dict[str, Floats]:
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


def describe_features(
    place: int, candidates: Candidates, query: RankingQuery, paths: Mapping[int, str]
) -> dict[str, str]:
    """What each feature says of the candidate at one place of the arrays."""
    return {
        "similarity": similarity_text(query.compute_probability(float(candidates.similarity[place]))),
        "category": category_text(query.category, paths.get(int(candidates.category[place]))),
        "price": price_text(query.price, float(candidates.price[place])),
        "distance": distance_text(_distance_km(place, candidates, query)),
        "age": age_text(query.now - float(candidates.created[place])),
        "photos": format_count(int(candidates.photos[place]), "photo"),
    }


def visual_closeness(similarity: NDArray[np.floating], farthest: float) -> Floats:
    """1 for the same picture, NEUTRAL at the farthest candidate, and linear between the two. float[n] to float64[n].

    Cosines of one model may all lie within a thousandth of each other, of another between 0 and 1; measured by the
    candidates themselves, a picture that is almost the same stands out under either.
    """
    return np.clip(1.0 - (1.0 - NEUTRAL) * vector_distance(similarity) / max(farthest, 1e-6), 0.0, 1.0)


def vector_distance(similarity: NDArray[np.floating]) -> Floats:
    """Euclidean distance of two unit vectors by their cosine: sqrt(2 - 2 cos)."""
    return np.sqrt(np.maximum(2.0 - 2.0 * similarity.astype(np.float64), 0.0))


def similarity_text(probability: float | None) -> str:
    """How alike two photos are, by the probability that they show the same kind of thing; None where nobody knows."""
    if probability is None:
        return "compared by its looks"
    return next(words for least, words in LIKENESS if probability >= least)


def category_closeness(category: NDArray[np.integer], wanted: str | None, paths: Mapping[int, str]) -> Floats:
    """The levels that two paths share from the root, over the depth of the deeper one. int[n] ids to float64[n]."""
    # Candidates share a few categories, so paths are compared once for each category and not for each candidate.
    ids, where = np.unique(category, return_inverse=True)
    per_id = np.array([_closeness_of_paths(wanted, paths.get(int(one))) for one in ids], np.float64)
    return per_id[where] if len(ids) else np.empty(0)


def _closeness_of_paths(wanted: str | None, path: str | None) -> float:
    if wanted is None or path is None:
        return NEUTRAL
    return count_shared_levels(wanted, path) / max(len(wanted.split(SEPARATOR)), len(path.split(SEPARATOR)))


def category_text(wanted: str | None, path: str | None) -> str:
    if path is None:
        return "no category given"
    if wanted is None:
        return f"in {path}"
    if wanted == path:
        return f"same category: {path.rsplit(SEPARATOR, 1)[-1]}"
    shared = count_shared_levels(wanted, path)
    if not shared:
        return f"another category: {path}"
    return f"both in {SEPARATOR.join(path.split(SEPARATOR)[:shared])}"


def count_shared_levels(one: str, other: str) -> int:
    """How many levels two category paths share, counted from the root."""
    levels = 0
    for a, b in zip(one.split(SEPARATOR), other.split(SEPARATOR), strict=False):
        if a != b:
            break
        levels += 1
    return levels


def price_closeness(price: NDArray[np.floating], wanted: float | None) -> Floats:
    """The cheaper price over the dearer one, which is exp(-|log price ratio|)."""
    if wanted is None:
        return np.full(len(price), NEUTRAL)
    # One unit more on both sides, so that a price of 0 has a ratio to others.
    ours, theirs = wanted + 1.0, price.astype(np.float64) + 1.0
    return _fill_unknown_with_neutral(np.minimum(ours, theirs) / np.maximum(ours, theirs))


def price_text(wanted: float | None, price: float) -> str:
    if math.isnan(price):
        return "no price stated"
    if wanted is None:
        return "no price to compare with"
    if round(price, 2) == round(wanted, 2):
        return "same price"
    if price == 0 or wanted == 0:
        return "not free" if price else "free"
    if price < wanted:
        return f"{1 - price / wanted:.0%} cheaper"
    return f"{price / wanted:.1f} times the price" if price >= 2 * wanted else f"{price / wanted - 1:.0%} dearer"


def distances_km(candidates: Candidates, point: tuple[float, float] | None) -> Floats:
    """Great-circle distance of each candidate, float64[n] in km, NaN where a side is unknown."""
    if point is None:
        return np.full(len(candidates), np.nan)
    return haversine_km(point, candidates.latitude, candidates.longitude)


def _distance_km(place: int, candidates: Candidates, query: RankingQuery) -> float:
    if query.point is None:
        return math.nan
    return float(haversine_km(query.point, candidates.latitude[place], candidates.longitude[place]))


def distance_closeness(km: Floats) -> Floats:
    """Halves every HALF_DISTANCE_KM."""
    return _fill_unknown_with_neutral(0.5 ** (km / HALF_DISTANCE_KM))


def distance_text(km: float) -> str:
    if math.isnan(km):
        return "distance unknown"
    return "less than 1 km away" if km < 1 else f"{km:,.0f} km away"


def freshness(created: NDArray[np.floating], now: float) -> Floats:
    """Halves every HALF_LIFE_DAYS; a time in the future counts as now. `created` in epoch seconds."""
    days = np.maximum(now - created.astype(np.float64), 0.0) / SECONDS_PER_DAY
    return _fill_unknown_with_neutral(0.5 ** (days / HALF_LIFE_DAYS))


def age_text(seconds: float) -> str:
    days = int(seconds // SECONDS_PER_DAY)
    return "listed today" if days < 1 else f"listed {format_count(days, 'day')} ago"


def _fill_unknown_with_neutral(values: Floats) -> Floats:
    return np.where(np.isnan(values), NEUTRAL, values)


def format_count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
