"""The published snapshots of one model."""

from __future__ import annotations

from recommender.models import EmbeddingModel, IndexSnapshot


def line_of(model: EmbeddingModel) -> list[IndexSnapshot]:
    """The oldest first."""
    return list(IndexSnapshot.objects.filter(model=model, state="published").order_by("pk"))


def tip_of(model: EmbeddingModel) -> IndexSnapshot:
    return line_of(model)[-1]
