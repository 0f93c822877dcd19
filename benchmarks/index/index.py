"""Recall, latency and memory of the index, plain and filtered, at any number of rows; what keeping it up takes.

Rows lie as real embeddings do (`rows.py`), queries are real embeddings that no row is made of, truth is a full scan.
`over_bare_faiss` is the median over that of FAISS alone at the same recall; `--peers` adds FAISS HNSW and pgvector.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.shared.machine import describe_processor, measure_disk_mb, read_memory_mb

PARTS = ("plain", "filtered", "bare", "churn", "replaced")
BARE_RECALL = 0.98
PEER_ROWS = 100_000
SEGMENT, MADE, QUESTIONS, VALUES = "segment", "made.json", "questions.npz", "values.npz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the index (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=1_000, help="dimensions of a vector (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--peers", action="store_true", help="measure FAISS HNSW and pgvector beside the index")
    parser.add_argument("--peer-rows", type=int, default=PEER_ROWS, help="at so many rows (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep rows' index here, and measure the one that is here already")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    from . import engine

    engine.set_up_django()
    with _open_folder(arguments.folder) as folder:
        made = _prepare_index(folder, arguments.rows, arguments.dim)
        figures = {**made, **_measure_searches(folder, arguments, made)}
    if "churn" in arguments.only:
        from .upkeep import run_upkeep

        figures |= run_upkeep(arguments.dim)
    if "replaced" in arguments.only:
        from .replaced import run_replacement

        figures |= run_replacement(arguments.dim)
    return {**figures, "processor": describe_processor()}


@contextmanager
def _open_folder(wanted: Path | None) -> Iterator[Path]:
    if wanted:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted
    else:
        with tempfile.TemporaryDirectory(prefix="mp-bench-") as folder:
            yield Path(folder)


def _prepare_index(folder: Path, rows: int, dim: int) -> dict[str, Any]:
    """Make rows, questions and index in this folder, unless they are there. Returns what that took."""
    kept = json.loads((folder / MADE).read_text()) if (folder / MADE).exists() else {}
    if (kept.get("rows"), kept.get("dim")) == (rows, dim):
        return kept
    shutil.rmtree(folder / SEGMENT, ignore_errors=True)
    described, built = _run_apart(_write_rows, folder, rows, dim), _run_apart(_build_index, folder, rows, dim)
    figures = {"rows": rows, "dim": dim, **described, **built}
    (folder / MADE).write_text(json.dumps(figures, indent=1))
    return figures


def _run_apart(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run `work` in a process of its own, so that nothing of it is left in the memory that is measured afterwards."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def _write_rows(folder: Path, rows: int, dim: int) -> dict[str, Any]:
    import numpy as np

    from . import dataset
    from .rows import Pieces, load_source

    made_from = load_source(dim)
    real, like = made_from.dimensions
    print(f"making {rows:,} rows of {dim} dimensions from {made_from.name} …", flush=True)
    (folder / "rows").mkdir(exist_ok=True)
    values, questions = dataset.make_dataset(made_from, Pieces(folder / "rows", rows, dim))
    questions.save(folder / QUESTIONS)
    np.savez(folder / VALUES, allow_pickle=False, **values)
    return {
        "made_from": made_from.name,
        "noise": made_from.noise,
        "two_nn": {"real": round(real, 1), "rows": round(like, 1)},
    }


def _build_index(folder: Path, rows: int, dim: int) -> dict[str, Any]:
    import numpy as np

    from . import engine
    from .latency import use_all_cores
    from .rows import Pieces

    print("building the index …", flush=True)
    engine.set_up_django()
    with np.load(folder / VALUES) as arrays:
        values = dict(arrays)
    use_all_cores()
    start = time.perf_counter()
    engine.build_segment(folder / SEGMENT, values, Pieces(folder / "rows", rows, dim).read_blocks(delete=True), dim)
    build_s = time.perf_counter() - start
    (folder / VALUES).unlink()
    return {
        "build_s": round(build_s, 1),
        "peak_build_rss_mb": read_memory_mb()["peak"],
        "disk_mb": measure_disk_mb(folder / SEGMENT),
        "code_bytes_per_row": round(engine.count_structure_bytes(folder / SEGMENT) / rows, 1),
        "structure": engine.read_structure(folder / SEGMENT),
    }


def _measure_searches(folder: Path, arguments: argparse.Namespace, made: dict[str, Any]) -> dict[str, Any]:
    from . import engine, searching
    from .dataset import Questions

    questions = Questions.load(folder / QUESTIONS)
    before = read_memory_mb()
    state = engine.open_state(folder / SEGMENT)
    figures: dict[str, Any] = {}
    if {"plain", "bare"}.intersection(arguments.only) or arguments.peers:
        print("searching …", flush=True)
        figures |= searching.measure_plain(state, questions)
    if "filtered" in arguments.only:
        print("searching with filters …", flush=True)
        figures["filtered"] = searching.measure_filtered(state, questions)
    held = read_memory_mb()
    figures |= {"rss_mb": held["anonymous"] + held["file"], "rss": held, "rss_without_index": before}
    if "bare" in arguments.only:
        from .bare_faiss import measure_bare_faiss

        print("FAISS alone …", flush=True)
        lists = made["structure"].get("lists") or round(arguments.rows**0.5)
        bare = measure_bare_faiss(state, lists, questions, max(BARE_RECALL, figures["recall_at_10"]))
        figures["bare_faiss"] = bare
        figures["over_bare_faiss"] = round(bare["ours"]["p50_ms"] / bare["p50_ms"], 2)
    if arguments.peers:
        from .peers import measure_peers

        figures["peers"] = measure_peers(state, questions, arguments.peer_rows, made | figures)
    return figures
