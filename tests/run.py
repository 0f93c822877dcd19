"""`make test`: three runs of pytest and one sum, which says how many tests ran on which database.

1. everything but acceptance, on SQLite; 2. what touches the database again, on a private PostgreSQL;
3. the acceptance tests, two files at a time: each starts whole sites and waits for them half of the time.

With arguments (`make test ARGS="…"`) it is one run of pytest on SQLite with these arguments instead.

`make soak` (`--soak`) runs the long forms of tests, which take minutes each, and nothing else: SOAK=1 makes the
acceptance tests long.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

PARALLEL = ("-n", "auto", "--maxprocesses=4", "--dist=worksteal")
# `ml` knows no Django, so its tests touch no database, and to collect them each process would import torch.
ONLY_DATABASE = ("--only-database", "--ignore=tests/ml")
# By the folder, because collecting all tests takes a quarter of a minute.
ACCEPTANCE = ("tests/acceptance", "-m", "acceptance and not soak")
PYTEST_OK = (0, 5)  # 5: no test was selected


@dataclass(frozen=True)
class Run:
    name: str
    arguments: tuple[str, ...]
    postgres: bool = False


RUNS = (
    Run("SQLite", ("-m", "not acceptance and not soak", *PARALLEL)),
    Run("PostgreSQL", ("-m", "not acceptance and not soak", *ONLY_DATABASE, *PARALLEL), postgres=True),
    Run("Whole stack", (*ACCEPTANCE, "-p", "no:randomly", "-n", "2", "--dist=loadfile", "--durations=5")),
)

PATIENT = ("--timeout=3600", "--durations=0")
LONG_RUNS = (
    Run("SQLite", ("-m", "soak and not acceptance", *PARALLEL, *PATIENT)),
    Run("PostgreSQL", ("-m", "soak and not acceptance", *ONLY_DATABASE, *PARALLEL, *PATIENT), postgres=True),
    Run("Whole stack", ("tests/acceptance/test_catalogue.py", "tests/acceptance/test_faults.py", *PATIENT)),
)


@dataclass(frozen=True)
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def count(report: Path) -> Count:
    """What a JUnit report counts; a run that died without one counts as one failure."""
    if not report.exists():
        return Count(failed=1)
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it a moment ago
    total = Count()
    for suite in suites:
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        total += Count(int(suite.get("tests", 0)) - failed - skipped, failed, skipped)
    return total


def clean_environment() -> dict[str, str]:
    """Without what would point the tests at the database or the settings of a real site."""
    ours = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    return {name: value for name, value in os.environ.items() if name not in ours}


def execute(run: Run, report: Path) -> tuple[Count, int]:
    pytest = [sys.executable, "-m", "pytest", "-rs", f"--junitxml={report}", *run.arguments]
    wrapped = [sys.executable, "-m", "tests.servers.postgres", "--", *pytest] if run.postgres else pytest
    status = subprocess.run(wrapped, env=clean_environment(), stdin=subprocess.DEVNULL, check=False).returncode
    return count(report), 0 if status in PYTEST_OK else status


def run_chosen(arguments: list[str]) -> int:
    """Run pytest once, as a person at a terminal wants it: in one process, so that `--pdb` and `-s` work, and failing
    where nothing was selected, because an expression that selects nothing is a slip of the hand."""
    command = [sys.executable, "-m", "pytest", "-rs", *arguments]
    return subprocess.run(command, env=clean_environment(), check=False).returncode


def run_all(runs: tuple[Run, ...]) -> int:
    lines, total, worst = [], Count(), 0
    with tempfile.TemporaryDirectory(prefix="mp-report-") as reports:
        for number, run in enumerate(runs):
            print(f"\n== {run.name}", flush=True)
            began = time.monotonic()
            counted, status = execute(run, Path(reports) / f"{number}.xml")
            lines.append(f"{run.name:<12} {counted}  ({time.monotonic() - began:.0f} s)")
            total, worst = total + counted, worst or status
    print("", *lines, "", total, sep="\n")
    return worst


if __name__ == "__main__":
    if sys.argv[1:] == ["--soak"]:
        os.environ["SOAK"] = "1"
        sys.exit(run_all(LONG_RUNS))
    sys.exit(run_chosen(sys.argv[1:]) if sys.argv[1:] else run_all(RUNS))
