"""Runs a whole site with N listings and its index, as real processes, for benchmarks over HTTP to ask.

The listings are stored while the site is stopped, so that no worker waits for the seeding's transactions, and the index
is built from rows.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from benchmarks.shared.machine import measure_disk_mb, read_peak_rss_mb
from tests.servers.stack import UNTHROTTLED, Stack

ENVIRON = {**UNTHROTTLED, "LOG_LEVEL": "WARNING"}
PATIENCE_SECONDS = 3600.0
MADE = "made.json"
SURE = 40  # good health answers in a row, each over a new connection, so that every web process has given some
MEMORY = {"rss": "Rss", "pss": "Pss", "private_clean": "Private_Clean", "private_dirty": "Private_Dirty"}


@dataclass
class Site:
    """A started stack, and what filling it took."""

    stack: Stack
    rows: int
    figures: dict[str, Any] = field(default_factory=dict)

    def start_serving(self, web: int) -> None:
        """Start the site, or start it again, with so many web processes, and wait until each of them has every row."""
        self.stack.stop()
        self.stack.environ["WEB_PROCESSES"] = str(web)
        start = time.monotonic()
        self.stack.start(timeout=PATIENCE_SECONDS)
        self.stack.wait_for(
            self._is_every_row_served, f"every web process has {self.rows} rows", PATIENCE_SECONDS, every=0.5
        )
        self.figures.setdefault("start_s", round(time.monotonic() - start, 1))

    def _is_every_row_served(self) -> bool:
        return all(self._count_served_rows() == self.rows for _ in range(SURE))

    def _count_served_rows(self) -> int:
        health = self.stack.health()
        return int(health.json()["details"]["index"]["rows"]) if health.status == 200 else 0

    def read_web_memory_mb(self) -> list[dict[str, int]]:
        """The memory of each web process."""
        return [read_shared_memory_mb(pid) for pid in self.stack.web_workers()]


@contextmanager
def open_filled_site(
    rows: int, database_url: str, environ: Mapping[str, str] | None = None, kept: Path | None = None
) -> Iterator[Site]:
    """A stopped site with so many listings, which `start_serving` starts.

    In the folder `kept` it stays for the next run, which takes it as it was left.
    """
    folder = kept or Path(tempfile.mkdtemp(prefix="mp-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    stack = Stack(folder / "var", web=1, database_url=database_url, environ={**ENVIRON, **(environ or {})})
    try:
        if not (folder / MADE).exists():
            if (folder / "var").exists():
                raise SystemExit(f"{folder} holds a site that was never finished: delete it.")
            stack.start()  # schema, model, secret key
            stack.stop()
            (folder / MADE).write_text(json.dumps(_fill_site(stack, rows)))
        figures = json.loads((folder / MADE).read_text())
        if (figures["rows"], figures["database"]) != (rows, _name_database(stack)):
            raise SystemExit(f"{folder} holds a site of {figures['rows']} rows in {figures['database']}.")
        yield Site(stack, rows, figures)
    finally:
        stack.stop()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _fill_site(stack: Stack, rows: int) -> dict[str, Any]:
    """Store the listings and build the index; returns what that took."""
    print(f"storing {rows} listings with photos and vectors …", flush=True)
    printed = stack.run("-m", "benchmarks.site.catalogue", str(rows), timeout=PATIENCE_SECONDS).split()
    print("building the index …", flush=True)
    start = time.monotonic()
    peak = _wait_and_watch_memory(stack.spawn("manage.py", "index", "rebuild", stdout=subprocess.DEVNULL))
    return {
        "rows": rows,
        "database": _name_database(stack),
        "seed_s": float(printed[-1]),
        "rebuild_s": round(time.monotonic() - start, 1),
        "rebuild_peak_rss_mb": peak,
        "index_mb": measure_disk_mb(stack.var / "index"),
    }


def _name_database(stack: Stack) -> str:
    return stack.environ.get("DATABASE_URL", "sqlite").partition(":")[0].replace("postgres", "postgresql")


def _wait_and_watch_memory(process: subprocess.Popen[str]) -> int:
    """Wait for the process to end; returns the most memory it held, as seen a tenth of a second before at most."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, read_peak_rss_mb(process.pid))
        time.sleep(0.1)
    if process.returncode:
        command = cast("list[str]", process.args)  # as `Stack.spawn` passes it
        raise SystemExit(f"`{' '.join(command)}` ended with status {process.returncode}")
    return peak


def read_shared_memory_mb(pid: int) -> dict[str, int]:
    """The memory of a process: all of it, its share of what several have mapped (Pss), and what is nobody else's."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sums = dict(re.findall(r"^(\w+):\s+(\d+)", text, re.MULTILINE))
    kilobytes = {name: int(sums[key]) for name, key in MEMORY.items()}
    private = kilobytes.pop("private_clean") + kilobytes.pop("private_dirty")
    return {name: kb // 1024 for name, kb in {**kilobytes, "private": private}.items()}
