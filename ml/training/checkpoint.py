"""All of a run between two epochs in one file, so that a killed run goes on as if nothing had happened."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ml.atomic_files import whole_file
from ml.recipe import ModelFilesError

from .files import CHECKPOINT

KEYS = {"plan", "classes", "epoch", "epochs", "best", "network", "loss", "average", "optimiser"}
DAMAGE = (  # what torch.load raises on files that are no checkpoints, or parts of one
    pickle.UnpicklingError,
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's checkpoint; a power cut leaves the old one or the new one."""
    with whole_file(folder / CHECKPOINT) as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


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
    except DAMAGE as exc:
        raise ModelFilesError(
            f"{path} is damaged, or holds more than weights ({type(exc).__name__}); nothing in it was run. "
            "Delete it to start again."
        ) from exc
    if not isinstance(state, dict) or not state.keys() >= KEYS:
        raise ModelFilesError(f"{path} is no checkpoint of a training run. Delete it to start again.")
    return state


def require_shapes(folder: Path, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint whose weights are another network's.

    Raises:
        ModelFilesError: a tensor is missing, superfluous or of another shape; the message names the first.
    """
    path = folder / CHECKPOINT
    for name in sorted(saved.keys() ^ wanted.keys()):
        has = "has" if name in saved else "does not have"
        raise ModelFilesError(f"{path} is of another architecture: it {has} {name}. Choose another folder.")
    for name, tensor in wanted.items():
        if saved[name].shape != tensor.shape:
            there, here = ("x".join(map(str, shape)) or "one number" for shape in (saved[name].shape, tensor.shape))
            what = "dimension" if name.startswith("fc.") else "architecture"
            raise ModelFilesError(
                f"{path} is of a network of another {what}: {name} is {there}, not {here}. Choose another folder."
            )
