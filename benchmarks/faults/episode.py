"""One fault, once: clients save, it happens, it ends, everything is counted."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from .fault import Fault
from .finding import Finder
from .notebook import Notebook, now
from .outcome import Outcome, judge_saves
from .scene import Scene
from .staleness import Changer, StalenessWatch
from .watching import Watch

QUIET_SECONDS = (1.0, 2.5)  # before the fault, so that it meets saves in every state
AFTER_SECONDS = 2.0
SAVES_AFTER = 5
MOST_SECONDS = 120.0
LOG_LINES = 40


class Episode:
    """The clients, visitors and watches of one fault."""

    def __init__(
        self, scene: Scene, fault: Fault, photos: int, quiet_seconds: tuple[float, float] = QUIET_SECONDS
    ) -> None:
        self._scene, self._fault, self._photos, self._quiet_seconds = scene, fault, photos, quiet_seconds
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
        with ExitStack() as lasting:
            start, end = self._let_people_save(lasting)
            outcome = self._count(start, end)
        self._scene.changes += self._changer.changes + 1
        log = self._scene.stack.log()[log_from:]
        outcome.traces = log.count("Traceback (most recent call last)")
        outcome.log = log.splitlines()[-LOG_LINES:] if outcome.broken else []
        outcome.seconds = now() - began
        return outcome

    def _let_people_save(self, lasting: ExitStack) -> tuple[float, float]:
        """Before, in and after the fault, until everything is found; when it began, and from when on it may mend."""
        with ExitStack() as ends:
            for watch in (self._visits, self._health, self._changer, self._staleness, self._finder):
                watch.start()
                ends.callback(watch.stop)
            for saver in self._savers:
                saver.start()
                ends.callback(saver.stop)
            start, end = self._let_it_happen(lasting)
            self._wait_for(lambda: self._is_enough_saved(end))
            for saver in self._savers:
                saver.stop()
            for saver in self._savers:
                saver.join()
            self._wait_for(lambda: not self._notebook.list_missing())
        return start, end

    def _let_it_happen(self, lasting: ExitStack) -> tuple[float, float]:
        """When the fault began, and from when on the site may be expected to mend."""
        time.sleep(self._scene.random.uniform(*self._quiet_seconds))
        start = now()
        with ExitStack() as fault:
            fault.enter_context(self._fault.inject(self._scene))
            time.sleep(self._fault.seconds)
            if self._fault.stays:
                lasting.push(fault.pop_all())
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
        compared = self._compare_with_rows()
        return replace(
            judge_saves(self._fault, self._notebook.list_saves(), self._visits.answered_at, start, end),
            lost=compared["lost"],
            doubled=compared["doubled"],
            differences=compared["differences"],
            stale=self._staleness.stale,
            judged=self._staleness.judged,
            failed={"visits": dict(self._visits.failed), "health": dict(self._health.failed),
                    "saves": dict(self._answered)},
        )  # fmt: skip

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
