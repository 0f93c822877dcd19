from __future__ import annotations

import shutil
import time

import numpy as np
import pytest
from django.db import OperationalError, connection

from listings.models import ListingImage, originals_storage
from ml.images import decode
from recommender.embedding import queue, store_results
from recommender.embedding.doorbell import FLAG, doorbell
from recommender.embedding.micro_batch import DAMAGED, LOST
from recommender.embedding.worker_loop import WorkerLoop, is_burst
from recommender.errors import ModelNotReady
from recommender.models import Embedding, EmbeddingModel
from tests.factories import make_image, make_listing
from tests.fakes import FakeCache, FakeEmbedder
from tests.recommender.queue_rows import (
    embed,
    loop_with,
    make_model,
    make_photos,
    media_files,
    named_files,
    original_of,
    states,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


def bad_photo(number: int = 0) -> ListingImage:
    return make_image(make_listing(), data=b"not a picture %d" % number)


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


def test_a_worker_frees_the_memory_of_a_retired_model():
    retired, kept = make_model("standby"), make_model()
    cache = FakeCache(lambda model: FakeEmbedder())
    for model in (retired, kept):
        cache.load_embedder(model)
    EmbeddingModel.objects.filter(pk=retired.pk).update(state="retired")
    WorkerLoop(cache).run_slice()
    assert (cache.is_loaded(retired.pk), cache.is_loaded(kept.pk)) == (False, True)


def test_a_backfill_embeds_stored_clean_pictures_and_writes_no_file():
    make_model()
    make_photos(3)
    embed()
    files = media_files()
    other = make_model("backfilling")
    Embedding.objects.bulk_create(Embedding(image=image, model=other, lane=3) for image in ListingImage.objects.all())
    shutil.rmtree(originals_storage().location)
    assert embed().done == 3
    assert media_files() == files


def test_lost_derivatives_are_made_again(settings):
    make_model()
    photo = make_photos(1)[0]
    embed()
    shutil.rmtree(settings.MEDIA_ROOT)
    queue.embed_again(ListingImage.objects.all())
    assert embed().done == 1
    photo.refresh_from_db()
    assert media_files() == {photo.clean_file.name, photo.thumb_file.name}


def test_a_bad_photo_is_rejected_alone_with_its_reason():
    make_model()
    make_photos(5)
    bad = bad_photo()
    tally = embed()
    bad.refresh_from_db()
    assert (tally.done, tally.rejected) == (5, 1)
    assert (bad.state, bad.reason) == ("rejected", "The file is not a photo.")
    assert media_files() == named_files()


def test_unmounted_media_rejects_no_photo_and_costs_no_attempt(settings):
    """Hazard 10."""
    make_model()
    make_photos(40)
    away = settings.ORIGINALS_ROOT.with_name("away")
    settings.ORIGINALS_ROOT.rename(away)
    settings.ORIGINALS_ROOT.mkdir()
    for _ in range(5):
        tally = embed()
        assert (tally.rejected, tally.failed, tally.done) == (0, 0, 0)
        assert "mounted" in tally.stopped
    assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}
    settings.ORIGINALS_ROOT.rmdir()
    away.rename(settings.ORIGINALS_ROOT)
    assert embed().done == 40


def test_storage_that_cannot_be_written_costs_no_attempt(settings, tmp_path):
    make_model()
    make_photos(3)
    (tmp_path / "file").write_text("in the way")
    mounted, settings.MEDIA_ROOT = settings.MEDIA_ROOT, tmp_path / "file"
    assert "cannot be stored" in embed().stopped
    assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}
    settings.MEDIA_ROOT = mounted
    assert embed().done == 3


def test_one_lost_file_fails_alone_and_blocks_nobody():
    make_model()
    lost, *others = make_photos(4)
    original_of(lost).unlink()
    tally = embed()
    assert (tally.failed, tally.done, tally.stopped) == (1, len(others), "")
    assert Embedding.objects.filter(image=lost).values_list("state", "attempts", "reason").get() == ("failed", 1, LOST)
    lost.refresh_from_db()
    assert lost.state == "new"


