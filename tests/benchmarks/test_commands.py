"""Naming a benchmark loads none of the heavy libraries: some benchmarks measure the memory of their own process."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.index.embeddings import ROOT

HEAVY = ("faiss", "torch", "openvino", "scipy")


def test_the_list_of_benchmarks_loads_nothing_heavy():
    code = f"import sys, benchmarks.__main__; print([name for name in {HEAVY} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
