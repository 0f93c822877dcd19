"""Why a listing stands where it stands, in numbers that add up to its score and in words a buyer understands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypedDict

from listings.geo import haversine_km
from listings.models import SEPARATOR
from recommender.index import Candidates

from .features import SECONDS_PER_DAY, Floats, Query, shared_levels
from .linear import Ranking


class Reason(TypedDict):
    value: float
    weight: float
    contribution: float
    text: str


def explain(
    at: int,
    candidates: Candidates,
    query: Query,
    paths: Mapping[int, str],
    features: Mapping[str, Floats],
    ranking: Ranking,
) -> dict[str, Reason]:
    """The reasons of the candidate at one place of the arrays; their contributions sum to its score."""
    texts = _texts(at, candidates, query, paths)
    return {
        name: Reason(
            value=float(features[name][at]),
            weight=weight,
            contribution=float(ranking.contributions[name][at]),
            text=texts[name],
        )
        for name, weight in ranking.weights.items()
    }


def _texts(at: int, candidates: Candidates, query: Query, paths: Mapping[int, str]) -> dict[str, str]:
    return {
        "similarity": similarity_text(float(candidates.similarity[at])),
        "category": category_text(query.category, paths.get(int(candidates.category[at]))),
        "price": price_text(query.price, float(candidates.price[at])),
        "distance": distance_text(_km(at, candidates, query)),
        "age": age_text(query.now - float(candidates.created[at])),
        "photos": count(int(candidates.photos[at]), "photo"),
    }


def _km(at: int, candidates: Candidates, query: Query) -> float:
    if query.point is None:
        return math.nan
    return float(haversine_km(query.point, candidates.latitude[at], candidates.longitude[at]))


def similarity_text(cosine: float) -> str:
    """Rounded down, but for what float16 costs: only the same picture looks 100 % alike."""
    return f"looks {max(0, math.floor(cosine * 1000 + 0.1)) / 10:g}% alike"


def category_text(wanted: str | None, path: str | None) -> str:
    if path is None:
        return "no category given"
    if wanted is None:
        return f"in {path}"
    if wanted == path:
        return f"same category: {path.rsplit(SEPARATOR, 1)[-1]}"
    shared = shared_levels(wanted, path)
    if not shared:
        return f"another category: {path}"
    return f"both in {SEPARATOR.join(path.split(SEPARATOR)[:shared])}"


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


def distance_text(km: float) -> str:
    if math.isnan(km):
        return "distance unknown"
    return "less than 1 km away" if km < 1 else f"{km:,.0f} km away"


def age_text(seconds: float) -> str:
    days = int(seconds // SECONDS_PER_DAY)
    return "listed today" if days < 1 else f"listed {count(days, 'day')} ago"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
