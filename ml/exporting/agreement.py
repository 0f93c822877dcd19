"""Whether a runtime may stand in for float32: the gate that every lower precision of a model has to pass."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from ml.inference.arrays import Vectors
from ml.recipe import Recipe

NEIGHBOURS = 10
# A graph in 8 bits does best on the pictures that set its ranges, so it is judged on others.
CALIBRATION = 300
LEAST_PICTURES, JUDGED = 500, 600
ENOUGH, WANTED = CALIBRATION + LEAST_PICTURES, CALIBRATION + JUDGED
# At these limits people get nearly the answers of float32: docs/decisions/0010-precision.md has the figures.
MIN_COSINE_MEAN, MIN_COSINE, MIN_OVERLAP = 0.99, 0.93, 0.95


@dataclass(frozen=True)
class Agreement:
    """How two runtimes of one model agree on N pictures.

    Attributes:
        cosine_mean, cosine_min: of the two vectors of a picture.
        overlap: mean part of a picture's ten nearest others, in float32, that are among its ten nearest here too.
        pictures: N.
    """

    cosine_mean: float
    cosine_min: float
    overlap: float
    pictures: int

    @property
    def is_close_enough(self) -> bool:
        """Whether answers stay what they are: never true with too few pictures to tell."""
        return (
            self.pictures >= LEAST_PICTURES
            and self.cosine_mean >= MIN_COSINE_MEAN
            and self.cosine_min >= MIN_COSINE
            and self.overlap >= MIN_OVERLAP
        )

    def as_dict(self) -> dict[str, float | int]:
        """As a recipe holds it."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def measure_agreement(reference: Vectors, found: Vectors) -> Agreement:
    """Compare float32[N, dim], N > 10, rows of length 1, in float32 with the same pictures' at another precision.

    A vector that is not finite, or zero, agrees with none: its cosine is 0.
    """
    found = np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
    cosines = (reference * found).sum(axis=1)
    expected, nearest = _nearest_others(reference), _nearest_others(found)
    shared = [len(np.intersect1d(one, other)) for one, other in zip(expected, nearest, strict=True)]
    return Agreement(
        float(cosines.mean()), float(cosines.min()), float(np.mean(shared)) / NEIGHBOURS, pictures=len(reference)
    )


def explain_precision(recipe: Recipe) -> str:
    """A sentence on a model's precision, with the figures it was chosen by."""
    if not recipe.agreement:
        return f"Precision: bf16 where it is computed, not compared; that takes {ENOUGH} photos that can be read."
    tried = "; ".join(
        f"{name} cosine {found['cosine_mean']:.4f}, at least {found['cosine_min']:.3f}, "
        f"{found['overlap']:.1%} of the ten nearest"
        for name, found in recipe.agreement.items()
    )
    return f"Precision: {recipe.precision}, by agreement with f32 on its photos: {tried}."


def _nearest_others(vectors: Vectors) -> npt.NDArray[np.int64]:
    """int64[N, 10]: for each row the ten others of the largest inner product, in any order."""
    products = vectors @ vectors.T
    np.fill_diagonal(products, -np.inf)
    return np.argpartition(-products, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
