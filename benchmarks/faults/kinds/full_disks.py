"""Disks without room."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

from benchmarks.faults.disks import Disks
from benchmarks.faults.fault import Fault
from benchmarks.faults.scene import Scene

FULL_SECONDS = 6.0


def list_faults(scene: Scene) -> list[Fault]:
    disks = scene.disks
    if disks is None:
        return []
    full = {name: (name,) for name in disks.folders} | {"all of VAR_DIR": tuple(disks.folders)}
    return [
        Fault(f"disk full: {name}", partial(_fill, disks, names), FULL_SECONDS, impossible=disks.reason)
        for name, names in full.items()
    ]


def _fill(disks: Disks, names: tuple[str, ...], scene: Scene) -> AbstractContextManager[None]:
    return disks.fill(*names)
