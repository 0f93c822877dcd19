"""What one time slice does, and who is served first."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from django.db import connection

from listings.models import Listing, ListingImage, originals_storage
from ml.images import decode
from recommender.embedding import queue
from recommender.embedding.doorbell import FLAG, doorbell
from recommender.models import Embedding
from tests.fakes import FakeEmbedder
from tests.recommender.queue_rows import (
    embed,
    loop_with,
    make_model,
    make_photos,
    media_files,
    named_files,
    states,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


def test_every_pending_photo_is_embedded_from_its_clean_picture():
    model = make_model()
    photos = make_photos(5)
    embedder = FakeEmbedder()
    tally = embed(embedder)
    assert (tally.done, tally.stopped, states()) == (5, "", {"done": 5})
    for photo in photos:
        photo.refresh_from_db()
        assert (photo.state, photo.width, photo.height) == ("ready", 96, 72)
        with photo.clean_file.open() as file:
            expected = embedder.embed(embedder.prepare(decode(file.read()))[None])[0]
        vector = np.frombuffer(Embedding.objects.get(image=photo, model=model).vector, np.float16)
        assert vector.astype(np.float32) @ expected > 0.995
    assert media_files() == named_files()
    assert len(media_files()) == 10


def test_a_backfill_embeds_stored_clean_pictures_and_writes_no_file():
    make_model()
    make_photos(3)
    embed()
    files = media_files()
    other = make_model("backfilling")
    Embedding.objects.bulk_create(Embedding(image=image, model=other, lane=3) for image in ListingImage.objects.all())
    shutil.rmtree(originals_storage().path(""))
    assert embed().done == 3
    assert media_files() == files


def test_a_slice_that_ends_before_the_queue_rings_again(settings, broker):
    settings.EMBED_BATCH = 1
    make_model()
    make_photos(6)
    broker.flushall()
    tally = embed(FakeEmbedder(seconds=0.2), seconds=0.5)
    assert 0 < tally.done < 6
    assert broker.llen("embedding") == 1


def test_an_emptied_queue_does_not_ring(broker):
    make_model()
    make_photos(2)
    broker.flushall()
    embed()
    assert broker.llen("embedding") == 0


def test_a_photo_saved_between_the_last_look_and_the_clearing_is_found_by_the_second_look(monkeypatch, broker):
    """Hazard 21: its own ring is swallowed by the flag that is about to be cleared."""
    make_model()
    make_photos(1)
    clearings = 0
    clear = doorbell.clear_flag

    def pause_then_clear():
        nonlocal clearings
        clearings += 1
        if clearings == 2:
            broker.set(FLAG, 1)
            broker.delete("embedding")
            make_photos(1)
            assert broker.llen("embedding") == 0
        clear()

    monkeypatch.setattr(doorbell, "clear_flag", pause_then_clear)
    embed()
    assert states() == {"done": 1, "pending": 1}
    assert broker.llen("embedding") == 1


def test_an_upload_is_embedded_first_with_a_hundred_thousand_imports_and_a_backfill_pending(settings):
    """Hazard 17: and the backfill still moves."""
    settings.EMBED_BATCH = 8
    active, other = make_model(), make_model("backfilling")
    backfilled = make_photos(40, source="import")
    imported = make_photos(40, source="import")
    Embedding.objects.filter(image__in=backfilled, model=active).delete()
    Embedding.objects.filter(image__in=imported, model=other).delete()
    Embedding.objects.filter(model=other).update(lane=queue.Lane.BACKFILL)
    many_pending(active, 100_000, imported[0].listing)
    upload = make_photos(1)[0]
    Embedding.objects.filter(image=upload, model=other).delete()
    lease = queue.lease_rows(queue.pick_model(queue.list_pending_models(), low_priority=False), 8, 30)
    assert [row.image_id for row in lease.rows] == [upload.pk]
    queue.release_rows(lease)
    loop = loop_with(FakeEmbedder(seconds=0.02))
    done = Embedding.objects.filter(state="done")
    # As many time slices as a busy machine needs for eight micro-batches.
    for _ in range(40):
        loop.run_slice(0.4)
        if done.filter(model=other).count() >= 8:
            break
    assert done.filter(image=upload).exists()
    assert done.filter(model=other).count() >= 8
    assert done.filter(model=active).count() >= 17


def many_pending(model, number: int, listing: Listing) -> None:
    """Import rows behind the real ones of the same seller; they are never reached."""
    first = ListingImage.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < %s)
            INSERT INTO listings_listingimage
                (id, listing_id, original, position, sha256, clean_file, thumb_file, state, reason, source, created_at)
            SELECT %s + n, %s, 'none', 0, '', '', '', 'new', '', 'import', CURRENT_TIMESTAMP FROM counted
            """,
            [number, first + 1_000_000, listing.pk],
        )
        cursor.execute(
            "DELETE FROM recommender_embedding WHERE image_id > %s AND model_id <> %s", [first + 1_000_000, model.pk]
        )
        if connection.vendor == "postgresql":
            # In a site autovacuum has done so by then; before, these rows may be joined by nested loops.
            cursor.execute("ANALYZE listings_listingimage, recommender_embedding")
