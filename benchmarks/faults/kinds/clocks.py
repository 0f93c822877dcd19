"""Somebody sets the clock of the machine while everything runs; it may stay wrong, and a worker may die then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.faults.fault import Fault
from benchmarks.faults.scene import Scene

from .broker import flush_broker

WRONG_SECONDS = 6.0
STEPS = {"back 120 s": -120, "back 2 h": -7200, "ahead 2 h": 7200}


def list_faults(scene: Scene) -> list[Fault]:
    if scene.clock is None:
        return []
    impossible = scene.clock.reason
    return [
        *(
            Fault(f"clock {name} for a while", partial(set_clock, step=step), WRONG_SECONDS, impossible=impossible)
            for name, step in STEPS.items()
        ),
        *(
            Fault(
                f"clock {name} for good, a worker and bells lost",
                partial(set_clock_and_kill, step=step),
                stays=True,
                impossible=impossible,
            )
            for name, step in STEPS.items()
        ),
    ]


@contextmanager
def set_clock(scene: Scene, step: int) -> Iterator[None]:
    assert scene.clock  # noqa: S101 - else there is no such fault
    scene.clock.set(step)
    try:
        yield
    finally:
        scene.clock.set(0)


@contextmanager
def set_clock_and_kill(scene: Scene, step: int) -> Iterator[None]:
    """What the worker had in its hands, and bells that were lost, come back only by what looks at clocks."""
    scene.stack.kill("embedding-1")
    with set_clock(scene, step):
        flush_broker(scene)
        yield
