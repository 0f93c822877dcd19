"""A child of `make dev` that says which Python files were saved: one line for each time, whatever wrote the files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from watchfiles import PythonFilter, watch

from .development import SAVED
from .site import ROOT

FOLDERS = ("listings", "marketplace", "ml", "recommender", "workers")


def format_saved_line(paths: Iterable[str]) -> str:
    return SAVED + ", ".join(sorted({str(Path(path).relative_to(ROOT)) for path in paths}))


def main() -> None:
    for changes in watch(*(ROOT / folder for folder in FOLDERS), watch_filter=PythonFilter()):
        print(format_saved_line(path for _, path in changes), flush=True)


if __name__ == "__main__":
    main()
