"""Publishing and photos as actions: all or nothing, for rows and for files."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction

from listings import services
from listings.models import Category, ListingImage
from listings.photos.uploads import check_photo
from listings.services import (
    ListingGone,
    TooManyPhotos,
    add_photos,
    create_listing,
    ensure_category,
    mark_listing_removed,
    room_for_photos,
)
from ml.images import PhotoRefused
from tests.factories import draw_photo, make_category, make_image, make_listing, make_user, photo_file

pytestmark = pytest.mark.django_db


def files(settings) -> set[Path]:
    return {path for path in Path(settings.ORIGINALS_ROOT).rglob("*") if path.is_file()}


def test_a_category_is_made_with_what_is_missing_above_it():
    home = make_category("Home")
    chairs = ensure_category("Home / Furniture / Chairs")
    assert chairs.parent.parent == home
    assert ensure_category("Home / Furniture / Chairs") == chairs
    assert list(Category.objects.values_list("path", flat=True)) == [
        "Home",
        "Home / Furniture",
        "Home / Furniture / Chairs",
    ]


def test_a_category_is_made_together_with_its_listing_or_not_at_all():
    with pytest.raises(IntegrityError), transaction.atomic():
        create_listing(make_user(), {"title": "Chair", "category": "Home", "price": -1})
    assert not Category.objects.exists()


def test_removing_twice_changes_one_row_once():
    listing = make_listing()
    mark_listing_removed(listing)
    listing.refresh_from_db()
    first = listing.updated_at
    mark_listing_removed(listing)
    listing.refresh_from_db()
    assert (listing.status, listing.updated_at) == ("removed", first)


@pytest.mark.django_db(transaction=True)
def test_a_failed_insert_leaves_neither_rows_nor_files(settings):
    listing = make_listing()
    before = files(settings)
    photos = [check_photo(photo_file(seed)) for seed in range(3)]
    photos[2] = replace(photos[2], height=-1)
    with pytest.raises(IntegrityError):
        add_photos(listing, photos)
    assert not listing.images.exists()
    assert files(settings) == before


def test_a_file_that_cannot_be_stored_takes_the_others_with_it(settings):
    listing = make_listing()
    before = files(settings)
    photos = [check_photo(photo_file(seed)) for seed in range(2)]
    photos[1].file.close()
    with pytest.raises(ValueError, match="closed"):
        add_photos(listing, photos)
    assert not listing.images.exists()
    assert files(settings) == before


def test_a_removed_listing_takes_no_photos(settings):
    listing = make_listing(status="removed")
    before = files(settings)
    with pytest.raises(ListingGone):
        add_photos(listing, [check_photo(photo_file(1))])
    assert files(settings) == before


@pytest.mark.django_db(transaction=True)
def test_photos_are_never_added_inside_someone_else_s_transaction(settings):
    """There a later rollback would leave the files behind."""
    listing = make_listing()
    before = files(settings)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        add_photos(listing, [check_photo(photo_file(1))])
    assert files(settings) == before


@pytest.mark.parametrize(("kept", "rejected", "room"), [(0, 0, 10), (9, 0, 1), (10, 0, 0), (3, 5, 7), (12, 0, 0)])
def test_rejected_photos_leave_their_place_free(kept, rejected, room):
    listing = make_listing()
    for number in range(kept + rejected):
        make_image(listing, data=b"x", state="new" if number < kept else "rejected")
    assert room_for_photos(listing.pk) == room


@pytest.mark.parametrize(
    ("room", "sentence"),
    [
        (2, "A listing has at most 10 photos: it has room for 2 more."),
        (0, "A listing has at most 10 photos: it is full; delete one first."),
    ],
)
def test_a_full_listing_says_what_to_do(room, sentence):
    assert services.explain_too_many_photos(room) == sentence


def test_too_many_photos_say_how_many_fit():
    listing = make_listing()
    for _ in range(9):
        make_image(listing, data=b"x")
    with pytest.raises(TooManyPhotos, match="room for 1 more"):
        add_photos(listing, [check_photo(photo_file(seed)) for seed in range(2)])


def test_the_same_hash_comes_out_whether_or_not_the_file_was_hashed_on_its_way():
    data = draw_photo(3)
    upload: Any = ContentFile(data, "x.jpg")
    plain = check_photo(upload)
    upload.sha256 = "known"
    assert check_photo(upload).sha256 == "known"
    assert plain.sha256 == check_photo(ContentFile(data)).sha256
    assert len(plain.sha256) == 64


@pytest.mark.parametrize(("format", "suffix"), [("JPEG", ".jpeg"), ("PNG", ".png"), ("WEBP", ".webp"), ("GIF", ".gif")])
def test_the_suffix_comes_from_the_header_and_not_from_the_name(format, suffix):  # noqa: A002
    checked = check_photo(ContentFile(draw_photo(1, size=(96, 64), format=format), "photo.exe"))
    assert (checked.suffix, checked.width, checked.height) == (suffix, 96, 64)


def test_a_file_over_the_limit_is_refused_before_its_header_is_read(settings):
    class Unreadable(ContentFile):
        def read(self, *args):
            raise AssertionError("read")

    upload = Unreadable(b"x")
    upload.size = settings.PHOTO_MAX_BYTES + 1
    with pytest.raises(PhotoRefused) as refused:
        check_photo(upload)
    assert refused.value.code == "too_large"


def test_an_original_is_stored_under_a_name_of_ours_for_the_owner_of_the_process_alone(settings):
    (kept,) = add_photos(make_listing(), [check_photo(ContentFile(draw_photo(1), "../evil.php"))])
    stored = Path(kept.image.original.path)
    assert stored.parent.parent == Path(settings.ORIGINALS_ROOT)
    assert stored.stat().st_mode & 0o777 == 0o600
    assert io.BytesIO(stored.read_bytes()).read(2) == b"\xff\xd8"
    assert ListingImage.objects.get().position == 0
