"""All of a run between two epochs in one file, so that a killed run goes on as if nothing had happened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from ml.recipe import ModelFilesError

CHECKPOINT = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's checkpoint; a power cut leaves the old one or the new one."""
    part = folder / f"{CHECKPOINT}.part"
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / CHECKPOINT)


def load(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, None if there is none yet. Nothing in it is executed.

    Raises:
        ModelFilesError: the file is no checkpoint, is cut short, or holds pickled code.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:
        raise ModelFilesError(
            f"{path} is damaged or no checkpoint ({type(exc).__name__}). Delete it to start again."
        ) from exc
    if not isinstance(state, dict) or "epoch" not in state:
        raise ModelFilesError(f"{path} is no checkpoint of a training run. Delete it to start again.")
    return state
