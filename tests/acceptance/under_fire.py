"""Faults of `python -m benchmarks faults`, several at once and shorter, for the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random

from benchmarks.faults.episode import Episode
from benchmarks.faults.fault import Fault, Inject
from benchmarks.faults.outcome import Outcome
from benchmarks.faults.savers import Numbers
from benchmarks.faults.scene import Scene
from tests.servers.postgres import Postgres
from tests.servers.stack import Stack

PHOTOS = 12
QUIET_SECONDS = (0.3, 0.8)


def open_scene(stack: Stack, postgres: Postgres | None = None) -> Scene:
    """People who save on a running site."""
    return Scene(stack, Random(1), Numbers(1), postgres).prepare()


def suffer(scene: Scene, name: str, *injects: Inject, seconds: float = 0, back_within: float | None = None) -> Outcome:
    """Let all of these faults happen at once while photos are saved; what came of it, with no promise broken."""
    outcome = Episode(scene, Fault(name, together(injects), seconds, back_within), PHOTOS, QUIET_SECONDS).run()
    assert not outcome.broken, "\n".join([*outcome.log, "", *outcome.broken])
    assert outcome.saved >= PHOTOS
    assert outcome.judged, "no answer was looked at for what is stale"
    return outcome


def together(injects: tuple[Inject, ...]) -> Inject:
    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        with ExitStack() as all_of_them:
            for each in injects:
                all_of_them.enter_context(each(scene))
            yield

    return inject
