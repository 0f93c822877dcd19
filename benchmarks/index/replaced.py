"""Replaces half of the listings by ones of classes that the index was never trained on, and measures the recall left.

`python -m benchmarks.index.replaced DIM LISTINGS` does it on a database of its own below VAR_DIR, through the compactor
as it runs in a site, and prints JSON: recall at 10 before, after, and of an index built anew from the same rows, each
against the same index's own full scan, for unseen queries.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.shared.own_database import prepare_schema_and_model, run_on_own_database
from benchmarks.site.seed import store_listings
from ml.folders.vector_folder import Halves
from ml.inference.arrays import Vectors

from .dataset import K, load_or_find_categories
from .rows import ROWS, Source, load_source

if TYPE_CHECKING:
    from recommender.index import State
    from recommender.models import EmbeddingModel

LISTINGS, STORED, FLUSHED = 100_000, 1_000, 5_000  # in all, stored in a transaction, replaced before each flush
QUERIES = 1_000
SEED = 23


def run_replacement(dim: int, listings: int = LISTINGS) -> dict[str, Any]:
    """Measure it in a child process with a database of its own."""
    print(f"replacing half of {listings:,} listings by others of new classes …", flush=True)
    return {"replaced": run_on_own_database("benchmarks.index.replaced", dim, listings)}


def measure_replacement(dim: int, listings: int) -> dict[str, Any]:
    from recommender.index import rebuild

    model = prepare_schema_and_model(dim)
    made_from = load_source(dim)
    queries = made_from.held[:QUERIES]
    old, new = _split_classes(made_from)
    _add_listings(model, old, listings)
    rebuild()
    figures: dict[str, Any] = {"rows": listings, "recall_before": _measure_recall(queries)}
    _replace_listings(model, new, listings // 2)
    figures |= {"recall_at_10": _measure_recall(queries), "segments": _describe_segments()}
    rebuild()
    figures["recall_of_rebuilt"] = _measure_recall(queries)
    figures["difference"] = round(figures["recall_of_rebuilt"] - figures["recall_at_10"], 4)
    return figures


def _split_classes(made_from: Source) -> tuple[Iterator[Halves], Iterator[Halves]]:
    """Two endless streams of rows float16[dim], of one half of the classes and of the other."""
    centroids, _ = load_or_find_categories(made_from)
    is_old = np.random.default_rng(SEED).permutation(len(centroids)) < len(centroids) // 2

    def draw_rows(*, old: bool) -> Iterator[Halves]:
        number = 0
        while True:
            block = made_from.make_block(ROWS, number)
            nearest = (block.astype(np.float32) @ centroids.T).argmax(axis=1)
            yield from block[is_old[nearest] == old]
            number += 1

    return draw_rows(old=True), draw_rows(old=False)


def _add_listings(model: EmbeddingModel, rows: Iterator[Halves], count: int) -> None:
    random = np.random.default_rng(SEED)
    for start in range(0, count, STORED):
        size = min(STORED, count - start)
        store_listings(
            model, np.stack([next(rows) for _ in range(size)]), [f"Thing {start + n}" for n in range(size)], random
        )


def _replace_listings(model: EmbeddingModel, rows: Iterator[Halves], count: int) -> None:
    """Remove `count` listings and add as many, in steps, each followed by a compaction."""
    from listings.models import Listing
    from recommender.index import compact

    going = np.random.default_rng(SEED).permutation(np.array(Listing.objects.values_list("pk", flat=True)))[:count]
    for start in range(0, count, FLUSHED):
        for some in np.array_split(going[start : start + FLUSHED], 10):
            Listing.objects.filter(pk__in=some.tolist()).update(status=Listing.Status.REMOVED)
        _add_listings(model, rows, min(FLUSHED, count - start))
        compact(force=True)


def _measure_recall(queries: Vectors) -> float:
    from recommender.index import Filter, find_nearest_listings
    from recommender.index.ann.recall import recall_of_listings

    state = _open_newest_state()
    pairs = [
        [find_nearest_listings(state, query[None, :], K, Filter(), exact=exact) for exact in (False, True)]
        for query in queries
    ]
    return round(float(np.mean([recall_of_listings(*pair) for pair in pairs])), 4)


def _describe_segments() -> list[dict[str, Any]]:
    return [
        {"rows": len(part.segment), "live": int(np.count_nonzero(part.live)), "exact": part.segment.ivf is None}
        for part in _open_newest_state().base.parts
    ]


def _open_newest_state() -> State:
    """The state as a process that starts now would see it."""
    from recommender.index import Index

    index = Index(capacity=10**9)
    index.refresh()
    return index.get_state()


def main(arguments: list[str]) -> None:
    from .engine import set_up_django

    set_up_django()
    print(json.dumps(measure_replacement(*map(int, arguments))))


if __name__ == "__main__":
    main(sys.argv[1:])
