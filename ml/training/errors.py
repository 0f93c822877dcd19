"""What stops a training run."""

from __future__ import annotations

from ml.errors import MlError


class TrainingError(MlError):
    """A run cannot start, or cannot go on; the message says why."""
