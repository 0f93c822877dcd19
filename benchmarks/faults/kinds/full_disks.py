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
    return [
        Fault(f"disk full: {name}", partial(_fill, disks, name), FULL_SECONDS, impossible=disks.reason)
        for name in disks.folders
    ]


def _fill(disks: Disks, name: str, scene: Scene) -> AbstractContextManager[None]:
    return disks.fill(name)
