"""Draws what `benchmarks index --json` wrote for several sizes: `python -m benchmarks.index.curve F … SVG`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.shared.plot import draw_lines

CURVES = {
    "build, s": "build_s",
    "build, MB at most": "peak_build_rss_mb",
    "p50, ms": "p50_ms",
    "p99, ms": "p99_ms",
    "codes, B a row": "code_bytes_per_row",
}


def main(sources: list[Path], target: Path) -> None:
    runs = [json.loads(path.read_text()) for path in sources]
    series = {name: {run["rows"]: float(run[key]) for run in runs if run.get(key)} for name, key in CURVES.items()}
    target.write_text(
        draw_lines("One segment, one thread, 2 cores to build", "rows of 1,000 dimensions", series, logarithmic=True)
    )


if __name__ == "__main__":
    *files, picture = map(Path, sys.argv[1:])
    main(files, picture)