def test_bytes_that_are_not_the_uploaded_ones_fail_instead_of_being_rejected():
    make_model()
    damaged = make_photos(1)[0]
    original_of(damaged).write_bytes(b"\0" * 100)
    assert embed().failed == 1
    assert Embedding.objects.values_list("state", "reason").get() == ("failed", DAMAGED)
    damaged.refresh_from_db()
    assert damaged.state == "new"


def test_a_burst_of_rejections_stops_the_slice(settings):
    settings.EMBED_BATCH = 5
    make_model()
    for number in range(60):
        bad_photo(number)
    tally = embed()
    assert 20 <= tally.rejected <= 30
    assert "could not be embedded" in tally.stopped
    assert "leased" not in states()


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], False),
        ([False] * 19, False),
        ([False] * 20, True),
        ([False] * 20 + [True], False),
        ([True] * 100 + [False] * 20, True),
        ([True, False] * 20, False),
        ([True, False, False] * 14, True),
    ],
)
def test_a_burst_is_twenty_in_a_row_or_most_of_the_last_forty(outcomes, expected):
    assert is_burst(outcomes) is expected


def test_a_model_that_cannot_be_loaded_leases_nothing():
    make_model()
    make_photos(3)

    def load(model):
        raise ModelNotReady("The weights are missing.")

    tally = WorkerLoop(FakeCache(load)).run_slice(10)
    assert (tally.batches, states()) == (0, {"pending": 3})


def test_a_model_that_fails_its_test_picture_leases_nothing():
    make_model()
    make_photos(3)
    broken = FakeEmbedder()
    broken.poison = float("nan")
    embed(broken)
    assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}
    embed(FakeEmbedder(dim=12))
    assert states() == {"pending": 3}


