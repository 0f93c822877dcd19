from __future__ import annotations

import pytest
from django.core.files.storage import default_storage

from listings.models import ListingImage
from recommender.registry import precision_photos
from tests.factories import make_image, make_listing, make_ready_image

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(precision_photos, "ENOUGH", 3)
    monkeypatch.setattr(precision_photos, "WANTED", 4)


def test_different_photos_are_copied_as_they_were_embedded():
    listing = make_listing()
    for seed in (1, 1, 2, 3):
        make_ready_image(listing, seed)
    make_image(listing, 9)  # has no clean picture yet
    with precision_photos.copy_precision_photos() as folder:
        names = {path.stem for path in folder.iterdir()}
        assert names == set(ListingImage.objects.filter(state="ready").values_list("sha256", flat=True))
        first = ListingImage.objects.filter(state="ready").order_by("sha256")[0]
        with first.clean_file.open() as file:
            assert (folder / f"{first.sha256}.jpg").read_bytes() == file.read()
    assert not folder.exists()


def test_no_file_is_read_where_there_are_too_few(monkeypatch):
    for seed in (1, 1, 2):
        make_ready_image(make_listing(), seed)
    monkeypatch.delattr(precision_photos, "read_file")
    with precision_photos.copy_precision_photos() as folder:
        assert folder is None


def test_no_more_are_copied_than_wanted_and_lost_files_are_passed_over():
    photos = [make_ready_image(make_listing(), seed) for seed in range(7)]
    lost = min(photos, key=lambda photo: photo.sha256)
    default_storage.delete(lost.clean_file.name)
    with precision_photos.copy_precision_photos() as folder:
        names = {path.stem for path in folder.iterdir()}
    assert names == set(sorted(photo.sha256 for photo in photos)[1:5])


def test_too_few_photos_are_none():
    make_ready_image(make_listing(), 1)
    make_ready_image(make_listing(), 2)
    with precision_photos.copy_precision_photos() as folder:
        assert folder is None
