"""The files in the folder of a run. Importing this loads nothing heavy."""

from __future__ import annotations

from pathlib import Path

from ml.recipe import WEIGHTS

CHECKPOINT = "checkpoint.pt"
HISTORY = "history.jsonl"
PLAN = "plan.json"
ENCODER = "encoder.xml"  # what `--head` writes: a network of others with a layer of ours
TENSORBOARD = "tensorboard"
CACHE = "cache"  # decoded pictures, which take far more room than their files; deleted when the run is over


def has_finished_epoch(folder: Path) -> bool:
    """Return whether the run in `folder` has ended an epoch. From then on what it was asked for stays."""
    return find_final_weights(folder) is not None or (folder / CHECKPOINT).exists()


def find_final_weights(folder: Path) -> Path | None:
    """Return the weights of a run that is over, None before: they are written last."""
    path = folder / WEIGHTS
    return path if path.exists() else None
