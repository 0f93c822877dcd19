"""Measures other indexes over the same vectors at the index's recall: HNSW of FAISS and of pgvector, in float16."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.folders.vector_folder import Halves

from . import engine, searching
from .dataset import K, Questions, copy_blocks
from .exact import find_nearest_rows, recall_of_rows
from .latency import find_least_reaching, summarise_latencies, time_in_turns, use_all_cores, use_one_thread
from .pgvector import measure_pgvector

LINKS, EF_CONSTRUCTION, MOST_EF = 32, 80, 4_000


def measure_peers(state: Any, questions: Questions, rows: int, known: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Measure each peer at the first `rows` rows; `ours` is the index at as many, asked in turns with the peer.

    `known` holds the recall of the whole index, and how many seconds building it took.
    """
    with ExitStack() as stack:
        if rows < len(engine.mapped_vectors(state)):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mp-bench-"))
            state, questions, known = _build_smaller_index(state, questions, rows, Path(folder))
        vectors, wanted = engine.mapped_vectors(state), known["recall_at_10"]
        ask = searching.make_asker(state, questions.queries)
        found = {
            "faiss_hnsw": _measure_hnsw(vectors, questions, wanted, ask),
            "pgvector": measure_pgvector(vectors, _compute_fingerprint(vectors), questions, wanted, ask),
        }
    ours = {name: known[name] for name in ("build_s", "recall_at_10")}
    return {name: {"rows": len(vectors), **peer, "ours": ours | peer["ours"]} for name, peer in found.items()}


def _build_smaller_index(
    state: Any, questions: Questions, rows: int, folder: Path
) -> tuple[Any, Questions, dict[str, Any]]:
    """A state of the first rows alone, the questions with their true answers there, and what was measured of it."""
    print(f"the index at {rows:,} rows …", flush=True)
    vectors = engine.mapped_vectors(state)[:rows]
    truth = find_nearest_rows(questions.queries[: len(questions.truth)], copy_blocks(vectors), K)
    questions = replace(questions, truth=truth, filters=[])
    use_all_cores()
    start = time.perf_counter()
    engine.build_segment(folder / "segment", engine.copy_values(state, rows), copy_blocks(vectors), vectors.shape[1])
    build_s = time.perf_counter() - start
    state = engine.open_state(folder / "segment")
    return state, questions, {"build_s": round(build_s, 1), **searching.measure_plain(state, questions)}


def _measure_hnsw(vectors: Halves, questions: Questions, wanted: float, ours: Callable[[int], Any]) -> dict[str, Any]:
    import faiss

    print(f"FAISS HNSW, {len(vectors):,} rows …", flush=True)
    use_all_cores()
    start = time.perf_counter()
    kind = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexHNSWSQ(vectors.shape[1], kind, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.train(vectors[:1].astype(np.float32))
    for block in copy_blocks(vectors):
        index.add(block.astype(np.float32))
    build_s = time.perf_counter() - start

    def find_rows(number: int) -> NDArray[np.int64]:
        return index.search(questions.queries[number : number + 1], K)[1][0]

    def reaches_recall(effort: int) -> bool:
        index.hnsw.efSearch = effort
        return recall_of_rows([find_rows(number) for number in range(len(questions.truth))], questions.truth) >= wanted

    with use_one_thread():
        effort = index.hnsw.efSearch = find_least_reaching(reaches_recall, K, MOST_EF) or MOST_EF
        (_, beside), (answers, milliseconds) = time_in_turns((ours, find_rows), len(questions.queries))
    return {
        "build_s": round(build_s, 1),
        "recall_at_10": round(recall_of_rows(answers[: len(questions.truth)], questions.truth), 4),
        **summarise_latencies(milliseconds),
        "ef_search": effort,
        "bytes_per_row": round(len(faiss.serialize_index(index)) / len(vectors)),
        "ours": summarise_latencies(beside),
    }


def _compute_fingerprint(vectors: Halves) -> str:
    digest = hashlib.sha256()
    for block in copy_blocks(vectors):
        digest.update(block.tobytes())
    return digest.hexdigest()[:16]
