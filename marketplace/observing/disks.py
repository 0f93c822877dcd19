"""The disks that a site writes to: how much room is left, and a warning before there is none."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from marketplace.paths import find_temporary_directory

MEGABYTE = 1024 * 1024
# With less than this a disk counts as full: one photo may be larger.
FULL_BYTES = MEGABYTE
FULL_INODES = 10
# A small disk is not low while this share of it is free, whatever LOW_DISK_MB says.
LOW_SHARE = 0.05

ROOTS = ("ORIGINALS_ROOT", "MEDIA_ROOT", "INDEX_ROOT", "MODELS_ROOT", "VAR_DIR")
TEMPORARY = "the temporary folder"


@dataclass(frozen=True)
class Disk:
    """One file system; `roots` are the settings whose folders lie on it. A disk without inodes counts none, and of one
    that fails nothing is known but its `error`."""

    roots: tuple[str, ...]
    bytes: int = 0
    free_bytes: int = 0
    inodes: int = 0
    free_inodes: int = 0
    read_only: bool = False
    error: str = ""

    def describe_problem(self) -> str | None:
        name = f"the disk of {', '.join(self.roots)}"
        if self.error:
            return f"{name} cannot be read ({self.error}): look whether it is mounted, and who may read it"
        left = f"{self.free_bytes / MEGABYTE:,.0f} MB and {self.free_inodes:,} inodes are free"
        if self.read_only:
            return f"{name} can only be read: mount it for writing"
        if self.free_bytes < FULL_BYTES or (self.inodes and self.free_inodes < FULL_INODES):
            return f"{name} is full ({left}): make room; what was saved stays, and what waits goes on by itself then"
        low_bytes = min(settings.LOW_DISK_MB * MEGABYTE, LOW_SHARE * self.bytes)
        few_inodes = self.inodes and settings.LOW_DISK_MB and self.free_inodes < LOW_SHARE * self.inodes
        return f"{name} is nearly full ({left}): make room" if self.free_bytes < low_bytes or few_inodes else None


def list_disks() -> list[Disk]:
    """Each file system once. A folder that is not there yet is on the disk of the nearest one above it."""
    on_disk: dict[int | str, list[str]] = defaultdict(list)
    folders: dict[int | str, Path] = {}
    for name, root in list_roots():
        try:
            folder = next(path for path in (root, *root.parents) if path.exists())
            device: int | str = folder.stat().st_dev
        # Of a disk that fails it cannot be told what else lies on it.
        except OSError:
            folder, device = root, name
        on_disk[device].append(name)
        folders.setdefault(device, folder)
    return [_measure_disk(tuple(names), folders[device]) for device, names in on_disk.items()]


def list_roots() -> Iterator[tuple[str, Path]]:
    for name in ROOTS:
        yield name, Path(getattr(settings, name))
    yield TEMPORARY, Path(find_temporary_directory())
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        yield "the database", Path(database["NAME"]).absolute()


def name_root(file: str | bytes | int) -> str:
    """The setting below whose folder a file lies: the nearest, because one may lie below another."""
    if not isinstance(file, str):
        return "a disk"
    above = [(len(root.parts), name) for name, root in list_roots() if Path(file).is_relative_to(root)]
    return max(above)[1] if above else "a disk"


def _measure_disk(roots: tuple[str, ...], folder: Path) -> Disk:
    try:
        found = os.statvfs(folder)
    except OSError as exc:
        return Disk(roots, error=exc.strerror or str(exc))
    return Disk(
        roots,
        found.f_blocks * found.f_frsize,
        found.f_bavail * found.f_frsize,
        found.f_files,
        found.f_favail,
        bool(found.f_flag & os.ST_RDONLY),
    )
