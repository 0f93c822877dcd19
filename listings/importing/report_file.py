"""The file that an import's findings go to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ml.catalogue.encodings import CatalogueError
from ml.catalogue.findings import Report

REPORT_COLUMNS = ("line", "file", "column", "value", "reason")


@contextmanager
def open_report(path: Path, inputs: Iterable[Path]) -> Iterator[Report]:
    """A new report at `path`, in place of the one of the import before, but never of a file that is read."""
    try:
        if path.exists() and any(path.samefile(file) for file in inputs):
            raise CatalogueError(f"The report would replace {path}, which is to be imported; choose another file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Buffered by the line, so that an import that is killed leaves in the report what it has found so far.
        file = path.open("w", encoding="utf-8", newline="", buffering=1)
    except OSError as exc:
        raise CatalogueError(f"The report {path} cannot be written: {exc.strerror}.") from exc
    with file:
        yield Report(file, REPORT_COLUMNS)