class OutOfMemory(FakeEmbedder):
    """Fails at more than a few pictures, as libraries do: in many lines."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def embed(self, batch):
        if len(batch) > self.most:
            raise RuntimeError("Exception from src/infer.cpp:88:\nCould not allocate memory.\nTry another device.\n")
        return super().embed(batch)


def test_a_model_that_fails_at_a_micro_batch_costs_no_photo_and_is_given_fewer(settings, broker):
    settings.EMBED_BATCH = 8
    make_model()
    make_photos(9)
    broken = OutOfMemory(most=2)
    loop = loop_with(broken)
    broker.flushall()
    for photos in (8, 4):
        assert loop.run_slice().stopped == f"The model failed at {photos} photos: Could not allocate memory."
        assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}
        assert media_files() == set()
    assert broker.llen("embedding") == 0
    assert loop.run_slice().done == 9
    assert broken.batches == [1, 1, 1, 2, 2, 2, 2, 1]  # tested again each time


def test_a_model_that_fails_does_not_hold_up_another(settings):
    settings.EMBED_BATCH = 4
    active, other = make_model(), make_model("backfilling")
    make_photos(20)
    embedders = {active.pk: FakeEmbedder(), other.pk: OutOfMemory(most=1)}
    tally = WorkerLoop(FakeCache(lambda model: embedders[model.pk])).run_slice(30)
    assert "The model failed at 4 photos" in tally.stopped
    assert set(Embedding.objects.filter(model=active).values_list("state", flat=True)) == {"done"}
    assert set(Embedding.objects.filter(model=other).values_list("state", "attempts")) == {("pending", 0)}


def test_a_model_that_fails_at_its_test_picture_says_so():
    model = make_model()
    make_photos(3)

    class Broken(FakeEmbedder):
        def embed(self, batch):
            raise RuntimeError("CUDA error: device lost\nCompile with TORCH_USE_CUDA_DSA to see where.")

    tally = embed(Broken())
    assert tally.stopped.startswith(f"Model {model.version} cannot embed a drawn picture in this process")
    assert tally.stopped.endswith("CUDA error: device lost")
    assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}


def test_a_model_that_is_not_ready_does_not_hold_up_another(broker):
    active, other = make_model(), make_model("backfilling")
    make_photos(3)
    embedder = FakeEmbedder()

    def load(model):
        if model == other:
            raise ModelNotReady("The weights are missing.")
        return embedder

    broker.flushall()
    WorkerLoop(FakeCache(load)).run_slice(10)
    assert set(Embedding.objects.filter(model=active).values_list("state", flat=True)) == {"done"}
    assert set(Embedding.objects.filter(model=other).values_list("state", flat=True)) == {"pending"}
    assert broker.llen("embedding") == 0


def test_a_vector_that_is_not_a_number_fails_and_is_not_stored():
    make_model()
    make_photos(2)
    embedder = FakeEmbedder()
    loop = loop_with(embedder)
    loop.run_slice()
    photo = make_photos(1)[0]
    embedder.poison = float("nan")
    assert loop.run_slice().failed == 1
    row = Embedding.objects.get(image=photo)
    assert (row.state, row.vector) == ("failed", None)
    assert media_files() == named_files()


def test_a_database_that_fails_while_storing_gives_the_rows_back(monkeypatch):
    make_model()
    make_photos(3)
    works = store_results.settle_rows

    def fails(lease, found):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(store_results, "settle_rows", fails)
    assert "database" in embed().stopped
    assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}
    monkeypatch.setattr(store_results, "settle_rows", works)
    assert embed().done == 3


def test_a_deleted_photo_is_dropped_with_its_files_and_its_batch_goes_on():
    make_model()
    photos = make_photos(4)

    class Deleting(FakeEmbedder):
        def embed(self, batch):
            if len(batch) > 1:
                connection.close()
                ListingImage.objects.filter(pk=photos[0].pk).delete()
                connection.close()
            return super().embed(batch)

    tally = embed(Deleting())
    assert (tally.done, tally.dropped, states()) == (3, 1, {"done": 3})
    assert media_files() == named_files()
    assert not original_of(photos[0]).exists()


def test_a_slice_that_ends_before_the_queue_rings_again(settings, broker):
    settings.EMBED_BATCH = 1
    make_model()
    make_photos(6)
    broker.flushall()
    tally = embed(FakeEmbedder(seconds=0.05), seconds=0.15)
    assert 0 < tally.done < 6
    assert broker.llen("embedding") == 1


def test_a_drained_queue_does_not_ring(broker):
    make_model()
    make_photos(2)
    broker.flushall()
    embed()
    assert broker.llen("embedding") == 0


def test_a_photo_saved_between_the_last_look_and_the_clearing_is_found_by_the_second_look(monkeypatch, broker):
    """Hazard 21: its own ring is swallowed by the flag that is about to be cleared."""
    make_model()
    make_photos(1)
    answers = 0
    clear = doorbell.answer

    def pause_then_clear():
        nonlocal answers
        answers += 1
        if answers == 2:
            broker.set(FLAG, 1)
            broker.delete("embedding")
            make_photos(1)
            assert broker.llen("embedding") == 0
        clear()

    monkeypatch.setattr(doorbell, "answer", pause_then_clear)
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
    many_pending(active, 100_000)
    upload = make_photos(1)[0]
    Embedding.objects.filter(image=upload, model=other).delete()
    start = time.monotonic()
    lease = queue.lease_rows(queue.pick_model(queue.list_waiting(), low_priority=False), 8, 30)
    assert time.monotonic() - start < 1
    assert [row.image_id for row in lease.rows] == [upload.pk]
    queue.release_rows(lease)
    loop = loop_with(FakeEmbedder(seconds=0.02))
    for _ in range(4):
        loop.run_slice(0.4)
    assert Embedding.objects.get(image=upload).state == "done"
    assert Embedding.objects.filter(model=other, state="done").count() >= 8
    assert Embedding.objects.filter(model=active, state="done").count() >= 17


def many_pending(model, number: int) -> None:
    """Import rows behind the real ones; they are never reached."""
    listing = make_listing()
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
