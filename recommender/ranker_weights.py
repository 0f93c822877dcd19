"""The weights of a ranker: their names, those of a new site, and the check that they can order anything."""

from __future__ import annotations

import math
from collections.abc import Mapping

DEFAULT_WEIGHTS = {
    "similarity": 1.0,
    "category": 0.25,
    "price": 0.15,
    "distance": 0.10,
    "age": 0.05,
    "photos": 0.02,
}


class WeightsInvalid(ValueError):
    """The weights of a ranker cannot order anything; the message says which and why."""


def check_weights(weights: object) -> dict[str, float]:
    """The same weights as floats. Raises WeightsInvalid with a sentence for whoever edits them."""
    known = ", ".join(DEFAULT_WEIGHTS)
    if not isinstance(weights, Mapping):
        raise WeightsInvalid(f'Weights are an object such as {{"similarity": 1.0}}; the features are {known}.')
    if unknown := sorted(str(name) for name in weights if name not in DEFAULT_WEIGHTS):
        raise WeightsInvalid(f"There is no feature called {', '.join(unknown)}; the features are {known}.")
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise WeightsInvalid(f"The weight of {name} must be a number, not {weight!r}.")
        if not 0 <= weight <= 1_000 or not math.isfinite(weight):
            raise WeightsInvalid(f"The weight of {name} must lie between 0 and 1000, not {weight!r}.")
    if not sum(weights.values()) > 0:
        raise WeightsInvalid("At least one weight must be greater than zero.")
    return {name: float(weight) for name, weight in weights.items()}
