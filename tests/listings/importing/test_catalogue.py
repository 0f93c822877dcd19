import hashlib
import zlib
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from listings.importing import pictures
from listings.importing.photos import save_photo_rows_and_notify
from listings.models import Category, ImportedPhoto, Listing, ListingImage
from listings.photos.signals import photos_added
from recommender.models import Embedding, EmbeddingModel
from tests.factories import draw_photo, draw_plain_photo, make_image, make_listing
from tests.listings.catalogue import Catalogue

pytestmark = pytest.mark.django_db


@pytest.fixture
def catalogue(tmp_path):
    return Catalogue(tmp_path)


def columns_of(model) -> list[tuple]:
    return list(model.objects.order_by("pk").values_list())


def test_a_row_becomes_a_listing_with_its_seller_category_place_and_photos(catalogue):
    catalogue.write([{}], [{}, {"id": "photo2"}])
    catalogue.add_file("photo1.jpg")
    catalogue.add_file("photo2.png", draw_photo(3, format="PNG"))
    catalogue.run()
    listing = Listing.objects.get()
    assert (listing.external_id, listing.title, listing.price) == ("p1", "Red mug", Decimal("4.50"))
    assert (listing.category.path, listing.status, listing.latitude) == ("Home / Mugs", "active", 53.8)
    assert listing.created_at.isoformat() == "2022-02-26T00:00:00+00:00"
    assert (listing.seller.username, listing.seller.has_usable_password()) == ("seller-7", False)
    assert list(Category.objects.values_list("path", flat=True)) == ["Home", "Home / Mugs"]
    first, second = listing.images.all()
    assert (first.position, second.position) == (0, 1)
    assert (first.source, first.state, first.width, first.height) == ("import", "new", 96, 72)
    with first.original.open() as file:
        assert hashlib.sha256(file.read()).hexdigest() == first.sha256
    assert first.sha256 == hashlib.sha256((catalogue.images / "photo1.jpg").read_bytes()).hexdigest()
    assert catalogue.findings() == []


def test_photos_wait_in_the_import_lane_and_the_doorbell_hears_of_each_batch(catalogue):
    EmbeddingModel.objects.create(version="m", arch="a", dim=4, checkpoint="m", sha256="0", state="active")
    heard = []
    photos_added.connect(ring := lambda sender, **_kwargs: heard.append(ListingImage.objects.count()))
    catalogue.write([{}], [{}])
    catalogue.add_file("photo1.jpg")
    catalogue.run()
    catalogue.run()
    photos_added.disconnect(ring)
    assert list(Embedding.objects.values_list("state", "lane")) == [("pending", 2)]
    assert heard == [1]


def test_importing_again_changes_nothing_and_keeps_what_was_edited_on_the_site(catalogue):
    catalogue.write([{}, {"id": "p2"}, {"id": "p2", "product_name": "Other"}], [{}, {"id": "photo2"}])
    catalogue.add_file("photo1.jpg")
    catalogue.add_file("photo2.jpg")
    catalogue.run()
    first_findings = catalogue.findings()
    Listing.objects.filter(external_id="p1").update(title="Edited", price=None, status="sold")
    ListingImage.objects.filter(position=1).delete()
    before = [columns_of(model) for model in (Listing, ListingImage, Category, User)]
    printed = catalogue.run()
    assert [columns_of(model) for model in (Listing, ListingImage, Category, User)] == before
    assert catalogue.findings() == first_findings == [("4", "Products.csv", "id", "repeats line 3; row left out")]
    assert "0 listings made, 2 there already; 1 repeated row" in printed
    assert "0 photos made, 2 there already" in printed


def test_an_id_that_was_left_out_once_is_no_repetition(catalogue):
    catalogue.write([{"seller": "no body"}, {}], [])
    catalogue.run()
    assert Listing.objects.get().seller.username == "seller-7"
    assert [finding[0] for finding in catalogue.findings()] == ["2"]


