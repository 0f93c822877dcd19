"""The untrained model for tests: built once, kept under `var/`, shared by every process until its code changes."""

import fcntl
import hashlib
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "var" / "test-cache"
CODE = ("export", "preprocess", "recipe", "resnet", "runtime", "torchvision_compat", "weights")


@cache
def untrained_model_dir() -> Path:
    """A directory that `Embedder.load` accepts; about ten seconds the first time, then nothing."""
    directory = CACHE / f"untrained-{_code_hash()}"
    if not (directory / "recipe.json").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "build.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not directory.exists():
                _export(directory)
    return directory


def _export(directory: Path) -> None:
    command = [sys.executable, "-m", "ml", "export", "--weights", "untrained", "--out", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _code_hash() -> str:
    digest = hashlib.sha256()
    for name in CODE:
        digest.update((ROOT / "ml" / f"{name}.py").read_bytes())
    for package in ("torch", "torchvision", "openvino"):
        digest.update(version(package).encode())
    return digest.hexdigest()[:16]
