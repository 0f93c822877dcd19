"""Watches how long after its commit a change shows in the answers of a web process, asked every 20 ms over HTTP.

An edited or a new listing has a price of its own, and shows when a search for that price finds it. A removed one shows
when a search no longer finds it; as answers are checked against the database, that says nothing of the index.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .clients import Asker, find_percentile

POLL_SECONDS = 0.02
LOST_SECONDS = 30.0
TOGETHER = 16  # changes that are watched at a time


class Watch:
    """Asks for listings that look like `anchor`, which is one that never changes."""

    def __init__(self, port: int, anchor: int) -> None:
        self._port, self._anchor = port, anchor
        self._local = threading.local()
        self._took: dict[str, list[float]] = defaultdict(list)
        self.lost = 0

    def follow_changes(self, lines: Iterable[str]) -> dict[str, Any]:
        """Watch the change that each line names until it shows or is lost; returns the last line, which names none."""
        last: dict[str, Any] = {}
        with ThreadPoolExecutor(TOGETHER) as threads:
            for line in lines:
                last = json.loads(line)
                if "listing" in last:
                    threads.submit(self._wait_until_shown, last).add_done_callback(lambda done: done.result())
        return last

    def _wait_until_shown(self, change: Mapping[str, Any]) -> None:
        price = change["price"]
        path = f"/api/v1/listings/{self._anchor}/similar/?limit=5&min_price={price}&max_price={price}"
        while (asked := time.monotonic()) < change["at"] + LOST_SECONDS:
            status, body = self._asker.request_path(path)
            if status == 200:
                found = any(result["listing"]["id"] == change["listing"] for result in json.loads(body)["results"])
                if found != (change["kind"] == "remove"):
                    self._took[change["kind"]].append((time.monotonic() - change["at"]) * 1000)
                    return
            time.sleep(max(0.0, asked + POLL_SECONDS - time.monotonic()))
        self.lost += 1

    @property
    def _asker(self) -> Asker:
        if not hasattr(self._local, "asker"):
            self._local.asker = Asker(self._port)
        return self._local.asker

    def summarise_delays(self) -> dict[str, Any]:
        """Milliseconds of each kind of change, and of edits and new listings together, which measure the index."""
        found = [*self._took["edit"], *self._took["add"]]
        return {
            **_summarise_times(found),
            **{kind: _summarise_times(took) for kind, took in sorted(self._took.items())},
        }


def _summarise_times(milliseconds: Iterable[float]) -> dict[str, Any]:
    ordered = sorted(milliseconds)
    return {
        "p50": find_percentile(ordered, 50),
        "p95": find_percentile(ordered, 95),
        "max": round(ordered[-1], 1) if ordered else float("nan"),
        "watched": len(ordered),
    }
