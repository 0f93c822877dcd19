"""Photos, files and databases that fail cost no other photo anything."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from listings.models import ListingImage
from ml.images import decoder_process
from recommender.embedding import queue, store_results, sweep
from recommender.embedding.micro_batch import DAMAGED, LOST, NO_TIME
from recommender.embedding.store_results import is_failure_burst
from recommender.models import Embedding
from tests.decoder_programs import BROKEN, KEPT_WAITING, REFUSING, replace_decoder_program
from tests.factories import draw_photo, draw_plain_photo, make_image, make_listing
from tests.fakes import FakeEmbedder
from tests.recommender.queue_rows import (
    embed,
    make_model,
    make_photos,
    media_files,
    named_files,
    original_of,
    states,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


RED, BLUE = (255, 0, 0), (0, 0, 255)


def bad_photo(number: int = 0) -> ListingImage:
    return make_image(make_listing(), data=b"not a picture %d" % number)


def test_lost_derivatives_are_made_again(settings):
    make_model()
    photo = make_photos(1)[0]
    embed()
    shutil.rmtree(settings.MEDIA_ROOT)
    queue.requeue_photos(ListingImage.objects.all())
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


def cut_off_photo(share: float) -> bytes:
    """The pixels that are missing are grey to whoever does not ask whether the file has them."""
    data = draw_photo(4, size=(200, 400))
    start = data.index(b"\xff\xda")
    return data[: start + int((len(data) - start) * share)] + b"\xff\xd9"


def test_a_photo_that_was_cut_off_is_ready_with_a_note_or_refused_where_most_is_missing(client):
    make_model()
    photo = make_image(make_listing(), data=cut_off_photo(0.8))
    copies = [make_image(make_listing(), data=cut_off_photo(0.8))]
    less = make_image(make_listing(), data=cut_off_photo(0.3))
    assert (embed().done, states()) == (2, {"done": 2, "rejected": 1})
    copies.append(make_image(make_listing(), data=cut_off_photo(0.8)))
    embed()
    for one in [photo, *copies, less]:
        one.refresh_from_db()
    assert (less.state, less.reason.split(",")[0]) == ("rejected", "More than half of the photo is missing")
    assert photo.reason.endswith(
        " % of the photo is missing, as its file was cut off or is damaged. Send it again if you have all of it."
    )
    assert [(one.state, one.reason) for one in copies] == [("ready", photo.reason)] * 2
    queue.requeue_photos(ListingImage.objects.all())
    embed()
    client.force_login(photo.listing.seller)
    assert photo.reason in client.get(f"/my/listings/{photo.listing.pk}/").content.decode()
    shown = client.get(f"/api/v1/listings/{photo.listing.pk}/").json()["images"][0]
    assert (shown["state"], shown["reason"]) == ("ready", photo.reason)


def test_one_colour_is_rejected_where_it_is_new_and_kept_where_it_was_accepted_before(settings):
    make_model()
    old, new = (make_image(make_listing(), data=draw_plain_photo(shade, format="PNG")) for shade in (RED, BLUE))
    ListingImage.objects.filter(pk=old.pk).update(state="ready", clean_file="clean/lost.jpg")
    tally = embed()
    assert (tally.done, tally.rejected) == (1, 1)
    new.refresh_from_db()
    assert (new.state, new.reason.split(",")[0]) == ("rejected", "The photo is one colour all over")


def test_an_avif_that_its_decoder_refuses_is_rejected_alone(monkeypatch):
    make_model()
    good, bad = make_photos(1)[0], make_image(make_listing(), data=draw_photo(1, format="AVIF"))
    replace_decoder_program(monkeypatch, REFUSING)
    tally = embed()
    bad.refresh_from_db()
    assert (tally.done, tally.rejected) == (1, 1)
    assert (bad.state, bad.reason) == ("rejected", "Said by the other process.")
    good.refresh_from_db()
    assert good.state == "ready"


def test_where_the_other_process_cannot_start_no_photo_is_blamed_and_no_attempt_counted(monkeypatch):
    make_model()
    make_image(make_listing(), data=draw_photo(1, format="AVIF"))
    with monkeypatch.context() as broken:
        replace_decoder_program(broken, BROKEN)
        assert "does not start" in embed().stopped
    assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}
    assert embed().done == 1


def test_a_photo_that_this_machine_has_no_time_for_is_tried_later_and_holds_no_other_up(monkeypatch):
    make_model()
    make_photos(1)
    late = make_image(make_listing(), data=draw_photo(1, format="AVIF"))
    with monkeypatch.context() as busy:
        replace_decoder_program(busy, KEPT_WAITING)
        busy.setattr(decoder_process, "CLOCK_SECONDS", 0.2)
        tally = embed()
    assert (tally.done, tally.failed, tally.stopped) == (1, 1, "")
    row = Embedding.objects.filter(image=late, image__state="new")
    assert row.values_list("state", "attempts", "reason").get() == ("failed", 1, NO_TIME)
    row.update(updated_at=timezone.now() - timedelta(minutes=2))
    sweep.sweep_queue()
    assert embed().done == 1


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
    assert is_failure_burst(outcomes) is expected


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
