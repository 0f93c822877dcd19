"""Models for tests, built once, kept under `var/`, shared by every process until their code changes."""

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTER = ROOT / "ml" / "starter" / "weights.safetensors"
CACHE = ROOT / "var" / "test-cache"
CODE = (
    "exporting/export",
    "exporting/graph",
    "exporting/model_directory",
    "inference/openvino_runtime",
    "inference/arrays",
    "network/colour",
    "network/item_mask",
    "network/resnet",
    "network/torchvision_compat",
    "network/weights",
    "recipe",
)


def untrained_model_dir() -> Path:
    """A directory that `Embedder.load` accepts; about ten seconds the first time, then nothing."""
    return _built("untrained")


def starter_model_dir() -> Path:
    """As `make run` registers it."""
    return _built("starter", weights="starter")


def small_model_dir(dim: int) -> Path:
    """A model of this dimension that embeds a photo in milliseconds."""
    return _built(f"small-{dim}", "--arch", "resnet18", "--size", "64", "--dim", str(dim))


@cache
def _built(name: str, *options: str, weights: str = "untrained") -> Path:
    directory = CACHE / f"{name}-{_code_hash()}"
    if not (directory / "recipe.json").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "build.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not directory.exists():
                _export(directory, "--weights", weights, *options)
    return directory


def _export(directory: Path, *options: str) -> None:
    command = [sys.executable, "-m", "ml", "export", "--out", str(directory), *options]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _code_hash() -> str:
    digest = hashlib.sha256()
    for name in CODE:
        digest.update((ROOT / "ml" / f"{name}.py").read_bytes())
    for file in (STARTER, STARTER.with_suffix(".calibration.npz")):
        digest.update(file.read_bytes())
    for package in ("torch", "torchvision", "openvino"):
        digest.update(version(package).encode())
    return digest.hexdigest()[:16]


def share(source: str, target: str) -> str:
    """For `copytree`: a hard link, or a copy where `target` is on another file system, as a /tmp in memory is."""
    try:
        os.link(source, target)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        shutil.copy2(source, target)
    return target
