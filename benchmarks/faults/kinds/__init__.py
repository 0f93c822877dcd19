"""The faults, by kind: processes, broker, database, disks, files, clock, visitors."""

from __future__ import annotations

from benchmarks.faults.fault import Fault
from benchmarks.faults.scene import Scene

from . import broker, clocks, databases, files, full_disks, processes, visitors


def list_faults(scene: Scene) -> list[Fault]:
    """Every fault of this site, those that cannot happen here included: they say why."""
    kinds = (processes, broker, databases, full_disks, files, clocks, visitors)
    return [fault for kind in kinds for fault in kind.list_faults(scene)]
