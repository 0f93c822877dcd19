"""Sets the clock of a site's processes while they run, and nobody else's: a small library is loaded into each of them.

libfaketime cannot do it here: with its monotonic clocks left alone, `time.sleep` of CPython fails.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock_shim.c")


class Clock:
    """`environ` goes into the processes; it is empty where no C compiler is installed, and then `reason` says so."""

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "clock"
        self.set(0)
        self._offset.chmod(0o644)
        self.environ: dict[str, str] = {}
        self.reason = ""
        if compiler := shutil.which("cc"):
            library = folder / "clock.so"
            subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, SOURCE], check=True)
            self.environ = {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(self._offset)}
        else:
            self.reason = "no C compiler (cc) is installed, which makes the clock that can be set"

    def set(self, seconds: int) -> None:
        """Show so many seconds more than it is."""
        # Written in place, because the processes have this file mapped.
        with self._offset.open("r+b" if self._offset.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))
