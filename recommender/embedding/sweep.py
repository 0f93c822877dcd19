"""Repairs that run every few seconds: lost rings, expired leases, missing queue rows, retries, files nobody names.

Everything here may be repeated, takes a bounded time, and may run in two processes at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import reduce
from operator import or_

from django.conf import settings
from django.core.files.storage import Storage, default_storage
from django.db import transaction
from django.db.models import DateTimeField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from listings.models import ListingImage, originals_storage
from recommender.models import Embedding, EmbeddingModel, Heartbeat

from . import lease_ends, photo_files, planner_statistics, queue
from .doorbell import doorbell
from .queue import MAX_FAILURES

BATCH = 1000
RETRY_BASE = timedelta(minutes=1)  # doubled with every failure, so that a lasting fault costs less and less
# A file that is younger may belong to a transaction that is still open.
LITTER_AGE = timedelta(days=1)


def sweep_queue() -> dict[str, int]:
    """Repair the queue and ring if it holds work."""
    counts = {
        "expired": lease_ends.requeue_or_give_up_ended_rows(),
        "missing": sum(insert_missing_rows(model) for model in EmbeddingModel.objects.live()),
        "retried": requeue_failed_rows(),
    }
    # What is leased may be leased to a worker that does not know it, which finds that out at its next turn.
    if queue.is_anything_pending() or queue.is_anything_leased():
        doorbell.ring()
    planner_statistics.analyze_unanalyzed_tables()
    return counts


def photos_without_row(model: EmbeddingModel) -> QuerySet[ListingImage]:
    """Photos without a queue row for this model."""
    queued = Embedding.objects.filter(image=OuterRef("pk"), model=model)
    return ListingImage.objects.filter(~Exists(queued)).exclude(state=ListingImage.State.REJECTED)


def insert_missing_rows(model: EmbeddingModel) -> int:
    """Queue photos that have no row for this model; photos being deleted meanwhile are passed over."""
    total = 0
    while inserted := _insert_page_of_missing_rows(model):
        total += inserted
    return total


def requeue_failed_rows() -> int:
    """Queue failed rows again, each after twice the time it waited before, until it has failed too often."""
    due = reduce(
        or_,
        (
            Q(attempts=attempts, updated_at__lt=_time_ago(RETRY_BASE * 2 ** (attempts - 1)))
            for attempts in range(1, MAX_FAILURES)
        ),
    )
    # A failure of the future was written before the clock was set back.
    of_future = Q(attempts__lt=MAX_FAILURES, updated_at__gt=Now() + RETRY_BASE)
    failed = Embedding.objects.filter(due | of_future, state=Embedding.State.FAILED)
    return failed.update(state=Embedding.State.PENDING, lane=Embedding.Lane.RETRY, updated_at=Now())


def collect_garbage() -> dict[str, int]:
    """Delete old rejected photos, unnamed files, heartbeats of workers that are gone, vectors of retired models."""
    return {
        "rejected": _delete_old_rejected_photos(),
        "files": sum(
            _delete_unreferenced_files(storage, field, folder)
            for storage, field, root in (
                (originals_storage(), "original", ""),
                (default_storage, "clean_file", "clean"),
                (default_storage, "thumb_file", "thumb"),
            )
            for folder in _list_folders(storage, root)
        ),
        "heartbeats": Heartbeat.objects.filter(seen_at__lt=_time_ago(LITTER_AGE)).delete()[0],
        "retired": delete_rows_of_retired_models(),
    }


def delete_rows_of_retired_models() -> int:
    """Delete queue rows and vectors of retired models, page by page. Rows in use now are left to the next call."""
    retired = list(EmbeddingModel.objects.filter(state=EmbeddingModel.State.RETIRED).values_list("pk", flat=True))
    total = last = 0
    while retired:
        with transaction.atomic():
            rows = Embedding.objects.filter(model__in=retired, pk__gt=last).order_by("pk")
            ids = list(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:BATCH])
            total += Embedding.objects.filter(pk__in=ids).delete()[0]
        if not ids:
            break
        last = ids[-1]
    return total


def _insert_page_of_missing_rows(model: EmbeddingModel) -> int:
    if not photos_without_row(model).exists():
        return 0
    with transaction.atomic():
        # A row for a photo that is deleted meanwhile would fail the whole batch. So photos are locked, and one that is
        # being deleted now is skipped.
        found = photos_without_row(model).select_for_update(skip_locked=True, no_key=True).order_by("pk")
        rows = [
            Embedding(image_id=pk, model=model, lane=_choose_lane(model, source), seller_id=seller)
            for pk, source, seller in found.values_list("pk", "source", "listing__seller_id")[:BATCH]
        ]
        Embedding.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _choose_lane(model: EmbeddingModel, source: str) -> Embedding.Lane:
    if not model.is_active:
        return Embedding.Lane.BACKFILL
    return Embedding.Lane.IMPORT if source == ListingImage.Source.IMPORT else Embedding.Lane.UPLOAD


def _time_ago(time: timedelta) -> ExpressionWrapper:
    return ExpressionWrapper(Now() - time, output_field=DateTimeField())


def _delete_old_rejected_photos() -> int:
    old = ListingImage.objects.filter(
        state=ListingImage.State.REJECTED, created_at__lt=_time_ago(timedelta(days=settings.REJECTED_PHOTO_DAYS))
    )
    total = 0
    while ids := list(old.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        total += ListingImage.objects.filter(pk__in=ids).delete()[1].get("listings.ListingImage", 0)
    return total


def _list_folders(storage: Storage, root: str) -> Iterator[str]:
    """`root` and the folders right below it; photos lie one level deep."""
    try:
        below, _ = storage.listdir(root)
    except FileNotFoundError:
        return
    yield root
    yield from (f"{root}/{name}" if root else name for name in below)


def _delete_unreferenced_files(storage: Storage, field: str, folder: str) -> int:
    """Delete old files of one folder that no photo names."""
    prefix = f"{folder}/" if folder else ""
    old_enough = timezone.now() - LITTER_AGE
    # Files are listed before rows are read. The other way round, a file that was restored in between, with its old
    # date, would look like litter.
    names = {f"{prefix}{name}" for name in storage.listdir(folder)[1]}
    old = {name for name in names if storage.get_modified_time(name) < old_enough}
    if not old:
        return 0
    known = ListingImage.objects.filter(**{f"{field}__startswith": prefix}).values_list(field, flat=True)
    litter = old.difference(known.iterator())
    photo_files.delete_files(storage, litter)
    return len(litter)
