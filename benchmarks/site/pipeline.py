"""Photos a second through the whole site, from the first bell to the last vector in the index.

Real processes as `make run` starts them, with `--present` listings that have vectors already. A worker is stopped
while a listing for every photo is stored, 500 of them with the bytes of others; the clock runs from when it goes on
until a web process's index holds all of them. Beside it, half before and half after: the same photos decoded, their
derivatives made and inferred in one process without database and broker. On ext4 wait six minutes between runs: files
are slow to create near those of the run before, that were just deleted (`recently_deleted` in its inode allocator).
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.embedding.derived import embed_photos
from benchmarks.embedding.speed_model import build_resnet50
from benchmarks.shared.machine import describe_runtime, read_cpu_seconds, read_peak_rss_mb
from ml.inference.cores import choose_stream_count
from ml.inference.embedder import Embedder
from tests.servers.stack import Stack, children

COPIES = 500
UNTRAINED = {"EMBEDDER_WEIGHTS": "untrained", "LOG_LEVEL": "INFO"}
PATIENCE_SECONDS = 1800.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="a folder of JPEG photos")
    parser.add_argument("--limit", type=int, default=5_000, help="photos to use (default: %(default)s)")
    parser.add_argument("--present", type=int, default=10_000, help="listings that are there before (default 10000)")
    parser.add_argument("--backlog", type=int, default=0, metavar="N", help="photos that wait behind those measured")
    parser.add_argument("--processes", type=int, default=1, help="embedding workers (default: %(default)s)")
    parser.add_argument("--database-url", default="", help="a PostgreSQL to use instead of SQLite")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    paths = sorted(arguments.images.glob("*.jpg"))[: arguments.limit]
    if len(paths) < COPIES:
        raise SystemExit(f"pipeline: {arguments.images} holds {len(paths)} JPEG photos; {COPIES} are needed.")
    folder = Path(tempfile.mkdtemp(prefix="mp-bench-"))
    try:
        directory = build_resnet50(folder / "var" / "models" / "untrained", paths)
        embedder = Embedder.load(directory, parallel=choose_stream_count())
        before = _time_raw_embedding(embedder, paths[::2])
        figures = _measure_site(folder / "var", arguments, len(paths))
        raw = len(paths) / (before + _time_raw_embedding(embedder, paths[1::2]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "pipeline_ips": figures["pipeline_ips"],
        "raw_ips": round(raw, 1),
        "pipeline_over_raw": round(figures["pipeline_ips"] / raw, 3),
        **figures,
        "database": "postgresql" if arguments.database_url else "sqlite",
        "runtime": describe_runtime(embedder.precision),
    }


def _time_raw_embedding(embedder: Embedder, paths: Sequence[Path]) -> float:
    """How many seconds the photos take in this process, without the site around it."""
    start = time.perf_counter()
    embed_photos(paths, embedder)
    return time.perf_counter() - start


def _measure_site(var: Path, arguments: argparse.Namespace, photos: int) -> dict[str, Any]:
    with Stack(
        var, web=1, embedding=arguments.processes, database_url=arguments.database_url, environ=UNTRAINED
    ) as stack:
        if arguments.present:
            print(f"storing {arguments.present} listings with vectors …", flush=True)
            stack.run("-m", "benchmarks.site.seed", str(arguments.present))
        workers = [f"embedding-{number}" for number in range(1, arguments.processes + 1)]
        wanted = arguments.present + photos + COPIES
        stack.wait_for(lambda: _count_indexed_rows(stack) >= arguments.present, "the listings are in the index", 120)
        for worker in workers:
            stack.pause(worker)
        print(f"storing {photos} photos and {COPIES} copies …", flush=True)
        stack.run(
            "-m",
            "benchmarks.site.stock",
            str(arguments.images.resolve()),
            str(photos),
            str(COPIES),
            str(arguments.backlog),
        )
        before, start = _sum_cpu_seconds(stack), time.perf_counter()
        for worker in workers:
            stack.resume(worker)
        try:
            stack.wait_for(
                lambda: _count_indexed_rows(stack) >= wanted, "every photo is in the index", PATIENCE_SECONDS, every=0.5
            )
        finally:
            seconds, after = time.perf_counter() - start, _sum_cpu_seconds(stack)
            lost = max(0, wanted - _count_indexed_rows(stack))  # some of the backlog may be there
        given = sum(int(number) for number in re.findall(r"giving (\d+) photos to the model", stack.log()))
        return {
            "pipeline_ips": round(photos / seconds, 1),
            "lost": lost,
            **({} if arguments.backlog else {"copies_computed": given - photos}),
            "peak_rss_mb": max(read_peak_rss_mb(stack.pids()[worker]) for worker in workers),
            "photos": photos,
            "copies": COPIES,
            "backlog": arguments.backlog,
            "seconds": round(seconds, 1),
            "cpu_ms_per_photo": {name: round((after[name] - before[name]) / photos * 1000, 2) for name in before},
        }


def _sum_cpu_seconds(stack: Stack) -> dict[str, float]:
    """How long each process, with its children, has computed so far; the supervisor's children are the others."""
    pids = {name: pid for name, pid in stack.pids().items() if name != "supervisor"}
    return {name: sum(read_cpu_seconds(each) for each in (pid, *children(pid))) for name, pid in pids.items()}


def _count_indexed_rows(stack: Stack) -> int:
    health = stack.health()
    return int(health.json()["details"]["index"]["rows"]) if health.status == 200 else 0
