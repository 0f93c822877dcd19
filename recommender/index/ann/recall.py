"""recall@k: the share of the k best that a search found, in 0..1.

Rows within TIE of the k-th similarity are as good as each other: any of them counts, up to as many as the truth has.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from recommender.index.rows.arrays import Ids, Similarities

TIE = 1e-6  # similarities that differ by less differ by rounding, and to find one row for the other is no miss


class RankedListings(Protocol):
    """The answer of a search: ids and similarities of listings, best first."""

    @property
    def listing(self) -> Ids: ...

    @property
    def similarity(self) -> Similarities: ...


def recall_of_similarities(found: Similarities, truth: Similarities) -> float:
    """Of the similarities of rows, float32 and best first; 1.0 where there was nothing to find."""
    if not len(truth):
        return 1.0
    last = truth[-1]
    better, found_better = np.count_nonzero(truth > last + TIE), np.count_nonzero(found > last + TIE)
    found_ties = np.count_nonzero(np.abs(found - last) <= TIE)
    return float(found_better + min(found_ties, len(truth) - better)) / len(truth)


def recall_of_listings(found: RankedListings, exact: RankedListings) -> float | None:
    """Of listings, by their ids; None where there was nothing to find.

    Ids matter here, because two searches may round the similarity of the same listing differently.
    """
    if not len(exact.listing):
        return None
    last = float(exact.similarity[-1])
    is_better = exact.similarity > last + TIE
    better, ties = exact.listing[is_better], exact.listing[~is_better]
    as_good = np.isin(found.listing, ties) | (np.abs(found.similarity - last) <= TIE)
    found_ties = np.setdiff1d(found.listing[as_good], better)
    return (np.count_nonzero(np.isin(better, found.listing)) + min(len(found_ties), len(ties))) / len(exact.listing)
