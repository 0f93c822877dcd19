"""The two files a run is known by: what it was asked to do, and the weights it ended with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ml.atomic_files import whole_file
from ml.network.resnet import Architecture
from ml.network.weights import write_weights
from ml.recipe import WEIGHTS

from .errors import TrainingError
from .files import PLAN, has_begun
from .loop import Run

SHA256 = "_sha256"  # how names of options end that stand for a file's content


def claim_folder(folder: Path, asked: dict[str, Any]) -> None:
    """Write down what is asked of the run in `folder`; if it has begun already, compare that with what was asked first.

    Raises:
        TrainingError: the folder cannot be written, holds a run that was asked for something else, or its plan cannot
            be read.
    """
    path = folder / PLAN
    if not (has_begun(folder) and path.exists()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path, "w") as file:
                json.dump(asked, file, indent=2)
        except OSError as exc:
            raise TrainingError(f"{folder} cannot be written: {exc.strerror}. Choose another folder.") from exc
        return
    try:
        first = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        raise TrainingError(f"{path} cannot be read ({exc}); choose another folder.") from exc
    if not isinstance(first, dict):
        raise TrainingError(f"{path} is no plan of a run; choose another folder.")
    names = sorted(name for name in first if first[name] != asked.get(name))
    if names:
        changes = ", ".join(_describe_change(name, first.get(name), asked.get(name)) for name in names)
        raise TrainingError(f"{folder} holds a run with other options ({changes}); choose another folder.")


def _describe_change(name: str, was: object, now: object) -> str:
    if name.endswith(SHA256):
        return f"another {name.removesuffix(SHA256)} file"
    return f"{name} was {was}, not {now}"


def write_outcome(run: Run, architecture: Architecture, start: str) -> Path:
    """Write the weights of the best epoch, with their shape and how they came about."""
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
