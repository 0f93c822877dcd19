"""A model's lineage: its snapshots, each built from the one before. The latest is what the model would answer from."""

from __future__ import annotations

from django.db.models import QuerySet

from .models import EmbeddingModel, IndexHead, IndexSnapshot


def published_snapshots(model_id: int) -> QuerySet[IndexSnapshot]:
    """The model's snapshots whose files are kept, newest first."""
    rows = IndexSnapshot.objects.filter(model=model_id, state=IndexSnapshot.State.PUBLISHED)
    return rows.select_related("model").order_by("-pk")


def latest_snapshot(head: IndexHead, model: EmbeddingModel) -> IndexSnapshot | None:
    """The one that the model's next snapshot is built from, or replaces: the active model's may be damaged."""
    return head.snapshot if model.is_active else published_snapshots(model.pk).first()


def find_snapshot_model_id(snapshot_id: int) -> int | None:
    """The model whose vectors a snapshot holds; None where its row was deleted meanwhile."""
    return IndexSnapshot.objects.filter(pk=snapshot_id).values_list("model_id", flat=True).first()
