"""The searches that were judged lately, and what they tell: how much of an exact answer live searches give."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_SEARCHES = 500
WINDOW_SECONDS = 86_400.0  # older searches say nothing about the index of today
ENOUGH_SEARCHES = 100  # the mean of fewer moves too much by chance to be a reason for an alarm
TOLERANCE = 0.02  # the mean of ENOUGH_SEARCHES may lie this far below the target by chance


@dataclass(frozen=True, slots=True)
class JudgedSearch:
    """`recall` in 0..1; `at` in seconds of time.monotonic()."""

    recall: float
    model_id: int
    filtered: bool
    at: float


@dataclass(frozen=True, slots=True)
class Recall:
    """Of judged searches: how many, their mean and worst recall in 0..1, seconds since the last; None without any."""

    judged: int = 0
    mean: float | None = None
    worst: float | None = None
    last_s: float | None = None


class RecallWindow:
    """The last judged searches. One thread records them; any thread may ask."""

    def __init__(self) -> None:
        self._searches: deque[JudgedSearch] = deque(maxlen=WINDOW_SEARCHES)
        self._lock = threading.Lock()

    def record(self, judged: JudgedSearch) -> None:
        with self._lock:
            self._searches.append(judged)

    def find_recent_searches(self) -> list[JudgedSearch]:
        """Those of the newest model, not too old."""
        with self._lock:
            searches = list(self._searches)
        since = time.monotonic() - WINDOW_SECONDS
        return [one for one in searches if one.model_id == searches[-1].model_id and one.at > since]

    def recall_by_kind(self) -> dict[str, Recall]:
        """Recall of "all" recent searches, and of the "filtered" and the "unfiltered" ones; all of one model."""
        return summarise_recall_by_kind(self.find_recent_searches())

    def describe_problem(self, target: float) -> str | None:
        """That recall is below the target, in words, once enough was judged to know."""
        recall = summarise_recall(self.find_recent_searches())
        if recall.mean is None or recall.judged < ENOUGH_SEARCHES or recall.mean >= target - TOLERANCE:
            return None
        return (
            f"searches find {recall.mean:.1%} of what an exact search finds ({recall.judged} repeated; "
            f"the target is {target:.1%})"
        )


def summarise_recall_by_kind(searches: Sequence[JudgedSearch]) -> dict[str, Recall]:
    return {
        "all": summarise_recall(searches),
        "filtered": summarise_recall([one for one in searches if one.filtered]),
        "unfiltered": summarise_recall([one for one in searches if not one.filtered]),
    }


def summarise_recall(searches: Sequence[JudgedSearch]) -> Recall:
    if not searches:
        return Recall()
    recalls = [one.recall for one in searches]
    return Recall(
        judged=len(recalls),
        mean=sum(recalls) / len(recalls),
        worst=min(recalls),
        last_s=round(time.monotonic() - max(one.at for one in searches), 1),
    )
