"""Small disks of their own below a site, which can be full; only root may mount them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOM = "2g"  # of each, taken from memory as it is used
BLOCK = 4096


class Disks:
    """Folders below `var` and the temporary folder, each a file system in memory if this process may mount one."""

    def __init__(self, var: Path, temporary: Path) -> None:
        # Above before below, so that nothing is mounted over.
        self.folders = {"database": var, **{name: var / name for name in ("originals", "media", "index")}}
        self.folders["temporary folder"] = temporary
        self._mounted: list[Path] = []
        self.reason = ""

    def mount(self) -> None:
        if not sys.platform.startswith("linux") or os.geteuid() != 0:
            self.reason = "only root on Linux may mount the small disks that are filled"
            return
        for folder in self.folders.values():
            folder.mkdir(parents=True, exist_ok=True)
            try:
                _run_mount("-t", "tmpfs", "-o", f"size={ROOM},mode=0755", "tmpfs", folder)
            except subprocess.CalledProcessError as exc:
                self.reason = f"no disk can be mounted here: {exc.stderr.strip()}"
                return
            self._mounted.append(folder)

    def unmount(self) -> None:
        for folder in reversed(self._mounted):
            subprocess.run(["umount", "--lazy", folder], check=False)
        self._mounted.clear()

    @contextmanager
    def fill(self, *names: str) -> Iterator[None]:
        """Let these disks have no room beyond what lies on them."""
        folders = [self.folders[name] for name in names]
        try:
            for folder in folders:
                _shrink_to_content(folder)
            yield
        finally:
            for folder in folders:
                _run_mount("-o", f"remount,size={ROOM}", folder)


def _shrink_to_content(folder: Path) -> None:
    """A disk can be made smaller only down to what it holds, which may grow at this moment."""
    for _ in range(50):
        figures = os.statvfs(folder)
        used = (figures.f_blocks - figures.f_bfree) * figures.f_frsize // BLOCK * BLOCK
        with suppress(subprocess.CalledProcessError):
            # A size of nothing would mean no limit.
            _run_mount("-o", f"remount,size={max(used, BLOCK)}", folder)
            return
        time.sleep(0.02)
    raise RuntimeError(f"{folder} could not be made full")


def _run_mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True, text=True)