def test_a_photo_row_says_everything_that_is_wrong_with_it(catalogue):
    catalogue.write([{}], [{"product_id": "p9"}, {"id": "gone"}, {"id": "gone2", "product_id": "p9"}, {"id": "../up"}])
    catalogue.add_file("photo1.jpg")
    catalogue.add_file("../up.jpg")
    printed = catalogue.run()
    assert ListingImage.objects.count() == 0
    assert catalogue.findings() == [
        ("2", "Images.csv", "product_id", "no listing has this id"),
        ("3", "Images.csv", "id", "no file gone.jpg among the images"),
        ("4", "Images.csv", "product_id", "no listing has this id"),
        ("4", "Images.csv", "id", "no file gone2.jpg among the images"),
        ("5", "Images.csv", "id", "is not a plain file name; row left out"),
    ]
    assert "2 rows without a listing; 2 rows without a file; 1 refused row" in printed


def test_a_file_that_is_no_photo_is_reported_and_the_others_go_on(catalogue):
    files = [b"<html>", b"", draw_photo(1, size=(90, 40)), draw_plain_photo(), draw_photo(2)]
    catalogue.write([{}], [{"id": f"photo{number}"} for number in range(5)])
    for number, data in enumerate(files):
        catalogue.add_file(f"photo{number}.jpg", data)
    catalogue.run()
    assert list(ImportedPhoto.objects.values_list("external_id", flat=True)) == ["photo4"]
    for finding, reason in zip(catalogue.findings(), ["no", "empty", "90 by 40", "one colour"], strict=True):
        assert reason in finding[3]


def test_a_listing_takes_ten_photos_counting_those_it_has(catalogue, settings):
    listing = make_listing(external_id="p1")
    make_image(listing, position=4, data=draw_photo(3))
    copies = {"copy": draw_photo(3), "again": draw_photo(zlib.crc32(b"photo0.jpg"))}
    names = [*[f"photo{number}" for number in range(3)], *copies, *[f"photo{number}" for number in range(3, 11)]]
    catalogue.write([{}], [{"id": name} for name in names])
    for name in names:
        catalogue.add_file(f"{name}.jpg", copies.get(name))
    catalogue.run()
    assert sorted(listing.images.values_list("position", flat=True)) == list(range(4, 14))
    full = "product_id", f"the listing has {settings.PHOTOS_PER_LISTING} photos already"
    repeated = "id", "the listing has this very photo already; row left out"
    faults = {5: repeated, 6: repeated, 13: full, 14: full}
    assert catalogue.findings() == [(str(line), "Images.csv", *fault) for line, fault in faults.items()]


def test_the_same_bytes_under_two_ids_stay_one_photo_of_a_listing(catalogue):
    catalogue.write([{}, {"id": "p2"}], [{}, {"id": "copy"}, {"id": "other", "product_id": "p2"}])
    for name in ("photo1.jpg", "copy.jpg", "other.jpg"):
        catalogue.add_file(name, draw_photo(1))
    assert "2 photos made; 1 repeated row" in catalogue.run()
    assert catalogue.findings() == [("3", "Images.csv", "id", "the listing has this very photo already; row left out")]
    assert list(ListingImage.objects.values_list("listing__external_id", flat=True)) == ["p1", "p2"]
    assert "0 photos made, 3 there already" in catalogue.run()


def test_cells_that_no_database_takes_are_reported_and_left_empty(catalogue):
    catalogue.write([{"product_description": "a\0b", "product_name": "x" * 5000, "location": "\0"}], [])
    catalogue.run()
    listing = Listing.objects.get()
    assert (listing.title, listing.status, listing.description, listing.location) == ("(no title)", "draft", "", "")
    assert [finding[2] for finding in catalogue.findings()] == ["product_name", "product_description", "location"]


def test_a_missing_optional_column_is_reported_once_and_left_empty(catalogue):
    catalogue.products.write_text("id,product_name,category,seller,latitude\np1,Mug,Home,7,53\n")
    catalogue.run()
    assert Listing.objects.get().price is None
    assert ("1", "Products.csv", "price", "no such column; left empty") in catalogue.findings()


