"""All of a run between two epochs in one file, so that a killed run goes on as if nothing had happened."""

from __future__ import annotations

import json
import math
import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ml.atomic_files import open_atomic_file
from ml.recipe import ModelFilesError

from .files import CHECKPOINT
from .history import Epoch

FORMAT = 1  # version 0.1.0 wrote this format without naming it, so a checkpoint that names none is read as this
Weights = dict[str, Tensor]

# torch.load raises any of these on a file that is no checkpoint, or was cut off: which one depends on where.
DAMAGE = (
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


@dataclass(frozen=True)
class Best:
    """The best epoch so far: its number from 0, its mAP@R, and the weights of its result on the CPU.

    The number is -1 before the first epoch has ended. Without validation every epoch is better than the one before.
    """

    epoch: int = -1
    map_at_r: float = -math.inf
    weights: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """What a resumed run needs: what it was asked for, what it has learned, and what is known of its epochs."""

    plan: dict[str, object]
    classes: list[str]
    epochs: list[Epoch]
    best: Best
    network: Weights
    loss: Weights
    average: Weights | None
    optimiser: dict[str, Any]  # as torch nests it: nothing here depends on what is inside
    photos: str | None = None  # a fingerprint, which the first checkpoints lack: they are compared by plan and classes

    def as_dict(self) -> dict[str, object]:
        """Return what is written: tensors, numbers, strings, and lists and dictionaries of them, and no classes.

        So a checkpoint can be read without running code that is in it.
        """
        return vars(self) | {
            "format": FORMAT,
            "plan": json.dumps(self.plan),
            "epoch": len(self.epochs),
            "epochs": [vars(epoch) for epoch in self.epochs],
            "best": vars(self.best),
        }

    @classmethod
    def from_dict(cls, state: object) -> Checkpoint:
        """Take a checkpoint apart that `as_dict` has put together, now or in an older version.

        Raises:
            TypeError, KeyError, ValueError: it is something else.
        """
        if not isinstance(state, dict):
            raise TypeError("a checkpoint is a dictionary")
        checkpoint = cls(
            plan=json.loads(state["plan"]),
            classes=state["classes"],
            epochs=[Epoch(**fields) for fields in state["epochs"]],
            best=Best(**state["best"]),
            network=state["network"],
            loss=state["loss"],
            average=state["average"],
            optimiser=state["optimiser"],
            photos=state.get("photos"),
        )
        parts = (checkpoint.plan, checkpoint.best.weights, checkpoint.network, checkpoint.loss, checkpoint.optimiser)
        if not all(isinstance(part, dict) for part in parts):
            raise TypeError("a plan, weights or an optimiser's state are no dictionary")
        return checkpoint


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the folder's checkpoint; a power cut leaves the old one or the new one."""
    with open_atomic_file(folder / CHECKPOINT, survives_power_cut=True) as file:
        torch.save(checkpoint.as_dict(), file)


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read the folder's checkpoint, None if there is none yet. Nothing in it is executed.

    Raises:
        ModelFilesError: the file is no checkpoint, is cut short, holds pickled code, or is of a later version.
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
    _refuse_unknown_format(path, state)
    # torch loads without complaint what another program saved; that it is no checkpoint shows only here.
    try:
        return Checkpoint.from_dict(state)
    except (TypeError, LookupError, ValueError) as exc:
        raise ModelFilesError(f"{path} is no checkpoint of a training run. Delete it to start again.") from exc


def _refuse_unknown_format(path: Path, state: object) -> None:
    found = state.get("format", FORMAT) if isinstance(state, dict) else FORMAT
    if found != FORMAT:
        raise ModelFilesError(
            f"{path} says format = {found!r}; this version of the code knows only {FORMAT}. "
            "Go on with the version that wrote it, or choose another folder."
        )


def require_shapes(folder: Path, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint whose weights are another network's.

    Raises:
        ModelFilesError: a tensor is missing, superfluous or of another shape; the message names the first.
    """
    path = folder / CHECKPOINT
    if names := sorted(saved.keys() ^ wanted.keys()):
        has = "has" if names[0] in saved else "does not have"
        raise ModelFilesError(f"{path} is of another architecture: it {has} {names[0]}. Choose another folder.")
    if names := [name for name, tensor in wanted.items() if saved[name].shape != tensor.shape]:
        raise ModelFilesError(f"{path} is of a network of {_describe_shape_difference(names[0], saved, wanted)}")


def _describe_shape_difference(name: str, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    there, here = ("x".join(map(str, tensors[name].shape)) or "one number" for tensors in (saved, wanted))
    what = "dimension" if name.startswith("fc.") else "architecture"
    return f"another {what}: {name} is {there}, not {here}. Choose another folder."
