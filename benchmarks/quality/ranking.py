"""Measures how often one picture outranks others, by the cosines of a query to the right and to every wrong answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ml.images import make_clean_picture
from ml.inference.embedder import Embedder

from .intervals import bootstrap_mean


@dataclass(frozen=True)
class Trial:
    """A query, the picture that should come before all others, and those others."""

    query: Image.Image
    right: Image.Image
    wrong: list[Image.Image]


def measure_share_won(embedder: Embedder, trials: Iterable[Trial]) -> tuple[list[float], int]:
    """The share of trials in which the right picture is nearer than every wrong one, and how many there were.

    The share is a mean with both ends of its interval, as `bootstrap_mean` gives it.
    """
    won = []
    for trial in trials:
        pictures = [
            embedder.prepare(make_clean_picture(picture)) for picture in (trial.query, trial.right, *trial.wrong)
        ]
        query, right, *wrong = embedder.embed(np.stack(pictures))
        won.append(bool(query @ right > max(query @ each for each in wrong)))
    return bootstrap_mean(won), len(won)
