"""Watches the memory of processes and of those that they started, in a thread."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shared.background import Background
from tests.servers.stack import children

EVERY_SECONDS = 0.03


@dataclass
class Peaks:
    """The most MB, by proportional set size, that processes, those that they started, and all of them held at once."""

    alone: int = 0
    children: int = 0
    together: int = 0


class Watch(Background):
    """Watches named groups of processes; the id 0 is this one."""

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self.peaks = {name: Peaks() for name in groups}
        self._groups = {name: [pid or os.getpid() for pid in pids] for name, pids in groups.items()}
        super().__init__()

    def work(self) -> None:
        is_last = False
        while not is_last:
            is_last = self.ended.wait(EVERY_SECONDS)
            for name, pids in self._groups.items():
                alone = sum(map(read_pss_mb, pids))
                below = sum(read_pss_mb(child) for pid in pids for child in list_descendants(pid))
                peaks = self.peaks[name]
                peaks.alone, peaks.children = max(peaks.alone, alone), max(peaks.children, below)
                peaks.together = max(peaks.together, alone + below)


def read_pss_mb(pid: int) -> int:
    """A process's memory, and its share of what several have mapped; 0 where it is gone."""
    with suppress(OSError):
        if found := re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE):
            return int(found[1]) // 1024
    return 0


def list_descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that these did."""
    return [found for child in children(pid) for found in (child, *list_descendants(child))]
