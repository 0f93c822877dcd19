from __future__ import annotations

import os
import shutil
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from listings.models import ListingImage, originals_storage
from recommender.embedding import queue, sweep
from recommender.embedding.queue import MAX_FAILURES, Lane, State
from recommender.models import Embedding, Heartbeat
from tests.factories import make_image, make_listing, make_ready_image
from tests.recommender.queue_rows import bulk_photos, make_model, media_files

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


def make_old(path: str | Path, days: float = 2) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def fail(attempts: int, ago: timedelta) -> None:
    Embedding.objects.update(state=State.FAILED, attempts=attempts, updated_at=timezone.now() - ago)


@pytest.mark.parametrize("is_leased", [False, True])
def test_a_sweep_rings_when_something_is_pending_or_leased_to_who_may_not_know_it(broker, is_leased):
    model = make_model()
    bulk_photos(1)
    if is_leased:
        queue.lease_rows(model, 1, 60)
    broker.flushall()
    sweep.sweep_queue()
    assert broker.llen("embedding") == 1


def test_a_sweep_is_silent_when_nothing_is_pending(broker):
    make_model()
    assert sweep.sweep_queue() == {"expired": 0, "missing": 0, "retried": 0}
    assert broker.llen("embedding") == 0


def test_expired_leases_are_returned_and_rung_for(broker):
    model = make_model()
    bulk_photos(2)
    queue.lease_rows(model, 2, 30)
    Embedding.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert sweep.sweep_queue()["expired"] == 2
    assert broker.llen("embedding") == 1


def test_missing_queue_rows_are_inserted_once_for_every_live_model():
    """Hazard 3."""
    photos = bulk_photos(5)
    active, standby, candidate = make_model(), make_model("standby"), make_model("candidate")
    assert sweep.sweep_queue()["missing"] == 10
    assert sweep.sweep_queue()["missing"] == 0
    assert Embedding.objects.filter(model=active).count() == len(photos)
    assert set(Embedding.objects.filter(model=standby).values_list("lane", flat=True)) == {Lane.BACKFILL}
    assert not Embedding.objects.filter(model=candidate).exists()


def test_missing_rows_of_the_active_model_keep_their_lane():
    bulk_photos(1)
    bulk_photos(1, source="upload")
    make_model()
    sweep.sweep_queue()
    assert sorted(Embedding.objects.values_list("lane", flat=True)) == [Lane.UPLOAD, Lane.IMPORT]


def test_rejected_photos_are_not_queued():
    bulk_photos(2)
    ListingImage.objects.update(state="rejected")
    make_model()
    assert sweep.sweep_queue()["missing"] == 0


def test_more_missing_rows_than_a_batch_are_all_inserted(monkeypatch):
    monkeypatch.setattr(sweep, "BATCH", 10)
    bulk_photos(35)
    model = make_model()
    assert sweep.insert_missing_rows(model) == 35


def test_a_photo_deleted_during_the_sweep_is_passed_over():
    """Hazard 13: one insert for a deleted parent would fail the whole batch."""
    photos = bulk_photos(5)
    model = make_model()
    deleting, swept = threading.Event(), threading.Event()

    def delete_slowly() -> None:
        with transaction.atomic():
            photos[2].delete()
            deleting.set()
            swept.wait(0.5)
        connection.close()

    thread = threading.Thread(target=delete_slowly)
    thread.start()
    deleting.wait(5)
    sweep.insert_missing_rows(model)
    swept.set()
    thread.join()
    assert Embedding.objects.count() == 4


@pytest.mark.parametrize(
    ("attempts", "minutes", "retried"),
    [(1, 0.5, 0), (1, 1.5, 1), (2, 1.5, 0), (2, 2.5, 1), (7, 60, 0), (7, 65, 1), (MAX_FAILURES, 10_000, 0)],
)
def test_failed_rows_are_retried_after_twice_the_time_of_before_and_not_for_ever(attempts, minutes, retried):
    make_model()
    bulk_photos(1)
    fail(attempts, timedelta(minutes=minutes))
    assert sweep.requeue_failed_rows() == retried
    if retried:
        assert Embedding.objects.values_list("state", "lane", "attempts").get() == ("pending", Lane.RETRY, attempts)


def test_old_rejected_photos_are_deleted_with_their_files(settings):
    old, young = make_image(make_listing()), make_image(make_listing())
    ListingImage.objects.update(state="rejected")
    long_ago = timezone.now() - timedelta(days=settings.REJECTED_PHOTO_DAYS + 1)
    ListingImage.objects.filter(pk=old.pk).update(created_at=long_ago)
    assert sweep.collect_garbage()["rejected"] == 1
    assert list(ListingImage.objects.all()) == [young]
    assert not originals_storage().exists(old.original.name)
    assert originals_storage().exists(young.original.name)


def test_files_that_no_photo_names_are_deleted_after_a_day():
    image = make_ready_image(make_listing())
    litter = [
        (default_storage, default_storage.save("clean/ab/orphan.jpg", ContentFile(b"x"))),
        (default_storage, default_storage.save("thumb/orphan.jpg", ContentFile(b"x"))),
        (originals_storage(), originals_storage().save("ab/orphan.jpg", ContentFile(b"x"))),
    ]
    young = default_storage.save("clean/ab/young.jpg", ContentFile(b"x"))
    for storage, name in litter:
        make_old(storage.path(name))
    for field in (image.original, image.clean_file, image.thumb_file):
        make_old(field.path)
    assert sweep.collect_garbage()["files"] == 3
    assert media_files() == {image.clean_file.name, image.thumb_file.name, young}
    assert originals_storage().exists(image.original.name)
    assert not originals_storage().exists(litter[2][1])


def test_collecting_without_any_storage_deletes_nothing(settings):
    shutil.rmtree(settings.MEDIA_ROOT, ignore_errors=True)
    assert not any(sweep.collect_garbage().values())


def test_heartbeats_of_workers_long_gone_are_removed():
    now = timezone.now()
    Heartbeat.objects.create(name="old", kind="default", seen_at=now - timedelta(days=2))
    Heartbeat.objects.create(name="new", kind="default", seen_at=now)
    sweep.collect_garbage()
    assert [beat.name for beat in Heartbeat.objects.all()] == ["new"]


def test_a_failure_of_the_future_is_retried_because_the_clock_was_set_back():
    make_model()
    bulk_photos(2)
    first, last = Embedding.objects.order_by("pk")
    later = timezone.now() + timedelta(hours=2)
    Embedding.objects.filter(pk=first.pk).update(state="failed", attempts=3, updated_at=later)
    Embedding.objects.filter(pk=last.pk).update(state="failed", attempts=MAX_FAILURES, updated_at=later)
    assert sweep.requeue_failed_rows() == 1
    assert list(Embedding.objects.order_by("pk").values_list("state", flat=True)) == ["pending", "failed"]
