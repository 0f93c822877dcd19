"""Times FAISS alone over the same rows, as the floor under a search's time: at its fastest that reaches the recall.

A random rotation, an inverted file with 1-bit codes (RaBitQ, fast scan) of as many lists, its candidates compared in
numpy by their float16 vectors: no filters, no columns, no listings. Where that does not reach the recall at any depth,
all rows are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ml.folders.vector_folder import Halves
from ml.inference.arrays import Vectors

from . import engine, searching
from .dataset import K, Questions, copy_blocks
from .exact import RowIds, recall_of_rows
from .latency import (
    find_least_reaching,
    summarise_latencies,
    time_answers,
    time_in_turns,
    use_all_cores,
    use_one_thread,
)

DEPTHS = (50, 100, 150, 200, 400, 800)  # candidates of a query that are compared by their vectors
TRAINED_ON = 64  # rows that the centroids are found on, for each list
TRIED = 200  # queries that are asked where all rows are compared, as each takes long


def measure_bare_faiss(state: Any, lists: int, questions: Questions, wanted: float) -> dict[str, Any]:
    """Its latency and recall, at the fastest depth and number of lists; `ours` is the index, asked in turns with it."""
    queries, truth = questions.queries, questions.truth
    start = time.perf_counter()
    search = _Search(engine.mapped_vectors(state), lists)
    build_s = time.perf_counter() - start
    with use_one_thread():
        tried = [_find_fewest_lists(search, depth, lists, questions, wanted) for depth in DEPTHS]
        reached = [effort for effort in tried if effort is not None]
        find_rows: Callable[[Vectors], RowIds] = search.find_rows
        if not reached:
            find_rows = _build_flat_search(engine.mapped_vectors(state))
        count = len(queries) if reached else TRIED
        used: dict[str, Any] = {"lists": 0}
        if reached:
            _, depth, probes = min(reached)
            search.set_effort(depth, probes)
            used = {"lists": lists, "nprobe": probes, "depth": depth, "build_s": round(build_s, 1)}
        asks = (searching.make_asker(state, queries), lambda number: find_rows(queries[number]))
        (_, ours), (answers, milliseconds) = time_in_turns(asks, count)
    found = recall_of_rows(answers[: len(truth)], truth[:count])
    return {
        "recall_at_10": round(found, 4),
        **summarise_latencies(milliseconds),
        **used,
        "ours": summarise_latencies(ours),
    }


def _find_fewest_lists(
    search: _Search, depth: int, lists: int, questions: Questions, wanted: float
) -> tuple[float, int, int] | None:
    """(median milliseconds, depth, lists looked into) with the fewest lists that reach the recall; None if none do."""
    queries = questions.queries[: len(questions.truth)]

    def reaches_recall(probes: int) -> bool:
        search.set_effort(depth, probes)
        return recall_of_rows([search.find_rows(query) for query in queries], questions.truth) >= wanted

    probes = find_least_reaching(reaches_recall, 1, lists)
    if probes is None:
        return None
    search.set_effort(depth, probes)
    return float(np.median(time_answers(search.find_rows, queries)[1])), depth, probes


class _Search:
    """FAISS finds candidates, numpy compares them: what a search would be that did nothing else."""

    def __init__(self, vectors: Halves, lists: int) -> None:
        import faiss

        self._index, self._kept = _build_ivf(vectors, lists)
        self._vectors, self._depth = vectors, DEPTHS[0]
        self._lists = faiss.extract_index_ivf(self._index)

    def set_effort(self, depth: int, lists: int) -> None:
        """`depth` candidates are compared by their vectors; they come from `lists` lists."""
        self._depth, self._lists.nprobe = depth, lists

    def find_rows(self, query: Vectors) -> RowIds:
        """The nearest rows, int64[k], of a query float32[dim]."""
        rows = self._index.search(query[None, :], self._depth)[1][0]
        rows = np.sort(rows[rows >= 0])
        similarity = self._vectors[rows].astype(np.float32) @ query
        return rows[np.argsort(-similarity)[:K]]


def _build_flat_search(vectors: Halves) -> Callable[[Vectors], RowIds]:
    """A search that compares every row."""
    import faiss

    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True
    for block in copy_blocks(vectors):
        index.add(block.astype(np.float32))
    return lambda query: index.search(query[None, :], K)[1][0]


def _build_ivf(vectors: Halves, lists: int) -> tuple[Any, Any]:
    """The index, and the objects that it only points to, which have to be kept as long as it is."""
    import faiss

    use_all_cores()
    rows, dim = vectors.shape
    turn = faiss.RandomRotationMatrix(dim, dim)
    turn.init(5)
    nearest = faiss.IndexFlatL2(dim)
    inverted = faiss.IndexIVFRaBitQFastScan(nearest, dim, lists, faiss.METRIC_INNER_PRODUCT)
    inverted.cp.spherical = False
    index = faiss.IndexPreTransform(turn, inverted)
    sample = np.sort(np.random.default_rng(0).choice(rows, min(rows, lists * TRAINED_ON), replace=False))
    index.train(vectors[sample].astype(np.float32))
    for block in copy_blocks(vectors):
        index.add(block.astype(np.float32))
    # FAISS would cluster and look into lists by one measure. It needs half as many lists for the same recall with rows
    # in the list of the nearest centroid, and the lists chosen whose centroids have the largest inner product.
    most_similar = faiss.IndexFlatIP(dim)
    most_similar.add(nearest.reconstruct_n(0, lists))
    inverted.quantizer = most_similar
    return index, (nearest, most_similar)
