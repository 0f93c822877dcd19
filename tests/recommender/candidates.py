"""Index answers made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommender.index import STATUSES, Candidates

DEFAULTS = {
    "listing": 1,
    "image": 1,
    "similarity": 0.5,
    "category": -1,
    "price": np.nan,
    "latitude": np.nan,
    "longitude": np.nan,
    "created": 0.0,
    "seller": 1,
    "status": STATUSES.index("active"),
    "photos": 1,
}
TYPES = {"similarity": np.float32, "price": float, "latitude": float, "longitude": float, "created": float}


def candidates(*entries: dict) -> Candidates:
    """One entry per dictionary; what it leaves out is unknown or plain."""
    columns: dict[str, Any] = {
        name: np.array([entry.get(name, default) for entry in entries], TYPES.get(name, np.int64))
        for name, default in DEFAULTS.items()
    }
    return Candidates(**columns)


def listings_found(similarity: dict[int, float]) -> Candidates:
    """Candidates of these listings, best first."""
    best_first = sorted(similarity.items(), key=lambda entry: (-entry[1], entry[0]))
    return candidates(*({"listing": listing, "similarity": value} for listing, value in best_first))
