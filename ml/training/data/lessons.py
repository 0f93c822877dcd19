"""What teachers say of pictures, as those who show the pictures need it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from .views import View

Ints = npt.NDArray[np.int64]


class Lessons(Protocol):
    """The views of one epoch, and what teachers say of them."""

    def view(self, position: int) -> View:
        """Return which part of the picture at this position is seen."""

    def vectors(self, positions: Ints) -> npt.NDArray[np.float32]:
        """Return float32[B, dim] of views of int64[B] positions: rows of length 1, or zeros where none was asked."""


class Teachers(Protocol):
    """Those who are asked; `dim` is the length of what they say."""

    dim: int

    def prepare_lessons(self, number: int, order: Ints) -> Lessons:
        """Ask of view `number` of the pictures in int64[M] `order`."""
