"""What a cosine of one model means: the probability that two photos show the same kind of thing.

A cosine means something else under every model, and for every photo: some are like everything. So it is measured in
units of its query: how far above the mean of the query's cosines to a fixed set of photos, in their standard
deviations (test normalisation of speaker verification: Auckenthaler et al., Digital Signal Processing 10, 2000). The
probability is a logistic curve of that (Platt 1999). A query that looks like pictures that show nothing is like none.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ml.errors import MlError
from ml.inference.arrays import Vectors

Floats = npt.NDArray[np.float64]
# What a curve was fitted on: labelled photos; photos of one listing against those of others; photos of its own
# evaluation, by whoever made the model; drawings of the demo.
Basis = Literal["labels", "listings", "shipped", "drawings"]

LEAST_DEVIATION = 1e-3  # of a query's cosines; a model under which they differ by less tells nothing apart
FORMAT = 1


class CalibrationError(MlError):
    """A calibration cannot be read, or is of vectors of another length."""


def compute_logistic(log_odds: Floats) -> Floats:
    """Probabilities float64[N] of log-odds float64[N], which may be infinite."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-log_odds))


@dataclass(frozen=True)
class QueryScale:
    """What cosines of one query mean, by its photos.

    Attributes:
        slope, offset: log-odds of a cosine c are `slope * c + offset`.
        is_blank: whether its photos show nothing that this model knows, so that no cosine means anything.
    """

    slope: float
    offset: float
    is_blank: bool

    def compute_log_odds(self, cosines: npt.ArrayLike) -> Floats:
        """float64[N] of float[N]: minus infinity for a query that shows nothing."""
        found = self.slope * np.asarray(cosines, np.float64) + self.offset
        return np.full_like(found, -np.inf) if self.is_blank else found

    def compute_probabilities(self, cosines: npt.ArrayLike) -> Floats:
        """float64[N] of float[N]: 0 for a query that shows nothing."""
        return compute_logistic(self.compute_log_odds(cosines))

    def find_least_cosine(self, probability: float) -> float:
        """The cosine from which the probability is at least this; infinite where none is enough, or any."""
        if probability <= 0:
            return -np.inf
        if probability >= 1 or self.is_blank:
            return np.inf
        return float((np.log(probability / (1 - probability)) - self.offset) / self.slope)


@dataclass(frozen=True)
class Calibration:
    """A model's curve, and the vectors by which each query is measured.

    Attributes:
        slope, offset: of the logistic curve, over deviations above a query's mean.
        references: float32[R, dim], photos of all sorts; a query's mean and deviation are those of its cosines to them.
        blanks: float32[B, dim], of pictures that show nothing: noise, text, one colour.
        blank_limit: cosine to the nearest of these from which on a photo shows nothing either.
        basis: what the curve was fitted on.
        pairs: how many pairs it was fitted on, half of them of the same kind.
        error: expected calibration error on pairs it was not fitted on, 0 to 1; None where there were too few.
    """

    slope: float
    offset: float
    references: Vectors
    blanks: Vectors
    blank_limit: float
    basis: Basis
    pairs: int
    error: float | None

    def scale_query(self, vectors: Vectors) -> QueryScale:
        """What cosines to the nearest of a query's photos mean; float32[m, dim], m > 0, rows of length 1.

        Photos that show nothing count only where there is no other.

        Raises:
            CalibrationError: the vectors have another length.
        """
        blank = self.find_blanks(vectors)
        means, deviations = self.measure_usual_cosines(vectors if blank.all() else vectors[~blank])
        mean, deviation = float(means.mean()), float(deviations.mean())
        return QueryScale(self.slope / deviation, self.offset - self.slope * mean / deviation, bool(blank.all()))

    def measure_usual_cosines(self, vectors: Vectors) -> tuple[Floats, Floats]:
        """Mean and standard deviation, float64[m] each, of the cosines of float32[m, dim] to the references."""
        cosines = self._multiply(vectors, self.references)
        return cosines.mean(axis=1), np.maximum(cosines.std(axis=1), LEAST_DEVIATION)

    def find_blanks(self, vectors: Vectors) -> npt.NDArray[np.bool_]:
        """bool[m]: which of float32[m, dim] are as near to a picture that shows nothing as to be one."""
        return np.asarray(self._multiply(vectors, self.blanks).max(axis=1) >= self.blank_limit)

    def _multiply(self, vectors: Vectors, others: Vectors) -> Floats:
        if vectors.shape[1] != others.shape[1]:
            raise CalibrationError(
                f"Vectors of {vectors.shape[1]} dimensions cannot be judged by a curve of {others.shape[1]}."
            )
        return (vectors @ others.T).astype(np.float64)

    def to_bytes(self) -> bytes:
        """As `from_bytes` reads it: an uncompressed .npz file, its vectors in float16."""
        file = io.BytesIO()
        np.savez(
            file,
            format=np.int64(FORMAT),
            curve=np.array(
                [self.slope, self.offset, self.blank_limit, np.nan if self.error is None else self.error], np.float64
            ),
            pairs=np.int64(self.pairs),
            basis=np.array(self.basis),
            references=self.references.astype(np.float16),
            blanks=self.blanks.astype(np.float16),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Calibration:
        """Read what `to_bytes` wrote.

        Raises:
            CalibrationError: it is something else, or damaged.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                if int(file["format"]) != FORMAT:
                    raise CalibrationError(f"This calibration has format {file['format']}; this code reads {FORMAT}.")
                slope, offset, limit, error = map(float, file["curve"])
                return cls(
                    slope,
                    offset,
                    file["references"].astype(np.float32),
                    file["blanks"].astype(np.float32),
                    limit,
                    str(file["basis"]),  # type: ignore[arg-type]  # what was written is one of them
                    int(file["pairs"]),
                    None if np.isnan(error) else error,
                )
        except (ValueError, KeyError, OSError, EOFError, TypeError, BadZipFile) as exc:
            raise CalibrationError(f"A model's calibration is damaged: {exc}.") from exc
