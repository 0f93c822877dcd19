"""Models at a point of their life, for tests of the registry's commands and pages."""

from __future__ import annotations

from typing import Any

from recommender import feed
from recommender.embedding import sweep
from recommender.models import Embedding, EmbeddingModel, IndexSnapshot

FIGURE = {"mean": 0.4123, "low": 0.4, "high": 0.43}
FIGURES = dict.fromkeys(("recall_at_1", "recall_at_5", "recall_at_10", "map_at_r"), FIGURE)
EVALUATION: dict[str, Any] = {
    "data": "clothing/unseen",
    "at": "2026-01-02T03:04:05+00:00",
    "report": "20260102-030405-unseen.html",
    "n": 1500,
    **FIGURES,
    "macro": {"classes": 15, **FIGURES},
}


def embedded_by(model: EmbeddingModel) -> None:
    """Every photo has a vector of this model, and its index is published."""
    sweep.insert_missing_rows(model)
    Embedding.objects.filter(model=model).update(state="done", vector=b"\0\0")
    IndexSnapshot.objects.create(
        model=model, directory=f"of-{model.version}", position=feed.ZERO, state="published", rows=3
    )


def state_of(model: EmbeddingModel) -> str:
    return EmbeddingModel.objects.get(pk=model.pk).state
