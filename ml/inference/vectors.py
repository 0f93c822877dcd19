"""Which vectors may be stored, indexed and compared: one rule for every room, and numpy alone to state it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Runtimes of low precision miss the length 1 by a few hundredths; vectors that are wrong miss it by far.
UNIT_NORMS = (0.9, 1.1)


def is_indexable(vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """bool[n]: whether each row of float[n, dim] is finite and of unit length: inner products with it are cosines."""
    with np.errstate(over="ignore", invalid="ignore"):  # a row of huge or missing numbers is refused, not warned about
        norms = np.linalg.norm(vectors.astype(np.float32), axis=1)
    # The norm of a row that is not finite is infinite or NaN, and so passes neither comparison.
    return (norms > UNIT_NORMS[0]) & (norms < UNIT_NORMS[1])
