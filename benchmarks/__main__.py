"""`python -m benchmarks NAME [--json FILE]`: a benchmark is a module of this package with `run(arguments) -> dict`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import pictures, quality
from .embedding import embedding
from .faults import faults
from .index import index
from .quality import recipes
from .site import api, churn, freshness, pipeline, slow

BENCHMARKS = {
    "api": api,
    "churn": churn,
    "embedding": embedding,
    "faults": faults,
    "freshness": freshness,
    "index": index,
    "pictures": pictures,
    "pipeline": pipeline,
    "quality": quality,
    "recipes": recipes,
    "slow": slow,
}

# The benchmark prints these itself, in a form that people can read.
ONLY_IN_FILE = ("table", "explained")


def without_nan(figures: dict[str, Any]) -> dict[str, Any]:
    """With null for what is no number, such as a percentile of nothing, which JSON cannot say."""
    return json.loads(json.dumps(figures), parse_constant=lambda name: None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speed and quality.")
    names = parser.add_subparsers(dest="name", required=True)
    for name, module in BENCHMARKS.items():
        command = names.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        module.add_arguments(command)
        command.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    figures = without_nan({**BENCHMARKS[arguments.name].run(arguments), "cores": len(os.sched_getaffinity(0))})
    print(json.dumps({name: figure for name, figure in figures.items() if name not in ONLY_IN_FILE}, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(any((figures.get(name) or 0) > 0 for name in ("lost", "copies_computed", "broken")))


if __name__ == "__main__":
    sys.exit(main())
