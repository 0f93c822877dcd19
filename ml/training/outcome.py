"""The two files a run is known by: what it was asked to do, and the weights it ended with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ml.atomic_files import open_atomic_text
from ml.network.resnet import Architecture
from ml.network.weights import write_weights
from ml.recipe import WEIGHTS

from .errors import TrainingError
from .files import PLAN, has_finished_epoch
from .loop import Run

SHA256 = "_sha256"  # an option that ends so holds a checksum, which tells people nothing: a refusal names the file


def record_or_compare_plan_options(folder: Path, asked: Mapping[str, object]) -> None:
    """Write down what is asked of the run in `folder`, or compare it with what was asked when the run began.

    Raises:
        TrainingError: the folder cannot be written, holds a run that was asked for something else, or its plan cannot
            be read.
    """
    path = folder / PLAN
    # Until an epoch has ended nothing was learned under the old options, so a mistyped one may still be corrected.
    if not (has_finished_epoch(folder) and path.exists()):
        _write_plan_options(path, asked)
        return
    first = _read_plan_options(path)
    if names := sorted(name for name in first if first[name] != asked.get(name)):
        changes = ", ".join(_describe_change(name, first.get(name), asked.get(name)) for name in names)
        raise TrainingError(f"{folder} holds a run with other options ({changes}); choose another folder.")


def _write_plan_options(path: Path, asked: Mapping[str, object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic_text(path) as file:
            json.dump(dict(asked), file, indent=2)
    except OSError as exc:
        raise TrainingError(f"{path.parent} cannot be written: {exc.strerror}. Choose another folder.") from exc


def _read_plan_options(path: Path) -> dict[str, object]:
    try:
        first = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        raise TrainingError(f"{path} cannot be read ({exc}); choose another folder.") from exc
    if not isinstance(first, dict):
        raise TrainingError(f"{path} is no plan of a run; choose another folder.")
    return first


def _describe_change(name: str, was: object, now: object) -> str:
    if name.endswith(SHA256):
        return f"another {name.removesuffix(SHA256)} file"
    return f"{name} was {was}, not {now}"


def write_best_weights(run: Run, architecture: Architecture, start: str) -> Path:
    """Write the weights of the best epoch with the shape of their network and how they came about; return the file."""
    best = run.epochs[run.best.epoch]
    path = run.folder / WEIGHTS
    write_weights(
        path,
        run.best_network(),
        architecture,
        recipe=run.plan.recipe,
        start=start,
        classes=str(len(run.photos.classes)),
        pictures=str(len(run.photos.targets)),
        epoch=str(best.number + 1),
        metrics=json.dumps(best.validation),
    )
    return path
