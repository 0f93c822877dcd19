from __future__ import annotations

import logging
import os
import threading

import pytest

from recommender.embedding import watchdog
from recommender.embedding.micro_batch import Activity
from recommender.embedding.watchdog import EXIT_CODE, TICK, RunningTime

BATCH, NEXT = object(), object()


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ([(BATCH, 1)], 0),
        ([(BATCH, 1)] * 5, 4 * TICK),
        ([(BATCH, 1)] * 5 + [(NEXT, 1)], 0),
        ([(BATCH, 1)] * 5 + [(None, 1)], 0),
        ([(None, 1)] * 5, 0),
    ],
)
def test_only_the_time_of_the_current_micro_batch_counts(ticks, expected):
    now, spent = 100.0, 0.0
    clock = RunningTime(now)
    for current, steps in ticks:
        now += steps * TICK
        spent = clock.measure_seconds(current, now)
    assert spent == pytest.approx(expected)


def test_time_in_which_the_process_was_stopped_does_not_count():
    clock = RunningTime(0)
    clock.measure_seconds(BATCH, TICK)
    assert clock.measure_seconds(BATCH, 3600) == pytest.approx(2 * TICK)


def test_an_activity_describes_what_the_worker_does():
    activity = Activity()
    assert activity.describe() == {"doing": "waiting", "note": ""}
    activity.begin_batch(30, list)
    assert activity.describe()["doing"] == "embedding"
    activity.end_batch()
    assert activity.describe()["doing"] == "waiting"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_ends_although_nobody_reads_its_log(monkeypatch):
    """As behind a pipe that is full, whose reader has stopped."""
    ended, is_read = threading.Event(), threading.Event()
    statuses: list[int] = []

    def end(status: int) -> None:
        statuses.append(status)
        ended.set()
        raise SystemExit

    class Blocked(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            is_read.wait(20)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(watchdog, "LAST_WORDS_SECONDS", 0.05)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    handler, activity = Blocked(), Activity()
    watchdog.logger.addHandler(handler)
    try:
        activity.begin_batch(0, lambda: [1])
        watchdog.start_watchdog(activity)
        assert ended.wait(10)
    finally:
        is_read.set()
        watchdog.logger.removeHandler(handler)
    assert statuses == [EXIT_CODE]
