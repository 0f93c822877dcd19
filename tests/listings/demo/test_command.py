import io

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from PIL import Image

from listings.demo import publish as publishing
from listings.importing.photos import save_photo_rows_and_notify
from listings.models import Category, ImportedPhoto, Listing, ListingImage
from listings.photos.signals import photos_added

pytestmark = pytest.mark.django_db


def demo(*arguments: str) -> str:
    out = io.StringIO()
    call_command("demo", *arguments, stdout=out)
    return out.getvalue()


def rows() -> list[list[tuple]]:
    return [list(model.objects.order_by("pk").values_list()) for model in (Listing, ListingImage, Category, User)]


def test_the_demo_makes_listings_that_look_like_those_of_sellers():
    heard = []
    photos_added.connect(ring := lambda sender, **_kwargs: heard.append(sender))
    printed = demo("--listings", "24")
    photos_added.disconnect(ring)
    assert f"24 listings and {ListingImage.objects.count()} photos made" in printed
    assert len(heard) == 2  # once a batch, so that embedding starts while the rest is drawn
    assert Listing.objects.public().exclude(price=None).exclude(category=None).exclude(latitude=None).count() == 24
    assert set(ListingImage.objects.values_list("source", "state")) == {("import", "new")}
    assert all(not user.has_usable_password() for user in User.objects.all())
    image = ListingImage.objects.first()
    with image.original.open() as file, Image.open(file) as picture:
        assert picture.size == (image.width, image.height)


def test_the_demo_run_again_changes_nothing_and_brings_no_deleted_photo_back():
    demo("--listings", "8")
    assert "1 listing and 1 photo made" in demo("--listings", "9")
    ListingImage.objects.first().delete()
    Listing.objects.filter(external_id="demo-lamp-0000").update(title="Edited", status="removed")
    before = rows()
    assert "0 listings and 0 photos made" in demo("--listings", "9")
    assert rows() == before


def test_a_demo_that_was_interrupted_between_listings_and_photos_is_completed(monkeypatch):
    save = save_photo_rows_and_notify

    def stop(stored):
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "save_photo_rows_and_notify", stop)
    with pytest.raises(KeyboardInterrupt):
        demo("--listings", "4")
    assert (Listing.objects.count(), ListingImage.objects.count()) == (4, 0)
    monkeypatch.setattr(publishing, "save_photo_rows_and_notify", save)
    demo("--listings", "4")
    assert Listing.objects.count() == 4
    assert ListingImage.objects.values("listing").distinct().count() == 4
    assert ImportedPhoto.objects.count() == ListingImage.objects.count()


def test_the_contact_sheet_is_drawn_without_touching_a_row(tmp_path):
    printed = demo("--listings", "17", "--drawings", str(tmp_path / "sheets"))
    assert "contact-sheet.png" in printed
    with Image.open(tmp_path / "sheets" / "contact-sheet.png") as sheet:
        assert sheet.size == (16 * 200 + 6, 2 * 200 + 6)
    assert not Listing.objects.exists()


def test_a_contact_sheet_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="file cannot be written to"):
        call_command("demo", listings=1, drawings=tmp_path / "file")


def test_a_number_of_listings_that_makes_no_sense_is_refused():
    with pytest.raises(CommandError, match="takes a number from 1"):
        demo("--listings", "0")
