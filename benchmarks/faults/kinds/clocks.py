"""Somebody sets the clock of the machine while everything runs, and sets it right again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.faults.fault import Fault
from benchmarks.faults.scene import Scene

WRONG_SECONDS = 12.0
STEPS = {"back 120 s": -120, "back 2 h": -7200, "ahead 2 h": 7200}


def list_faults(scene: Scene) -> list[Fault]:
    if scene.clock is None:
        return []
    return [
        Fault(f"clock {name}", partial(set_clock, step=step), WRONG_SECONDS, impossible=scene.clock.reason)
        for name, step in STEPS.items()
    ]


@contextmanager
def set_clock(scene: Scene, step: int) -> Iterator[None]:
    assert scene.clock  # noqa: S101 - else there is no such fault
    scene.clock.set(step)
    try:
        yield
    finally:
        scene.clock.set(0)
