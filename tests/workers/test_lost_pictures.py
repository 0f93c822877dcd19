"""Pictures that were deleted are noticed and made anew; a volume that is not mounted is not taken for deleted files."""

import errno
import time

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.management import call_command
from django.test import Client

from listings.models import ListingImage, originals_storage
from listings.photos import lost_pictures
from marketplace.observing.health import DOOR
from ml import images
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


@pytest.mark.parametrize("repair", [maintenance.run_sweep, lambda: call_command("pictures", "--repair")])
def test_a_thumbnail_beside_a_damaged_picture_waits_for_a_worker_and_what_failed_for_its_own_time(photos, repair):
    damaged, failed, *_ = photos
    default_storage.delete(damaged.thumb_file.name)
    default_storage.delete(damaged.clean_file.name)
    default_storage.save(damaged.clean_file.name, ContentFile(b"no picture"))
    default_storage.delete(failed.clean_file.name)
    Embedding.objects.filter(image=failed).update(state=Embedding.State.FAILED, attempts=3)
    repair()
    assert queued() == {damaged.pk}
    assert Embedding.objects.values_list("state", "attempts").get(image=failed) == ("failed", 3)


def test_thumbnails_are_restored_for_a_moment_a_sweep_until_none_is_lost(photos, monkeypatch):
    monkeypatch.setattr(lost_pictures, "RESTORE_SECONDS", 0.05)
    make_thumb = images.make_thumb
    monkeypatch.setattr(images, "make_thumb", lambda picture: time.sleep(0.06) or make_thumb(picture))
    for photo in photos[:3]:
        default_storage.delete(photo.thumb_file.name)
    left = [3]
    while left[-1]:
        maintenance.run_sweep()
        left.append(sum(not default_storage.exists(photo.thumb_file.name) for photo in photos))
    assert sorted(set(left)) == [0, 1, 2, 3]
    assert queued() == set()


def test_half_a_thumbnail_does_not_pass_for_a_whole_one(photos, monkeypatch):
    save = FileSystemStorage.save
    name = photos[0].thumb_file.name
    default_storage.delete(name)

    def fill_the_disk(self, name, content):
        save(self, name, ContentFile(b"half"))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(FileSystemStorage, "save", fill_the_disk)
        maintenance.run_sweep()
    assert not default_storage.exists(name)
    maintenance.run_sweep()
    assert default_storage.exists(name)


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
    one, other = capsys.readouterr().out.splitlines()
    assert "6 photos: photo" in one
    assert "lost pictures, which can be made from the originals." in one
    assert other == one.replace("can be made", "are made")


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
