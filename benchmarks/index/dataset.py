"""Makes what a run of the index benchmark works on: rows on disk, their values, unseen queries, the true answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.folders.vector_folder import Halves
from ml.inference.arrays import Vectors

from .embeddings import KEPT
from .exact import Nearest, RowIds
from .filter_kinds import PRICES, Level, make_levels
from .rows import BLOCK_ROWS, OTHERS, SAMPLE, Pieces, Source

K = 10
ASKED = 1_000  # queries that are timed
TRUTHS, FILTERED = 300, 200  # of these the first, whose true answers are known; the first, asked with each filter
WARM = 100  # other queries, which bring the pages of the index into memory before any is timed
WARM_FROM = 10_000_000  # rows of an index so large that BLOCK_ROWS queries are asked before, to touch its pages
CATEGORIES, CATEGORY_SAMPLE, ITERATIONS = 1_000, 40_000, 6  # how many k-means finds, among how many rows, in what steps
ROWS_OF_A_SELLER = 50
BEGINNING, YEAR_SECONDS = 1_735_689_600, 365 * 86_400  # the beginning of 2025, in Unix time
SOUTH, NORTH, WEST, EAST = 50.0, 58.0, -5.0, 1.5

Values = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Questions:
    """What an index is asked, and the answers that are true.

    queries: float32[q, dim] · warming: float32[w, dim], asked before · truth: int64[t, k], rows nearest to the first t
    queries · filters: for each level the truth int64[f, k], and how many rows pass, int64[f]
    """

    queries: Vectors
    warming: Vectors
    truth: RowIds
    filters: list[tuple[Level, NDArray[np.int64], NDArray[np.int64]]]

    def save(self, path: Path) -> None:
        arrays: Values = {"queries": self.queries, "warming": self.warming, "truth": self.truth}
        for level, truth, passing in self.filters:
            arrays |= {
                f"{level.name}/level": level.allowed,
                f"{level.name}/truth": truth,
                f"{level.name}/passing": passing,
            }
        np.savez(path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> Questions:
        with np.load(path) as arrays:
            names = [name.removesuffix("/level") for name in arrays if name.endswith("/level")]
            filters = [
                (Level(name, arrays[f"{name}/level"]), arrays[f"{name}/truth"], arrays[f"{name}/passing"])
                for name in names
            ]
            return cls(arrays["queries"], arrays["warming"], arrays["truth"], filters)


def make_dataset(source: Source, pieces: Pieces) -> tuple[Values, Questions]:
    """Write the rows, and find the true answers while each block is in memory, so that no row is read again."""
    rows = pieces.rows
    values = _make_values(rows)
    queries = source.held[:ASKED]
    centroids, shares = load_or_find_categories(source)
    plain, few = queries[:TRUTHS], queries[:FILTERED]
    truth, first = Nearest(len(plain), K), 0
    filters = [(level, Nearest(len(few), K)) for level in make_levels(few, centroids, shares)]
    for block in tqdm(pieces.write_blocks(source.make_blocks(rows)), "rows", -(-rows // BLOCK_ROWS), disable=None):
        wide, here = block.astype(np.float32), slice(first, first + len(block))
        category = values["category"][here] = (wide @ centroids.T).argmax(axis=1) + 1
        similarity = plain @ wide.T
        truth.add_block(first, similarity)
        for level, nearest in filters:
            nearest.add_block(first, similarity[: len(few)], level.mask_rows(values["price"][here], category))
        first += len(block)
    found = [(level, nearest.rows, nearest.passing) for level, nearest in filters]
    return values, Questions(queries, _choose_warming_queries(source, rows), truth.rows, found)


def _choose_warming_queries(source: Source, rows: int) -> Vectors:
    if rows < WARM_FROM:
        return source.held[-WARM:]
    return source.make_block(OTHERS, 0).astype(np.float32)


def _make_values(rows: int) -> Values:
    """Every column; the categories are filled in later, as they follow from the vectors."""
    random = np.random.default_rng(0)
    numbers = np.arange(1, rows + 1)
    return {
        "listing": numbers,
        "image": numbers,
        "category": np.zeros(rows, np.int64),
        "price": random.integers(0, PRICES, rows),
        "latitude": random.uniform(SOUTH, NORTH, rows).round(2),
        "longitude": random.uniform(WEST, EAST, rows).round(2),
        "created": BEGINNING + random.uniform(0, YEAR_SECONDS, rows),
        "seller": random.integers(1, max(2, rows // ROWS_OF_A_SELLER), rows),
    }


def load_or_find_categories(source: Source) -> tuple[Vectors, NDArray[np.float64]]:
    """Neighbourhoods of rows as categories: centroids float32[c, dim], and the share of rows in each, float64[c].

    They are kept on disk, so that every run with these embeddings has the same.
    """
    path = KEPT / "rows" / source.fingerprint / "categories.npz"
    if not path.exists():
        import faiss

        from ml.inference.cores import count_usable_cores

        print(f"{CATEGORIES} categories …", flush=True)
        faiss.omp_set_num_threads(count_usable_cores())
        sample = np.concatenate(list(source.make_blocks(CATEGORY_SAMPLE, SAMPLE))).astype(np.float32)
        kmeans = faiss.Kmeans(source.dim, CATEGORIES, niter=ITERATIONS, spherical=True, seed=1)
        kmeans.train(sample)
        nearest = (sample @ kmeans.centroids.T).argmax(axis=1)
        shares = np.bincount(nearest, minlength=CATEGORIES) / len(sample)
        np.savez(path, centroids=kmeans.centroids, shares=shares)
    with np.load(path) as arrays:
        return arrays["centroids"], arrays["shares"]


def copy_blocks(vectors: Halves) -> Iterator[Halves]:
    """Blocks float16[b, dim] of a mapped array, each copied into memory."""
    for start in range(0, len(vectors), BLOCK_ROWS):
        yield np.array(vectors[start : start + BLOCK_ROWS])
