"""Measures what keeping an index in step takes: flushes, the largest merge, refreshes while listings change.

`python -m benchmarks.index.upkeep DIM LISTINGS` measures it on a database of its own below VAR_DIR and prints JSON;
`… edit DIM SECONDS` is the seller who edits meanwhile, a process of its own as in a real site.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.shared.own_database import prepare_schema_and_model, run_on_own_database

from .embeddings import ROOT

if TYPE_CHECKING:
    from recommender.models import EmbeddingModel

LISTINGS, FLUSHED, STORED = 40_000, 2_000, 1_000  # in all, stored before each flush, stored in a transaction
EDIT_SECONDS, EDITS_EVERY = 30, 0.1
PRICES, VECTORS = 20, 10  # changed at a time, which makes 300 changes a second
SEED = 17


def run_upkeep(dim: int, listings: int = LISTINGS) -> dict[str, Any]:
    """Measure it in a child process with a database of its own."""
    print(f"keeping an index of {listings:,} listings in step …", flush=True)
    return run_on_own_database("benchmarks.index.upkeep", dim, listings)


def measure_upkeep(dim: int, listings: int) -> dict[str, Any]:
    model = prepare_schema_and_model(dim)
    return {**_measure_compactions(model, listings), **_measure_refreshes(dim)}


def _measure_compactions(model: EmbeddingModel, listings: int) -> dict[str, Any]:
    """Store listings and compact, again and again; returns what flushes took, and the call with the longest merge."""
    from benchmarks.site.seed import store_listings

    from .rows import load_source

    random, stored = np.random.default_rng(SEED), 0
    flushes: list[float] = []
    merges: list[float] = []
    for block in load_source(model.dim).make_blocks(listings):
        for start in range(0, len(block), STORED):
            some = block[start : start + STORED]
            store_listings(model, some, [f"Thing {stored + n}" for n in range(len(some))], random)
            stored += len(some)
            if stored % FLUSHED == 0:
                seconds, actions = _time_compaction()
                (merges if "merged" in actions else flushes).append(seconds)
    flush_s = float(np.median(flushes))
    return {
        "flush_s": round(flush_s, 3),
        "flushed_rows": FLUSHED,
        "merge_s": round(max(merges) - flush_s, 2) if merges else None,
        "merges": len(merges),
        "churn_rows": stored,
    }


def _time_compaction() -> tuple[float, tuple[str, ...]]:
    from recommender.index import compact

    start = time.perf_counter()
    actions = compact(force=True).actions
    return time.perf_counter() - start, actions


def _measure_refreshes(dim: int) -> dict[str, Any]:
    """Time a reader's refreshes while prices and vectors change, with a compaction in the middle."""
    from django.conf import settings

    from recommender.index import Index

    reader = Index()
    reader.refresh()
    arguments = [sys.executable, "-m", "benchmarks.index.upkeep", "edit", str(dim), str(EDIT_SECONDS)]
    editor = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    compactor: subprocess.Popen | None = None
    milliseconds, behind, began = [], 0, time.perf_counter()
    while editor.poll() is None:
        if compactor is None and time.perf_counter() - began > EDIT_SECONDS / 2:
            compactor = subprocess.Popen([sys.executable, "manage.py", "index", "compact"], cwd=ROOT, stdout=sys.stderr)
        start = time.perf_counter()
        reader.refresh()
        took = time.perf_counter() - start
        milliseconds.append(took * 1000)
        behind = max(behind, reader.get_state().behind)
        time.sleep(max(0.0, settings.INDEX_REFRESH_MS / 1000 - took))
    if compactor is not None:
        compactor.wait()
    edits = int(editor.communicate()[0] or 0)
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return {
        "refresh_p50_ms": round(float(p50), 1),
        "refresh_p99_ms": round(float(p99), 1),
        "refresh_max_ms": round(max(milliseconds), 1),
        "refreshes": len(milliseconds),
        "edits_per_s": round(edits / EDIT_SECONDS),
        "refresh_most_behind": behind,
    }


def edit_listings(dim: int, seconds: float) -> int:
    """Change prices and vectors of random listings, steadily; returns how many changes that were."""
    from django.db import transaction

    from listings.models import Listing
    from recommender import feed
    from recommender.models import Embedding, EmbeddingModel

    random, edits = np.random.default_rng(SEED), 0
    model = EmbeddingModel.objects.active().get()
    listings = np.array(Listing.objects.values_list("pk", flat=True))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        priced, shown = random.choice(listings, PRICES).tolist(), random.choice(listings, VECTORS).tolist()
        Listing.objects.filter(pk__in=priced).update(price=int(random.integers(1, 500)))
        rows = list(Embedding.objects.filter(model=model, image__listing__in=shown))
        for row in rows:
            vector = random.standard_normal(dim)
            row.vector = (vector / np.linalg.norm(vector)).astype(np.float16).tobytes()
        with transaction.atomic():
            Embedding.objects.bulk_update(rows, ["vector"])
            feed.append_vector_changes(shown, model.pk)
        edits += PRICES + VECTORS
        time.sleep(max(0.0, EDITS_EVERY - (time.monotonic() - start)))
    return edits


def main(arguments: list[str]) -> None:
    from .engine import set_up_django

    set_up_django()
    if arguments[0] == "edit":
        print(edit_listings(int(arguments[1]), float(arguments[2])))
    else:
        print(json.dumps(measure_upkeep(int(arguments[0]), int(arguments[1]))))


if __name__ == "__main__":
    main(sys.argv[1:])
