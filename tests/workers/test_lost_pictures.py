"""Pictures that were deleted are noticed and made anew; a volume that is not mounted is not taken for deleted files."""

import pytest
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.management import call_command
from django.test import Client

from listings.models import ListingImage, originals_storage
from marketplace.observing.health import DOOR
from recommender.models import Embedding
from tests.factories import make_listing, make_ready_image
from tests.recommender.index.catalogue import active_model
from workers import maintenance

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    maintenance.own_round.forget()


@pytest.fixture
def photos():
    """Ready photos of which every row of the queue is done."""
    active_model()
    listing = make_listing()
    made = [make_ready_image(listing, seed) for seed in range(6)]
    Embedding.objects.update(state=Embedding.State.DONE)
    return made


def queued() -> set[int]:
    return set(Embedding.objects.filter(state=Embedding.State.PENDING).values_list("image", flat=True))


def problem() -> str:
    return Client().get("/health/ready", headers={}, **{DOOR: True}).json()["problem"]  # type: ignore[arg-type]


def test_pictures_that_are_gone_are_queued_for_new_ones_and_health_says_so(photos):
    without_clean, without_thumb, without_any, *_ = photos
    default_storage.delete(without_clean.clean_file.name)
    default_storage.delete(without_thumb.thumb_file.name)
    default_storage.delete(without_any.clean_file.name)
    originals_storage().delete(without_any.original.name)
    maintenance.run_sweep()
    assert queued() == {without_clean.pk}
    assert default_storage.exists(without_thumb.thumb_file.name)
    said = problem()
    assert f"photo {without_clean.pk}, {without_thumb.pk} lost pictures" in said
    assert f"photo {without_any.pk} lost originals: restore ORIGINALS_ROOT" in said


def test_what_is_whole_again_is_no_problem_any_more(photos):
    default_storage.delete(photos[0].thumb_file.name)
    maintenance.run_sweep()
    assert "lost pictures" in problem()
    maintenance.run_sweep()
    assert "lost pictures" not in problem()
    assert queued() == set()


def test_a_volume_that_is_not_mounted_queues_nothing_until_somebody_says_that_it_was_emptied(photos, settings, capsys):
    settings.MEDIA_ROOT.rename(settings.MEDIA_ROOT.with_name("away"))
    settings.MEDIA_ROOT.mkdir()
    maintenance.run_sweep()
    assert queued() == set()
    assert "none of the pictures looked for is found under MEDIA_ROOT: mount its volume" in problem()
    call_command("pictures")
    assert queued() == set()
    call_command("pictures", "--repair")
    assert queued() == {photo.pk for photo in photos}
    assert "6 photos: photo" in capsys.readouterr().out


def test_a_photo_that_is_deleted_meanwhile_is_not_lost(photos, monkeypatch):
    gone = photos[0]
    exists = FileSystemStorage.exists

    def delete_the_row_first(self, name):
        if name == gone.clean_file.name:
            ListingImage.objects.filter(pk=gone.pk).delete()
        return exists(self, name)

    monkeypatch.setattr(FileSystemStorage, "exists", delete_the_row_first)
    maintenance.run_sweep()
    assert "lost" not in problem()
