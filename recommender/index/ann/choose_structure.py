"""Chooses how a segment is searched: exactly while its rows are few, through an inverted file where that is faster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from threadpoolctl import threadpool_limits

from ml.inference.cores import count_usable_cores
from recommender.index.errors import LeaseLost
from recommender.index.rows.arrays import RowIds
from recommender.index.rows.vector_file import VectorFile

from . import ivf
from .calibration import QUERIES, calibrate_ivf

logger = logging.getLogger(__name__)

EXACT, IVF = "exact", "ivf"
SAMPLE_PER_LIST = 100  # rows that k-means trains on for each list, unless memory allows fewer
LEAST_PER_LIST = 20
LEAST_ROWS = 100  # fewer rows leave too few held-out queries to measure a recall
SEED = 7
# FAISS and numpy raise these for vectors that cannot be clustered, such as ones with NaN. The segment is searched
# exactly then, which is slower and never wrong.
UNBUILDABLE = (RuntimeError, ValueError, AssertionError, MemoryError)


@dataclass(frozen=True)
class Structure:
    """How a segment is searched. The recalls are at 10, measured on unseen queries; `details` go into the manifest."""

    kind: str
    recall: float = 1.0
    filtered_recall: float = 1.0
    details: dict[str, object] | None = None


def choose_list_count(rows: int) -> int:
    """Half the square root of the rows: few enough that scanning every list is no slower than a filter may be."""
    return max(1, min(max(16, round(rows**0.5 / 2)), rows // LEAST_PER_LIST, 1 << 15))


def is_worth_ivf(rows: int) -> bool:
    """True if a segment of this many rows gets an inverted file."""
    return rows >= max(LEAST_ROWS, settings.INDEX_EXACT_ROWS)


def choose_flush_structure(rows: int) -> Structure:
    """The structure of a flush, which must be fast and never fail: exact until a merge trains an inverted file."""
    return Structure(EXACT, details={"untrained": True} if is_worth_ivf(rows) else None)


def build_search_structure(directory: Path, vectors: VectorFile, tick: Callable[[], None]) -> Structure:
    """Build the structure of these vectors beside them; an inverted file that misses the recall target is removed."""
    if not is_worth_ivf(vectors.rows):
        return Structure(EXACT)
    cores, target = count_usable_cores(), settings.INDEX_RECALL_TARGET
    try:
        with threadpool_limits(cores):
            built = _build_calibrated_ivf(directory, vectors, cores, tick)
    except LeaseLost:
        raise
    except UNBUILDABLE as exc:
        logger.error("no inverted file could be built of %s rows, they are searched exactly: %s", vectors.rows, exc)
        return _remove_ivf_and_choose_exact(directory)
    if built.recall < target:
        words = "an inverted file of %s rows has a recall of %.4f, wanted is %.4f: they are searched exactly"
        logger.error(words, vectors.rows, built.recall, target)
        return _remove_ivf_and_choose_exact(directory)
    if built.filtered_recall < target:
        words = "an inverted file of %s rows has a recall of %.4f where a filter leaves nothing near, wanted is %.4f"
        logger.warning(words, vectors.rows, built.filtered_recall, target)
    return built


def _remove_ivf_and_choose_exact(directory: Path) -> Structure:
    for name in ivf.FILES:
        (directory / name).unlink(missing_ok=True)
    return Structure(EXACT)


def _build_calibrated_ivf(directory: Path, vectors: VectorFile, cores: int, tick: Callable[[], None]) -> Structure:
    random = np.random.default_rng(SEED)
    lists = choose_list_count(vectors.rows)
    left_out = np.sort(random.choice(vectors.rows, min(QUERIES, vectors.rows // 10), replace=False))
    sample = _draw_sample(vectors, lists, left_out, random)
    ivf.build_ivf(directory, vectors, lists, sample, cores, tick)
    opened = ivf.open_ivf(directory, vectors.rows, vectors.dim)
    target, memory = settings.INDEX_RECALL_TARGET, settings.INDEX_MEMORY_MB << 20
    judged = calibrate_ivf(opened, vectors, left_out, target=target, memory=memory, tick=tick)
    details = {
        "lists": lists,
        "trained_on": len(sample),
        "tuning": judged.tuning.as_dict(),
        "curve": judged.curve,
    }
    return Structure(IVF, judged.recall, judged.filtered_recall, details)


def _draw_sample(vectors: VectorFile, lists: int, left_out: RowIds, random: np.random.Generator) -> RowIds:
    """Rows to train on, within a quarter of the memory budget: int64[s], ascending."""
    affordable = settings.INDEX_MEMORY_MB * 1024 * 1024 // 4 // (vectors.dim * 4 * 2)
    size = min(lists * SAMPLE_PER_LIST, max(lists * LEAST_PER_LIST, affordable), vectors.rows - len(left_out))
    chosen = random.choice(vectors.rows, min(vectors.rows, size + len(left_out)), replace=False)
    return np.sort(chosen[~np.isin(chosen, left_out)][:size])
