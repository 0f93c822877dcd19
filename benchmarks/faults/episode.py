"""One fault, once: clients save, it happens, it ends, everything is counted."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

from .fault import Fault
from .finding import Finder
from .notebook import Notebook, now
from .scene import Scene
from .staleness import Changer, StalenessWatch
from .watching import Watch, find_longest_gap

QUIET_SECONDS = (1.0, 2.5)  # before the fault, so that it meets saves in every state
AFTER_SECONDS = 2.0
SAVES_AFTER = 5
MOST_SECONDS = 120.0
LOG_LINES = 40


@dataclass(kw_only=True)
class Outcome:
    """What came of it. Times are seconds; `back` is from the fault until a photo saved after it was found, `slowest`
    the longest that any photo took from its save, or the fault's end if that came later, until it was found."""

    fault: str
    saved: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    gap: float = 0.0
    save_gap: float = 0.0
    back: float = float("inf")
    slowest: float = 0.0
    judged: int = 0
    failed: dict[str, dict[str, int]] = field(default_factory=dict)
    traces: int = 0
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def broken(self) -> list[str]:
        """Promises that were not kept, in words."""
        return [*self.lost, *self.doubled, *self.differences, *self.stale, *self.late]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Episode:
    """The clients, visitors and watches of one fault."""

    def __init__(self, scene: Scene, fault: Fault, photos: int) -> None:
        self._scene, self._fault, self._photos = scene, fault, photos
        self._notebook = Notebook()
        self._answered: Counter[str] = Counter()
        base = scene.stack.url
        self._savers = scene.make_savers(self._notebook, self._answered)
        self._visits, self._health = Watch(base, "/"), Watch(base, "/health/live")
        self._changer = Changer(scene.admin, scene.changed, self._notebook, scene.changes)
        self._staleness = StalenessWatch(base, scene.anchor, self._changer)
        self._finder = Finder(base, scene.anchor, self._notebook)

    def run(self) -> Outcome:
        began, log_from = now(), len(self._scene.stack.log())
        with ExitStack() as ends:
            for watch in (self._visits, self._health, self._changer, self._staleness, self._finder):
                watch.start()
                ends.callback(watch.stop)
            for saver in self._savers:
                saver.start()
            start, end = self._let_it_happen(ends)
            self._wait_for(lambda: self._is_enough_saved(end))
            for saver in self._savers:
                saver.stop()
            for saver in self._savers:
                saver.join()
            self._wait_for(lambda: not self._notebook.list_missing())
        self._scene.changes += self._changer.changes + 1
        outcome = self._count(start, end)
        log = self._scene.stack.log()[log_from:]
        outcome.traces = log.count("Traceback (most recent call last)")
        outcome.log = log.splitlines()[-LOG_LINES:] if outcome.broken else []
        outcome.seconds = now() - began
        return outcome

    def _let_it_happen(self, later: ExitStack) -> tuple[float, float]:
        """When the fault began, and from when on the site may be expected to mend."""
        time.sleep(self._scene.random.uniform(*QUIET_SECONDS))
        start = now()
        with ExitStack() as fault:
            fault.enter_context(self._fault.inject(self._scene))
            time.sleep(self._fault.seconds)
            if self._fault.stays:
                later.push(fault.pop_all())
        return start, start if self._fault.since_start else now()

    def _is_enough_saved(self, end: float) -> bool:
        saved_after = [save for save in self._notebook.list_acknowledged(since=end) if save.began > end]
        is_enough = len(self._notebook.list_acknowledged()) >= self._photos and len(saved_after) >= SAVES_AFTER
        return is_enough and now() > end + AFTER_SECONDS

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        """Until it is true, but not for ever: what is missing then is counted as lost."""
        deadline = now() + MOST_SECONDS
        while not condition() and now() < deadline:
            time.sleep(0.05)

    def _count(self, start: float, end: float) -> Outcome:
        saves = self._notebook.list_saves()
        done = sorted(
            (save for save in saves if save.acknowledged is not None), key=lambda save: save.acknowledged or 0
        )
        last = max([end, *(save.acknowledged or 0 for save in done)])
        compared = self._compare_with_rows()
        outcome = Outcome(
            fault=self._fault.name,
            saved=len(done),
            lost=compared["lost"],
            doubled=compared["doubled"],
            differences=compared["differences"],
            stale=self._staleness.stale,
            judged=self._staleness.judged,
            refused=[f"{save.title} by {save.door}: {save.refusal}" for save in saves if save.refusal],
            gap=self._visits.longest_gap(start, last),
            save_gap=find_longest_gap((save.acknowledged or 0 for save in done), start, last),
            failed={"visits": dict(self._visits.failed), "health": dict(self._health.failed),
                    "saves": dict(self._answered)},
        )  # fmt: skip
        waits = [(save.found - max(save.acknowledged or 0, end), save) for save in done if save.found]
        after = [save.found - end for save in done if save.found and save.began > end]
        outcome.back = min(after, default=float("inf"))
        slowest = max(waits, key=lambda wait: wait[0], default=None)
        outcome.slowest = slowest[0] if slowest else 0.0
        if self._fault.back_within and slowest and max(outcome.back, outcome.slowest) > self._fault.back_within:
            outcome.late = [(f"{slowest[1].title} was found after {outcome.slowest:.1f} s, the first new one after "
                            f"{outcome.back:.1f} s")]  # fmt: skip
        return outcome

    def _compare_with_rows(self) -> dict[str, list[str]]:
        promised = [
            {
                "title": save.title,
                "listing": save.listing,
                "sha256": save.sha256,
                "acknowledged": save.acknowledged is not None,
                "found": save.found is not None,
                "removed": save.removed is not None,
            }
            for save in self._notebook.list_saves()
            # What was being removed when everybody went home may be there or not.
            if save.removed is not None or not save.is_being_removed
        ]
        process = self._scene.stack.spawn(
            "-m", "benchmarks.faults.ledger", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        printed = process.communicate(json.dumps(promised), timeout=600)[0]
        if process.returncode:
            print(printed, file=sys.stderr)
            raise RuntimeError(f"the comparison with the rows ended with status {process.returncode}")
        return json.loads(printed.splitlines()[-1])


def run_fault(scene: Scene, fault: Fault, photos: int) -> Outcome:
    return Episode(scene, fault, photos).run()
