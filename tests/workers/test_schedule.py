"""Beat rings at its intervals whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from marketplace.celery import app
from workers.schedule import SteadyScheduler


class Clock:
    """The clock of the machine, which can be set, beside one that only goes on."""

    def __init__(self) -> None:
        self.monotonic_now, self.set_by = 1000.0, 0.0

    def time(self) -> float:
        return 1_800_000_000.0 + self.monotonic_now + self.set_by

    def monotonic(self) -> float:
        return self.monotonic_now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("workers.schedule.time", clock)
    monkeypatch.setattr("celery.schedules.BaseSchedule.now", lambda self: app_time(clock))
    return clock


def app_time(clock: Clock):
    return datetime.fromtimestamp(clock.time(), UTC)


class Ringing(SteadyScheduler):
    rung: list[str]

    def apply_entry(self, entry, producer=None):
        self.rung.append(entry.name)


def make_scheduler(path) -> Ringing:
    Ringing.rung = []
    return Ringing(app=app, schedule_filename=str(path))


def run(scheduler: Ringing, clock: Clock, seconds: float) -> list[str]:
    """What rings in this time."""
    scheduler.rung.clear()
    end = clock.monotonic_now + seconds
    while clock.monotonic_now < end:
        clock.monotonic_now += max(0.01, min(scheduler.tick(), 1.0))
    return scheduler.rung


@pytest.mark.parametrize("step", [timedelta(hours=-2), timedelta(seconds=-120), timedelta(hours=2)])
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_sweeps_are_rung_after_the_clock_was_set(tmp_path, clock, step, restarted):
    scheduler = make_scheduler(tmp_path / "schedule")
    run(scheduler, clock, 12)
    clock.set_by += step.total_seconds()
    if restarted:
        scheduler.close()
        scheduler = make_scheduler(tmp_path / "schedule")
    rung = run(scheduler, clock, 21)
    assert 4 <= rung.count("sweep") <= 6
    scheduler.close()


def test_it_rings_repairs_at_its_start_because_workers_may_have_ended_with_it(tmp_path, clock):
    scheduler = make_scheduler(tmp_path / "schedule")
    assert sorted(run(scheduler, clock, 1)) == ["collect", "sweep"]
    scheduler.close()


def test_it_rings_on_a_full_disk_and_else_touches_its_file_for_whoever_watches(tmp_path, clock):
    for schedule in ("/dev/full/schedule", tmp_path / "schedule"):
        scheduler = make_scheduler(schedule)
        assert run(scheduler, clock, 12).count("sweep") == 3
        scheduler.close()
    assert (tmp_path / "schedule").exists()
