"""Which weights order answers. Exactly one `RankerVersion` is active; the database holds that."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.db import transaction

from recommender.models import RankerVersion
from recommender.ranker_weights import DEFAULT_WEIGHTS, WeightsInvalid, check_weights

logger = logging.getLogger(__name__)

BUILT_IN = "built-in"
REREAD_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Ranker:
    name: str
    weights: Mapping[str, float]


def active_ranker() -> Ranker:
    """The active row's ranker, read every REREAD_SECONDS at most: answers need not wait for it.

    The built-in weights where there is no such row, or none that can order anything.
    """
    return _read(period=time.monotonic() // REREAD_SECONDS)


@lru_cache(maxsize=1)
def _read(period: float) -> Ranker:
    row = RankerVersion.objects.filter(state=RankerVersion.State.ACTIVE).values_list("name", "weights").first()
    if row is None:
        return Ranker(BUILT_IN, DEFAULT_WEIGHTS)
    name, weights = row
    try:
        return Ranker(name, check_weights(weights))
    except WeightsInvalid as exc:
        logger.error("ranker %s cannot be used, answers are ordered by the built-in weights: %s", name, exc)
        return Ranker(BUILT_IN, DEFAULT_WEIGHTS)


def activate(ranker: RankerVersion) -> None:
    """Order every answer from a moment on by this ranker. Raises WeightsInvalid."""
    check_weights(ranker.weights)
    state = RankerVersion.State
    with transaction.atomic():
        RankerVersion.objects.filter(state=state.ACTIVE).exclude(pk=ranker.pk).update(state=state.RETIRED)
        RankerVersion.objects.filter(pk=ranker.pk).update(state=state.ACTIVE)
