"""What a fault is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from .scene import Scene

BACK_WITHIN_SECONDS = 10.0

Inject = Callable[[Scene], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """`inject` begins it and, after `seconds`, ends it. `back_within` is what is promised, if anything is: from the
    fault's end, or from its beginning (`since_start`) where what ends it is part of the repair. One that `stays` ends
    only after everything was counted. `impossible` says why it cannot happen on this machine."""

    name: str
    inject: Inject
    seconds: float = 0.0
    back_within: float | None = None
    since_start: bool = False
    stays: bool = False
    impossible: str = ""


def at_once(act: Callable[[Scene], object]) -> Inject:
    """A fault that is over as soon as it happened."""

    @contextmanager
    @functools.wraps(act)
    def inject(scene: Scene) -> Iterator[None]:
        act(scene)
        yield

    return inject
