"""What the largest and costliest files that the limits let in cost, each in processes that decode nothing else.

`python -m benchmarks.pictures.limits FILE [x,y,w,h]` decodes one and prints its figures; the benchmark runs it so for
each file, with and without a crop.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.index.embeddings import ROOT
from benchmarks.shared.machine import read_cpu_seconds, read_peak_rss_mb

from .limit_files import KINDS
from .memory import Watch

CROP = "0.3,0.3,0.02,0.02"


def measure_limits(wanted: str, *, site: bool) -> dict[str, Any]:
    """The figures of each file, printed as a table, and what they do to a site's processes."""
    from .limit_site import measure_site

    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="mp-bench-") as folder:
        files: dict[str, Path] = {}
        for number, kind in enumerate(kind for kind in KINDS if wanted.casefold() in kind.name.casefold()):
            megapixels, data = kind.make_largest()
            files[kind.name] = Path(folder) / f"{number}"
            files[kind.name].write_bytes(data)
            for name, crop in ((kind.name, ""), (f"{kind.name}, crop", CROP)):
                size = {"megapixels": round(megapixels), "mb": round(len(data) / 1024**2, 1)}
                figures[name] = size | _measure_alone(files[kind.name], crop)
        print_table(figures)
        served = measure_site(files, CROP) if site else {}
    if served:
        print_table(served)
    return {"files": figures, "site": served}


def print_table(rows: Mapping[str, Mapping[str, object]]) -> None:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    print(f"{'':38}" + "".join(f"{column:>16}" for column in columns))
    for name, row in rows.items():
        print(f"{name:38}" + "".join(f"{row.get(column, '')!s:>16}" for column in columns), flush=True)


def _measure_alone(path: Path, crop: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.pictures.limits", str(path), *filter(None, [crop])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def decode_one(path: Path, crop: Sequence[float]) -> dict[str, Any]:
    """Decode a file as the site does, and say what that took here and in the process beside."""
    from ml.images import CLEAN_SIDE, PhotoRefused, decode, decoder_process

    data, start = path.read_bytes(), time.process_time()
    box = (crop[0], crop[1], crop[2], crop[3]) if crop else None
    refused = ""
    with Watch({"asking": [0]}) as watch:
        try:
            decode(data, CLEAN_SIDE, box)
        except PhotoRefused as refusal:
            refused = refusal.reason
        children = [child.pid for child in decoder_process.idle_children.get()]
        seconds = time.process_time() - start + sum(map(read_cpu_seconds, children))
        decoders = [read_peak_rss_mb(child) for child in children]
    peaks = watch.peaks["asking"]
    figures = {
        "seconds": round(seconds, 2),
        "decoder_mb": max(decoders, default=0),
        "decoder_pss_mb": peaks.children,
        "asking_mb": read_peak_rss_mb(),
        "asking_pss_mb": peaks.alone,
    }
    return figures | ({"refused": refused} if refused else {})


if __name__ == "__main__":
    print(json.dumps(decode_one(Path(sys.argv[1]), [float(edge) for edge in "".join(sys.argv[2:]).split(",") if edge])))
