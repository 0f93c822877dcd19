"""The published snapshots of one model."""

from __future__ import annotations

from recommender.models import EmbeddingModel, IndexSnapshot


def published_of(model: EmbeddingModel) -> list[IndexSnapshot]:
    """The oldest first."""
    return list(IndexSnapshot.objects.filter(model=model, state="published").order_by("pk"))


def latest_of(model: EmbeddingModel) -> IndexSnapshot:
    return published_of(model)[-1]
