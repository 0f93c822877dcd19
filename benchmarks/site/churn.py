"""Searching while listings change all the time: what answers take, and how soon they show what was committed.

A site of `--rows` listings whose delta may hold 2,000 changes, so that it is flushed and merged again and again. Four
closed-loop clients ask `similar`, first alone, then beside a writer of `--rate` changes a second; then the index is
compared with the database, row by row.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import time
from typing import Any

from benchmarks.shared.machine import read_cpu_seconds
from tests.servers.stack import Stack, children

from .api import Questions
from .clients import Clients, drive_clients
from .filled import PATIENCE_SECONDS, Site, open_filled_site
from .watch import Watch

CLIENTS = 4
WARM_UP = 25  # requests of each client, which are not timed
PATHS = 500  # of each client, which asks for them over and over
QUIET_SECONDS = 30.0
ANCHOR = 10  # a listing that the writer leaves alone
ENVIRON = {"INDEX_DELTA_ROWS": "2000", "INDEX_FLUSH_ROWS": "1000"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=20_000, help="listings at the start (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="of writing (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=220, help="changes a second to make (default: %(default)s)")
    parser.add_argument("--watch-every", type=int, default=100, help="of each kind of change (default: %(default)s)")
    parser.add_argument(
        "--ring-seconds",
        type=float,
        default=2,
        help="ring the indexing worker so often, beside beat's every 15 s: in those, at this rate, more changes than "
        "the small delta may hold (default: %(default)s; 0: never)",
    )
    parser.add_argument("--database-url", default="", help="an empty PostgreSQL to use instead of SQLite")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    with open_filled_site(arguments.rows, arguments.database_url, ENVIRON) as site:
        site.start_serving(web=1)
        questions = Questions(arguments.rows)
        drive_clients(site.stack.port, [questions.make_paths(WARM_UP, questions.plain_query) for _ in range(CLIENTS)])
        paths = [questions.make_paths(PATHS, questions.plain_query) for _ in range(CLIENTS)]
        quiet = drive_clients(site.stack.port, paths, seconds=min(arguments.seconds, QUIET_SECONDS)).summarise_answers()
        busy = _measure_under_changes(site, arguments, paths)
        return {
            "p50_ms": busy.pop("p50_ms"),
            "p99_ms": (p99 := busy.pop("p99_ms")),
            "p99_ratio": round(p99 / quiet["p99_ms"], 2),
            **busy,
            "without_writes": quiet,
            **_verify_index(site.stack),
            **site.figures,
            "ring_seconds": arguments.ring_seconds,
        }


def _measure_under_changes(site: Site, arguments: argparse.Namespace, paths: list[list[str]]) -> dict[str, Any]:
    """Let clients ask, a writer change and a watch follow the changes, all at once."""
    stack = site.stack
    task = {name: getattr(arguments, name) for name in ("rows", "seconds", "rate", "watch_every", "ring_seconds")}
    writer = stack.spawn("-m", "benchmarks.site.changes", json.dumps(task), stdout=subprocess.PIPE)
    lines = writer.stdout
    if lines is None or lines.readline() != "ready\n":
        raise SystemExit(f"churn: the writer did not start, it ended with status {writer.wait()}.")
    clients = Clients(stack.port, paths, seconds=arguments.seconds)
    before, watch = _sum_cpu_seconds(stack), Watch(stack.port, ANCHOR)
    written = watch.follow_changes(lines)
    if writer.wait():
        raise SystemExit(f"churn: the writer ended with status {writer.returncode}.\n{stack.log_tail()}")
    after, load = _sum_cpu_seconds(stack), clients.wait_for_answers()
    return {
        **load.summarise_answers(),
        **written,
        "lost": watch.lost,
        "visible_ms": watch.summarise_delays(),
        "behind_most": load.most_behind,
        "cores_used": {name: round((after[name] - before[name]) / arguments.seconds, 2) for name in before},
        "web_memory_mb": site.read_web_memory_mb(),
    }


def _sum_cpu_seconds(stack: Stack) -> dict[str, float]:
    """How long each process, with its children, has computed so far."""
    pids = {name: pid for name, pid in stack.pids().items() if name in {"web", "indexing", "default"}}
    return {name: sum(read_cpu_seconds(each) for each in (pid, *children(pid))) for name, pid in pids.items()}


def _verify_index(stack: Stack) -> dict[str, Any]:
    """Compare the index with the database once the web processes have caught up."""
    start = time.monotonic()
    process = stack.spawn("manage.py", "index", "verify", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    printed = process.communicate(timeout=PATIENCE_SECONDS)[0]
    if process.returncode:
        print(printed, flush=True)
    found = re.findall(r"^(?:CommandError: )?(\d+) differences", printed, re.MULTILINE)
    return {
        "differences": int(found[-1]) if found else None,
        "verify_s": round(time.monotonic() - start, 1),
    }
