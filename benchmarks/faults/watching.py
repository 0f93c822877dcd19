"""Visitors who look at the site all the time, and what they saw."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.servers.visitor import Answer, Visitor

from .notebook import now

ANSWER_SECONDS = 5.0
EVERY_SECONDS = 0.1
VISITORS = 3  # so that one who waits for an answer does not stand for all


@dataclass
class Watch:
    """Asks for one page every tenth of a second, by several visitors in turn."""

    base: str
    path: str
    failed: Counter[str] = field(default_factory=Counter)
    answered_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(n,), daemon=True) for n in range(VISITORS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, number: int) -> None:
        visitor = Visitor(self.base)
        time.sleep(number * EVERY_SECONDS)
        while not self._ended.is_set():
            asked = now()
            answer = ask_once(visitor, self.path)
            if isinstance(answer, Answer) and answer.status == 200:
                self.answered_at.append(now())
            else:
                self.failed[answer if isinstance(answer, str) else describe_answer(answer)] += 1
            self._ended.wait(max(0.0, asked + VISITORS * EVERY_SECONDS - now()))


def ask_once(visitor: Visitor, path: str) -> Answer | str:
    """The answer, or in words why there is none."""
    try:
        return visitor.get(path, timeout=ANSWER_SECONDS)
    except (OSError, http.client.HTTPException) as exc:
        return f"no answer ({type(exc).__name__})"


def find_longest_gap(moments: Iterable[float], start: float, end: float) -> float:
    """The longest time without any of these moments between start and end."""
    inside = [start, *sorted(moment for moment in moments if start < moment < end), end]
    return max(later - earlier for earlier, later in itertools.pairwise(inside))


def describe_answer(answer: Answer) -> str:
    """Status and code, such as "503 database_unavailable", to be counted; of pages only the status."""
    return f"{answer.status} {read_code(answer.body)}".strip()


def read_code(body: bytes) -> str:
    """The code for programs of a JSON answer, or the sentence where it has none; empty for pages."""
    with suppress(ValueError, AttributeError):
        answer = json.loads(body)
        return str(answer.get("code") or answer.get("detail") or answer)[:80]
    return ""
