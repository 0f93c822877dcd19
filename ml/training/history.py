"""What is known after each epoch of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.atomic_files import open_atomic_text

from .files import HISTORY

NAMES = {"recall_at_1": "R@1", "map_at_r": "mAP@R"}  # as papers write them; people read these lines


@dataclass
class Epoch:
    """What is known of one epoch. The fields' names are those in `history.jsonl` and in checkpoints.

    Attributes:
        number: from 0.
        size: the side of the pictures, in pixels.
        loss: the mean of its steps.
        accuracy: the share of training pictures whose class was right, 0 to 1.
        lr: the rate of the head in the last step.
        seconds: of training, without those of judging and saving.
        pictures: how many were shown.
        validation: metrics from 0 to 1; empty where nothing is judged.
    """

    number: int
    size: int
    loss: float
    accuracy: float
    lr: float
    seconds: float
    pictures: int
    validation: dict[str, float]

    def __str__(self) -> str:
        figures = {"loss": self.loss, "accuracy": self.accuracy} | self.validation
        shown = ", ".join(f"{NAMES.get(name, name)} {value:.3f}" for name, value in figures.items())
        return f"epoch {self.number + 1}: {shown}; {self.pictures:,} pictures of {self.size} px in {self.seconds:.0f} s"


def write_history(folder: Path, epochs: Sequence[Epoch]) -> None:
    """Replace the folder's history, a line of JSON for each epoch."""
    with open_atomic_text(folder / HISTORY) as file:
        file.writelines(json.dumps(vars(epoch)) + "\n" for epoch in epochs)
