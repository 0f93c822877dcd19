"""Estimates the intrinsic dimension of vectors from the distances to their two nearest neighbours (two-NN).

Facco, d'Errico, Rodriguez, Laio (2017), Estimating the intrinsic dimension of datasets by a minimal neighborhood
information: log(1 - F(mu)) = -d log(mu) for the ratio mu of the second distance to the first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.inference.arrays import Vectors

SAMPLE = 3_000
KEPT = 0.9  # the largest ratios are noisy; the authors leave out a tenth
COPY = 1e-3  # what is nearer than this is the vector itself, or a copy of its photo
NEIGHBOURS = 6  # so many are fetched that two are left without the copies


def estimate_intrinsic_dimension(vectors: Vectors) -> float:
    """The intrinsic dimension of float[n, dim], around a sample of them."""
    import faiss

    from ml.inference.cores import count_usable_cores

    faiss.omp_set_num_threads(count_usable_cores())
    vectors = np.ascontiguousarray(vectors, np.float32)
    random = np.random.default_rng(0)
    sample = vectors[random.choice(len(vectors), min(SAMPLE, len(vectors)), replace=False)]
    squared, _ = faiss.knn(sample, vectors, NEIGHBOURS)
    return fit_intrinsic_dimension(np.sqrt(np.maximum(squared, 0)))


def fit_intrinsic_dimension(distances: NDArray[np.float64]) -> float:
    """Fit it to the sorted distances float[n, m] of each point to others, which may include its copies."""
    real = [row[row > COPY] for row in distances]
    ratios = np.sort([row[1] / row[0] for row in real if len(row) > 1])
    share = np.arange(1, len(ratios) + 1) / (len(ratios) + 1)
    kept = int(KEPT * len(ratios))
    x, y = np.log(ratios[:kept]), -np.log(1 - share[:kept])
    return float((x @ y) / (x @ x))
