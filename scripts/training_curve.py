"""How good a network became with time: python -m scripts.training_curve RUN [RUN …] --out curve.svg.

Draws mAP@R of each run against its minutes of training, on a scale that doubles, so that a curve that flattens says
that more hours bring little.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.shared.plot import draw_lines
from ml.training.files import HISTORY


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of runs that were judged")
    parser.add_argument("--out", type=Path, required=True, help="the SVG to write")
    options = parser.parse_args()
    series = {run.name: read_curve(run) for run in options.runs}
    options.out.write_text(draw_lines("mAP@R, %", "minutes of training", series))


def read_curve(run: Path) -> dict[int, float]:
    """Return {minutes: mAP@R in percent} of a run, at each doubling of its minutes and at its end."""
    points, minutes = {}, 0.0
    for line in (run / HISTORY).read_text().splitlines():
        epoch = json.loads(line)
        minutes += epoch["seconds"] / 60
        if "map_at_r" not in epoch["validation"]:
            sys.exit(f"{run} was judged by its loss alone; train with --validation.")
        points[max(1, round(minutes))] = 100 * epoch["validation"]["map_at_r"]
    last = max(points)
    doubled = [2**power for power in range(last.bit_length())]
    # Each doubling takes the first epoch that ends there or later, which is drawn where it ended.
    kept = {min(each for each in points if each >= wanted) for wanted in doubled} | {last}
    return {each: points[each] for each in sorted(kept)}


if __name__ == "__main__":
    main()
