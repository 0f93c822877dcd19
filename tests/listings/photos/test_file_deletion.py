"""Deleting a photo deletes its files, once the deletion is committed."""

from __future__ import annotations

import pytest
from django.db import transaction

from listings.models import ListingImage
from tests.factories import make_image, make_listing, make_ready_image

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = ("original", "clean_file", "thumb_file")


def present(photo: ListingImage) -> list[bool]:
    return [getattr(photo, name).storage.exists(getattr(photo, name).name) for name in FIELDS]


def test_all_three_files_go_with_the_photo():
    photo = make_ready_image(make_listing())
    assert present(photo) == [True, True, True]
    photo.delete()
    assert present(photo) == [False, False, False]


def test_the_files_of_a_deleted_listing_go_too():
    photo = make_ready_image(make_listing())
    photo.listing.delete()
    assert present(photo) == [False, False, False]


def test_files_stay_until_the_deletion_is_committed():
    photo = make_ready_image(make_listing())
    with transaction.atomic():
        ListingImage.objects.filter(pk=photo.pk).delete()
        assert present(photo) == [True, True, True]
        transaction.set_rollback(True)
    assert present(photo) == [True, True, True]


def test_derivatives_added_after_the_photo_was_loaded_are_deleted():
    photo = make_image(make_listing())
    ready = make_ready_image(make_listing())
    ListingImage.objects.filter(pk=photo.pk).update(clean_file=ready.clean_file.name, thumb_file=ready.thumb_file.name)
    photo.delete()
    assert present(ready) == [True, False, False]


def test_a_file_that_is_gone_already_is_no_error():
    photo = make_ready_image(make_listing())
    photo.original.storage.delete(photo.original.name)
    photo.delete()
    assert not ListingImage.objects.exists()
