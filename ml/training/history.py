"""What is known after each epoch of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.atomic_files import whole_file

from .files import HISTORY

SPOKEN = {"recall_at_1": "R@1", "map_at_r": "mAP@R"}


@dataclass
class Epoch:
    """One epoch; `seconds` are those of training, and `validation` is empty where nothing is judged."""

    number: int
    size: int
    loss: float
    accuracy: float
    lr: float  # of the head, in the last step
    seconds: float
    pictures: int
    validation: dict[str, float]

    def __str__(self) -> str:
        figures = {"loss": self.loss, "accuracy": self.accuracy} | self.validation
        shown = ", ".join(f"{SPOKEN.get(name, name)} {value:.3f}" for name, value in figures.items())
        return f"epoch {self.number + 1}: {shown}; {self.pictures:,} pictures of {self.size} px in {self.seconds:.0f} s"


def write_history(folder: Path, epochs: Sequence[Epoch]) -> None:
    """Replace the folder's history, a line of JSON for each epoch."""
    with whole_file(folder / HISTORY, "w") as file:
        file.writelines(json.dumps(vars(epoch)) + "\n" for epoch in epochs)
