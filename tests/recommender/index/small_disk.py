"""A disk that is soon full: a file system of its own, which only root can mount."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PAGE = 4096


class SmallDisk:
    """Mounted at `root`; something else on it can fill it up, and be deleted again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "something-else"

    def fill(self, pages_left: int = 0) -> None:
        self.free()
        with self._filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * PAGE):
                    pass
            except OSError:
                file.truncate(max(0, file.tell() // PAGE - pages_left) * PAGE)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, kilobytes: int) -> Iterator[SmallDisk]:
    """Mounted until the end. Where that is not possible the test is skipped, and the run says so at its end."""
    path.mkdir()
    if problem := _mount(path, kilobytes):
        # A reason to skip is shown only when it is asked for. A warning is always shown.
        warnings.warn(f"Tests of full disks are skipped: {problem}", stacklevel=2)
        pytest.skip(problem)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(path: Path, kilobytes: int) -> str | None:
    """What stands in the way."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        return "only root can mount a small disk"
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs"]
    tried = subprocess.run([mount, *options, str(path)], capture_output=True, text=True, check=False)
    return f"a small disk cannot be mounted here: {tried.stderr.strip()}" if tried.returncode else None
