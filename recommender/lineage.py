"""A live model's line of snapshots: each was built from the one before, and the newest is what it would answer with."""

from __future__ import annotations

from django.db.models import QuerySet

from .models import EmbeddingModel, IndexHead, IndexSnapshot


def published(model_id: int) -> QuerySet[IndexSnapshot]:
    """The retained snapshots of a model, newest first."""
    rows = IndexSnapshot.objects.filter(model=model_id, state=IndexSnapshot.State.PUBLISHED)
    return rows.select_related("model").order_by("-pk")


def tip(head: IndexHead, model: EmbeddingModel) -> IndexSnapshot | None:
    """The snapshot that the model's next one follows: the head's for the active model, else the newest published."""
    return head.snapshot if model.is_active else published(model.pk).first()


def is_of_another_model(snapshot_id: int | None, model_id: int) -> bool:
    snapshots = IndexSnapshot.objects.exclude(model=model_id)
    return snapshot_id is not None and snapshots.filter(pk=snapshot_id).exists()
