"""Says which machine a figure was measured on, and what a process there used: memory, computing time, disk."""

from __future__ import annotations

import os
import re
from importlib.metadata import version
from pathlib import Path

from ml.inference.cores import count_usable_cores, int8_units


def describe_processor() -> str:
    """The processor's name, its cores, and which units for 8 bits it has, as speeds depend on all three."""
    text = Path("/proc/cpuinfo").read_text()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    units = ", ".join(sorted(int8_units())) or "no int8 units"
    return f"{name[1] if name else 'unknown'}, {count_usable_cores()} cores, {units}"


def describe_runtime(precision: str) -> str:
    return f"OpenVINO {version('openvino')}, {precision}; {describe_processor()}"


def read_peak_rss_mb(pid: int | str = "self") -> int:
    """The most memory that a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) // 1024 if found else 0


def read_cpu_seconds(pid: int) -> float:
    """How long a process has computed so far, in all of its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_memory_mb(pid: int | str = "self") -> dict[str, int]:
    """What a process holds now, as memory of its own and as pages of mapped files, and the most that both have been."""
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = {name: int(number) for name, number in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)}
    names = {"anonymous": "RssAnon", "file": "RssFile", "peak": "VmHWM"}
    return {name: kilobytes.get(field, 0) // 1024 for name, field in names.items()}


def measure_disk_mb(folder: Path) -> int:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1024**2)