def test_a_photo_that_may_not_be_opened_is_reported_and_the_others_go_on(catalogue, monkeypatch):
    catalogue.write([{}], [{}, {"id": "photo2"}])
    catalogue.add_file("photo1.jpg")
    catalogue.add_file("photo2.jpg")
    opened = Path.open

    def refuse(path, *arguments, **options):
        if path.name == "photo1.jpg":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    catalogue.run()
    assert catalogue.findings() == [
        ("2", "Images.csv", "id", "photo1.jpg: The file cannot be read: Permission denied.")
    ]
    assert ListingImage.objects.count() == 1


def test_a_photo_that_someone_else_imported_at_the_same_time_is_not_made_twice(catalogue, monkeypatch):
    catalogue.write([{}], [{}, {"id": "photo2"}])
    catalogue.add_file("photo1.jpg")
    catalogue.add_file("photo2.jpg")
    save = save_photo_rows_and_notify

    def come_second(stored):
        ImportedPhoto.objects.create(external_id="photo2", listing=Listing.objects.get())
        return save(stored)

    monkeypatch.setattr(pictures, "save_photo_rows_and_notify", come_second)
    with pytest.raises(CommandError, match="Run the import again"):
        catalogue.run()
    assert not ListingImage.objects.exists()
    monkeypatch.setattr(pictures, "save_photo_rows_and_notify", save)
    catalogue.run()
    assert list(ImportedPhoto.objects.values_list("external_id", flat=True)) == ["photo2", "photo1"]
    assert ListingImage.objects.count() == 1


def test_a_listing_that_was_given_photos_while_its_own_were_copied_stays_within_ten(catalogue, monkeypatch, settings):
    catalogue.write([{}], [{"id": f"photo{number}"} for number in range(3)])
    for number in range(3):
        catalogue.add_file(f"photo{number}.jpg")
    save = save_photo_rows_and_notify

    def come_second(stored):
        for position in range(9):
            make_image(Listing.objects.get(), position=position)
        return save(stored)

    monkeypatch.setattr(pictures, "save_photo_rows_and_notify", come_second)
    printed = catalogue.run()
    assert ListingImage.objects.count() == settings.PHOTOS_PER_LISTING
    assert list(ImportedPhoto.objects.values_list("external_id", flat=True)) == ["photo0"]
    reason = f"the listing has {settings.PHOTOS_PER_LISTING} photos already"
    assert catalogue.findings() == [(line, "Images.csv", "product_id", reason) for line in ("3", "4")]
    assert "3 rows, 1 photo made; 2 photos too many" in printed


def test_a_listing_deleted_while_its_photos_were_copied_takes_none(catalogue, monkeypatch):
    catalogue.write([{}, {"id": "p2"}], [{}, {"id": "photo2", "product_id": "p2"}])
    catalogue.add_file("photo1.jpg")
    catalogue.add_file("photo2.jpg")
    save = save_photo_rows_and_notify

    def delete_then_save(stored):
        Listing.objects.filter(external_id="p1").delete()
        return save(stored)

    monkeypatch.setattr(pictures, "save_photo_rows_and_notify", delete_then_save)
    catalogue.run()
    assert list(ListingImage.objects.values_list("listing__external_id", flat=True)) == ["p2"]


def test_the_number_of_queries_grows_with_batches_not_with_rows(catalogue):
    def rows(start: int, count: int) -> tuple[list[dict], list[dict]]:
        numbers = range(start, start + count)
        return [{"id": f"p{n}"} for n in numbers], [{"id": f"photo{n}", "product_id": f"p{n}"} for n in numbers]

    def queries(start: int, count: int) -> int:
        catalogue.write(*rows(start, count))
        with CaptureQueriesContext(
            connection,
        ) as captured:
            catalogue.run()
        return len(captured)

    catalogue.add_file("photo0.jpg")
    for number in range(1, 1501):
        Path(catalogue.images / f"photo{number}.jpg").hardlink_to(catalogue.images / "photo0.jpg")
    queries(0, 1)
    one_batch = queries(1, 500)
    assert queries(501, 1000) == 2 * one_batch
    assert one_batch < 60
