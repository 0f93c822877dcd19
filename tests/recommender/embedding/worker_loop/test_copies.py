"""Photos of the same bytes are computed once, and each has files of its own."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from listings.models import ListingImage
from recommender.embedding import queue, store_results
from recommender.embedding.micro_batch import Batch
from recommender.models import Embedding, IndexChange
from tests.factories import draw_photo, make_image, make_listing
from tests.fakes import FakeEmbedder
from tests.recommender.queue_rows import embed, make_model, make_photos, media_files, named_files, original_of, states

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


def test_copies_that_come_one_micro_batch_after_another_are_computed_once(settings):
    settings.EMBED_BATCH = 2
    make_model()
    for number in (1, 2, 1, 3, 2, 1):
        make_image(make_listing(), data=draw_photo(number))
    embedder = FakeEmbedder(seconds=0.1)
    assert embed(embedder).done == 6
    assert embedder.embedded == 1 + 3
    assert len(media_files()) == 12


def test_photos_of_the_same_bytes_in_one_batch_are_computed_once_and_own_their_files():
    make_model()
    data = draw_photo(1)
    photos = [make_image(make_listing(), data=data) for _ in range(3)]
    embedder = FakeEmbedder()
    embed(embedder)
    assert embedder.batches == [1, 1]
    assert Embedding.objects.values("vector").distinct().count() == 1
    assert len(media_files()) == 6
    photos[0].delete()
    assert media_files() == named_files()
    assert len(media_files()) == 4


def test_a_photo_of_embedded_bytes_is_copied_without_inference():
    model = make_model()
    data = draw_photo(1)
    first = make_image(make_listing(), data=data)
    embed()
    second = make_image(make_listing(), data=data)
    embedder = FakeEmbedder()
    embed(embedder)
    second.refresh_from_db()
    assert embedder.batches == [1]
    assert (second.state, second.width, states()) == ("ready", 96, {"done": 2})
    assert Embedding.objects.values("vector").distinct().count() == 1
    assert (second.listing_id, model.pk) in set(IndexChange.objects.values_list("listing_id", "model_id"))
    first.delete()
    assert second.clean_file.storage.exists(second.clean_file.name)


def test_a_duplicate_whose_files_are_lost_is_not_copied(settings):
    make_model()
    data = draw_photo(1)
    make_image(make_listing(), data=data)
    embed()
    shutil.rmtree(settings.MEDIA_ROOT)
    second = make_image(make_listing(), data=data)
    embedder = FakeEmbedder()
    embed(embedder)
    second.refresh_from_db()
    assert (embedder.batches, second.state) == ([1, 1], "ready")
    assert second.clean_file.storage.exists(second.clean_file.name)


def test_embedding_again_computes_even_where_a_duplicate_could_be_copied():
    make_model()
    data = draw_photo(1)
    first = make_image(make_listing(), data=data)
    make_image(make_listing(), data=data)
    embed()
    queue.requeue_photos(ListingImage.objects.filter(pk=first.pk))
    embedder = FakeEmbedder()
    embed(embedder)
    assert embedder.batches == [1, 1]


def test_a_new_photo_beside_one_that_is_embedded_again_is_computed_with_it():
    make_model()
    data = draw_photo(1)
    again, _ = (make_image(make_listing(), data=data) for _ in range(2))
    embed()
    new = make_image(make_listing(), data=data)
    Embedding.objects.filter(image__in=[again, new]).update(state="pending", lane=queue.Lane.RETRY)
    ListingImage.objects.filter(pk=again.pk).update(clean_file="", thumb_file="")
    embedder = FakeEmbedder()
    embed(embedder)
    assert (embedder.batches, states()) == ([1, 1], {"done": 3})


def test_a_lost_original_fails_its_row_and_not_its_copys():
    make_model()
    data = draw_photo(1)
    old, new = (make_image(make_listing(), data=data) for _ in range(2))
    make_photos(1)  # tells a lost file from a lost volume
    embed()
    Embedding.objects.update(state="pending", vector=None)
    ListingImage.objects.filter(pk=new.pk).update(clean_file="", thumb_file="", state="new")
    original_of(new).unlink()
    embed()
    assert Embedding.objects.get(image=old).state == "done"
    assert Embedding.objects.get(image=new).state == "failed"


def test_copies_with_files_and_without_are_computed_once():
    make_model()
    data = draw_photo(1)
    old, new = (make_image(make_listing(), data=data) for _ in range(2))
    embed()
    old.refresh_from_db()
    Embedding.objects.update(state="pending", vector=None)
    ListingImage.objects.filter(pk=new.pk).update(clean_file="", thumb_file="", state="new")
    embedder = FakeEmbedder()
    embed(embedder)
    assert (embedder.batches, states()) == ([1, 1], {"done": 2})
    assert ListingImage.objects.get(pk=old.pk).clean_file == old.clean_file
    assert ListingImage.objects.get(pk=new.pk).clean_file.name in media_files()
    assert len(named_files()) == 4


def test_photos_embedded_again_do_not_wait_for_copies_that_they_would_not_take(settings):
    settings.EMBED_BATCH = 1
    model = make_model()
    data = draw_photo(1)
    for _ in range(2):
        make_image(make_listing(), data=data)
    embed()
    queue.requeue_photos(ListingImage.objects.all())
    assert queue.lease_rows(model, 1, 30)
    assert queue.lease_rows(model, 1, 30)


def test_two_models_embed_a_new_photo_with_one_set_of_files():
    make_model()
    make_model("standby")
    make_photos(3)
    assert embed().done == 6
    assert media_files() == named_files()
    assert len(media_files()) == 6


def test_files_of_whoever_is_second_are_deleted():
    model = make_model()
    make_model("standby")
    photo = make_photos(1)[0]
    embedder: Any = FakeEmbedder()
    lease = queue.lease_rows(model, 1, 30)
    with ThreadPoolExecutor(1) as threads:
        late = Batch(lease, embedder, threads)
        late.start_inference()
        found = late.wait_for_results()
    embed()
    kept = media_files() & named_files()
    store_results.settle_rows(lease, found)
    photo.refresh_from_db()
    assert media_files() == kept == {photo.clean_file.name, photo.thumb_file.name}
    assert states() == {"done": 2}


def test_copies_that_wait_for_another_worker_do_not_hold_up_another_model(broker):
    active, other = make_model(), make_model("standby")
    photo = make_photos(1)[0]
    make_image(make_listing(), data=photo.original.open().read())
    lease = queue.lease_rows(active, 1, 30)
    broker.flushall()
    assert embed().done == 2
    assert Embedding.objects.filter(model=other, state="done").count() == 2
    assert broker.llen("embedding") == 0
    queue.release_rows(lease)
    assert embed().done == 2
