"""Writes requirements.lock: all that requirements.txt needs, at one version each, with the hashes of its files.

`pip install --require-hashes` takes from it nothing but the files that were seen when it was written. torch and
torchvision stand outside it, because their builds for processors and for graphics cards differ, and so does what is
installed only beside them. No address of a package index is written, so any mirror will do.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS, DEVELOPMENT, LOCK = (
    ROOT / name for name in ("requirements.txt", "requirements-dev.txt", "requirements.lock")
)
OLDEST_PYTHON = "3.11"
# Each of these requires torch, which would have to be in the lock as well.
BESIDE_TORCH = ("torch", "torchvision", "pytorch-metric-learning")
# The libraries that only builds of torch for graphics cards come with.
OF_CUDA = re.compile(r"(cuda|nvidia|triton)\b")
HEADER = """\
# What requirements.txt needs, with hashes, for Python 3.11 to 3.13. Written by `make lock`; not to be edited by hand.
# Outside it stand torch, torchvision and pytorch-metric-learning: see "Install" in README.md.
"""


def resolve_requirements() -> str:
    """What is to be installed on any platform, as pip reads it, with the versions that development is pinned to."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-annotate"),
        *("--universal", "--python-version", OLDEST_PYTHON, "--only-binary", ":all:", "--generate-hashes"),
        *("--constraints", str(DEVELOPMENT), str(REQUIREMENTS)),
    ]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - all of it is ours


def keep_what_any_build_needs(resolved: str) -> str:
    """The entries but those of torch's builds; an entry is a line with a name and the indented lines after it."""
    entries = re.split(r"^(?=\S)", resolved, flags=re.MULTILINE)
    kept = (entry for entry in entries if not OF_CUDA.match(entry) and read_name(entry) not in BESIDE_TORCH)
    return "".join(kept)


def read_name(entry: str) -> str:
    return entry.partition("==")[0]


if __name__ == "__main__":
    LOCK.write_text(HEADER + keep_what_any_build_needs(resolve_requirements()))
