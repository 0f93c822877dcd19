"""Replacing the model that answers: one transaction moves the models' states and the head, and can be taken back.

Backfilling, active and standby models are live: every photo is embedded by each, and each has its own line of
snapshots. Switches, publishing and pruning lock the same row of `IndexHead`.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from recommender import lineage
from recommender.embedding.sweep import delete_rows_of_retired_models
from recommender.errors import RegistryError
from recommender.index import collect_garbage
from recommender.models import EmbeddingModel, IndexHead, IndexSnapshot

from .backfill_progress import BackfillCounts, count_photos, find_activation_blockers, find_rollback_blockers

State = EmbeddingModel.State


def start_backfill(model: EmbeddingModel) -> None:
    """Let workers embed every photo with a candidate, or again with a retired model; the sweep queues them."""
    idle = EmbeddingModel.objects.filter(pk=model.pk, state__in=(State.CANDIDATE, State.RETIRED))
    if not idle.update(state=State.BACKFILLING):
        model.refresh_from_db(fields=["state"])
        raise RegistryError(f"Only a candidate or a retired model can be backfilled; {model.version} is {model.state}.")


@transaction.atomic
def activate(model: EmbeddingModel) -> None:
    """Answer with this model from now on, in one transaction with its snapshot; the one before stays on standby.

    Where no model answers yet there is nothing to lose, so the first one is activated at once.
    Raises:
        RegistryError: photos are not embedded by it yet (uploads in flight count), or its index is not ready.
    """
    head = IndexHead.lock()
    _switch_to_model(EmbeddingModel.objects.select_for_update().get(pk=model.pk), head, find_activation_blockers)


@transaction.atomic
def roll_back(leaving: EmbeddingModel | None = None) -> EmbeddingModel:
    """Answer with the model again that was active last; it was embedded, fed and indexed all the time.

    A few photos that it has not embedded yet do not stop it: they follow within seconds.
    Raises:
        RegistryError: no model is on standby, its index is not ready, or somebody else has switched from `leaving`.
    """
    head = IndexHead.lock()
    if leaving and not EmbeddingModel.objects.active().filter(pk=leaving.pk).exists():
        raise RegistryError(f"{leaving.version} is not active any more; look at the list before you roll back.")
    model = find_previous_model()
    if model is None:
        raise RegistryError("No model is on standby, so there is none to go back to; backfill and activate one.")
    _switch_to_model(model, head, find_rollback_blockers)
    return model


def find_previous_model() -> EmbeddingModel | None:
    """The model on standby that was active last, which is the one that a rollback goes back to."""
    last = F("activated_at").desc(nulls_last=True)
    return EmbeddingModel.objects.filter(state=State.STANDBY).order_by(last, "-pk").first()


def _switch_to_model(
    model: EmbeddingModel,
    head: IndexHead,
    find_blockers: Callable[[EmbeddingModel, BackfillCounts, IndexSnapshot | None, IndexHead], list[str]],
) -> None:
    """Let a model answer from its newest snapshot. The caller holds the lock of the head."""
    # The lock of the head keeps other switches out. The active row is locked as well, so that code that locks no head
    # cannot change it meanwhile.
    if model == EmbeddingModel.objects.select_for_update().find_active():
        return
    newest = lineage.published_snapshots(model.pk).first()
    if blockers := find_blockers(model, count_photos(model), newest, head):
        raise RegistryError(blockers[0])
    # The old model makes way first, because the database allows one active model and checks that after each statement.
    EmbeddingModel.objects.active().update(state=State.STANDBY)
    EmbeddingModel.objects.filter(pk=model.pk).update(state=State.ACTIVE, activated_at=timezone.now())
    IndexHead.row().update(snapshot=newest)


@transaction.atomic
def retire(model: EmbeddingModel) -> None:
    """Stop embedding and indexing with a model; the next collection, within the hour, deletes what it made.

    Its weights stay, so that it can be backfilled again.
    Raises:
        RegistryError: the model is the active one.
    """
    IndexHead.lock()
    model = EmbeddingModel.objects.select_for_update().get(pk=model.pk)
    if model.is_active:
        raise RegistryError(f"{model.version} is the active model; activate another one before it is retired.")
    EmbeddingModel.objects.filter(pk=model.pk).update(state=State.RETIRED)
    lineage.published_snapshots(model.pk).update(state=IndexSnapshot.State.RETIRED)


def retire_and_delete(model: EmbeddingModel) -> None:
    """Retire a model, and delete its queue rows, vectors and index files at once: minutes, where they are millions.

    Raises:
        RegistryError: the model is the active one.
    """
    retire(model)
    delete_rows_of_retired_models()
    collect_garbage()
