"""What a segment is searched through: all of its vectors while they are few, an inverted file where that is faster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from threadpoolctl import threadpool_limits

from ml.inference.cores import usable_cores
from recommender.index.errors import LeaseLost
from recommender.index.rows.vector_file import VectorFile

from . import ivf
from .calibration import QUERIES, calibrate

logger = logging.getLogger(__name__)

EXACT, IVF = "exact", "ivf"
SAMPLE_PER_LIST = 100
LEAST_PER_LIST = 20
LEAST_ROWS = 100  # fewer cannot be judged
SEED = 7
# What FAISS and numpy raise over vectors that cannot be clustered, such as ones that are not numbers.
UNBUILDABLE = (RuntimeError, ValueError, AssertionError, MemoryError)


@dataclass(frozen=True)
class Structure:
    """`recall` at 10 on unseen queries, measured, and with the hardest filter; `details` is what the manifest adds."""

    kind: str
    recall: float = 1.0
    filtered_recall: float = 1.0
    details: dict[str, Any] | None = None


def lists_for(rows: int) -> int:
    """Half the square root: few enough that looking into every list takes no longer than a filter may."""
    return max(1, min(max(16, round(rows**0.5 / 2)), rows // LEAST_PER_LIST, 1 << 15))


def suits(rows: int) -> bool:
    """Whether so many rows are worth an inverted file."""
    return rows >= max(LEAST_ROWS, settings.INDEX_EXACT_ROWS)


def untrained(rows: int) -> Structure:
    """All rows compared, for now: what is written in a hurry, or must not fail. A merge builds what suits it."""
    return Structure(EXACT, details={"untrained": True} if suits(rows) else None)


def build(directory: Path, vectors: VectorFile, tick: Callable[[], None]) -> Structure:
    """Build what suits so many rows, beside the vectors. One that misses the recall target is removed: exact then."""
    if not suits(vectors.rows):
        return Structure(EXACT)
    cores, target = usable_cores(), settings.INDEX_RECALL_TARGET
    try:
        with threadpool_limits(cores):
            built = _inverted_file(directory, vectors, cores, tick)
    except LeaseLost:
        raise
    except UNBUILDABLE as exc:
        logger.error("no inverted file could be built of %s rows, they are searched exactly: %s", vectors.rows, exc)
        return _without(directory)
    if built.recall < target:
        words = "an inverted file of %s rows has a recall of %.4f, wanted is %.4f: they are searched exactly"
        logger.error(words, vectors.rows, built.recall, target)
        return _without(directory)
    if built.filtered_recall < target:
        words = "an inverted file of %s rows has a recall of %.4f where a filter leaves nothing near, wanted is %.4f"
        logger.warning(words, vectors.rows, built.filtered_recall, target)
    return built


def _without(directory: Path) -> Structure:
    for name in ivf.FILES:
        (directory / name).unlink(missing_ok=True)
    return Structure(EXACT)


def _inverted_file(directory: Path, vectors: VectorFile, cores: int, tick: Callable[[], None]) -> Structure:
    random = np.random.default_rng(SEED)
    lists = lists_for(vectors.rows)
    left_out = np.sort(random.choice(vectors.rows, min(QUERIES, vectors.rows // 10), replace=False))
    sample = _sample(vectors, lists, left_out, random)
    ivf.build(directory, vectors, lists, sample, cores, tick)
    opened = ivf.load(directory, vectors.rows, vectors.dim)
    target, memory = settings.INDEX_RECALL_TARGET, settings.INDEX_MEMORY_MB << 20
    judged = calibrate(opened, vectors, left_out, target=target, memory=memory, tick=tick)
    details = {
        "lists": lists,
        "trained_on": len(sample),
        "tuning": judged.tuning.as_dict(),
        "curve": judged.curve,
    }
    return Structure(IVF, judged.recall, judged.filtered_recall, details)


def _sample(vectors: VectorFile, lists: int, left_out: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """int64[s], ascending: rows to train on, within a quarter of the memory budget."""
    affordable = settings.INDEX_MEMORY_MB * 1024 * 1024 // 4 // (vectors.dim * 4 * 2)
    size = min(lists * SAMPLE_PER_LIST, max(lists * LEAST_PER_LIST, affordable), vectors.rows - len(left_out))
    chosen = random.choice(vectors.rows, min(vectors.rows, size + len(left_out)), replace=False)
    return np.sort(chosen[~np.isin(chosen, left_out)][:size])
