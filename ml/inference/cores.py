"""What this process may compute with: cores by affinity and container quota, units for numbers of 8 bits, a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# A processor with none of these adds products of 8-bit numbers in 16 bits, which can overflow.
INT8_UNITS = frozenset({"amx_int8", "avx512_vnni", "avx_vnni"})
MOST_STREAMS = 4
# Files in /dev: NVIDIA's driver makes the first on Linux; under WSL the second leads to the GPU of Windows.
GPU_DEVICES = ("nvidiactl", "dxg")


def count_usable_cores(root: Path = Path("/")) -> int:
    """Cores of the process's affinity, or fewer whole ones where a control group sets a quota; at least 1.

    Neither OpenVINO nor torch sees the quota of a container: they start a thread for each core of the machine, and the
    kernel stops all of them for most of every period. `root` is where `proc` and `sys` are.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min((affinity, *_read_quotas(root)))))


def choose_stream_count() -> int:
    """Inferences at a time that embed most photos a second: one a core, but four at most; each holds activations."""
    return min(count_usable_cores(), MOST_STREAMS)


def has_int8_units(root: Path = Path("/")) -> bool:
    """Whether the processor adds products of 8-bit numbers exactly, in one instruction."""
    return bool(int8_units(root))


def int8_units(root: Path = Path("/")) -> frozenset[str]:
    """Those of `INT8_UNITS` that the processor has."""
    for line in _read_text_or_empty(root / "proc" / "cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return INT8_UNITS.intersection(value.split())
    return frozenset()


def has_gpu_driver(root: Path = Path("/")) -> bool:
    """Whether there is a driver that torch could reach a GPU through: importing torch to ask it takes 300 MB."""
    return any((root / "dev" / name).exists() for name in GPU_DEVICES)


def _read_quotas(root: Path) -> Iterator[float]:
    """Cores that each control group above this process allows it (cgroup v2, else v1)."""
    for line in _read_text_or_empty(root / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for folder in _walk_group_folders(root / "sys" / "fs" / "cgroup", path):
                quota, _, period = _read_text_or_empty(folder / "cpu.max").partition(" ")
                yield from _quota_cores(quota, period)
        elif "cpu" in controllers.split(","):
            for folder in _walk_group_folders(root / "sys" / "fs" / "cgroup" / "cpu", path):
                yield from _quota_cores(
                    _read_text_or_empty(folder / "cpu.cfs_quota_us"), _read_text_or_empty(folder / "cpu.cfs_period_us")
                )


def _walk_group_folders(top: Path, path: str) -> Iterator[Path]:
    """The group's folder and those above it; in a container the path may be of the host and none of them but `top`."""
    folder = top / path.strip().lstrip("/")
    while folder != top and top in folder.parents:
        yield folder
        folder = folder.parent
    yield top


def _quota_cores(quota: str, period: str) -> Iterator[float]:
    if quota.strip().isdecimal() and period.strip().isdecimal():  # "max" and "-1" say that there is no quota
        yield int(quota) / int(period)


def _read_text_or_empty(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
