"""How a listing is put into words, wherever it is shown."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from listings.models import Listing, ListingImage
from listings.templatetags.storefront import (
    format_age,
    format_price,
    lead_photo,
    photo_alt,
    photo_summary,
    status_words,
)
from tests.factories import make_image, make_listing, make_ready_image


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (None, "Price on request"),
        (Decimal(0), "Free"),
        (Decimal("0.50"), "£0.50"),
        (Decimal("12.00"), "£12"),
        (Decimal("12.5"), "£12.50"),
        (Decimal("1234567.89"), "£1,234,567.89"),
    ],
)
def test_a_price_reads_as_people_say_it(amount, words):
    assert format_price(amount) == words


def test_a_currency_without_a_sign_is_named(settings):
    settings.MARKETPLACE_CURRENCY = "CHF"
    assert format_price(Decimal(5)) == "CHF 5"


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=30), "just now"),
        (timedelta(minutes=5), "5\xa0minutes ago"),
        (timedelta(days=15), "2\xa0weeks ago"),
    ],
)
def test_an_age_is_told_in_one_unit(age, words):
    assert format_age(timezone.now() - age) == words


@pytest.mark.parametrize(("position", "words"), [(0, "Red chair"), (2, "Red chair, photo 3")])
def test_a_photo_is_described_by_title_and_place(position, words):
    assert photo_alt(ListingImage(position=position), "Red chair") == words


@pytest.mark.parametrize(
    ("status", "words"), [("active", "On sale"), ("sold", "Sold"), ("draft", "Draft"), ("removed", "Removed")]
)
def test_a_status_has_words(status, words):
    assert status_words(Listing(status=status)) == words


@pytest.mark.django_db
def test_the_lead_photo_is_the_first_that_can_be_shown():
    listing = make_listing()
    make_image(listing)
    second, _ = make_ready_image(listing), make_ready_image(listing)
    assert lead_photo(listing) == second
    assert lead_photo(make_listing()) is None


@pytest.mark.django_db
def test_a_sellers_photos_are_summed_up():
    listing = make_listing()
    assert photo_summary(listing) == "No photos"
    make_ready_image(listing)
    assert photo_summary(listing) == "1 photo"
    make_image(listing)
    make_image(listing, state="rejected")
    assert photo_summary(listing) == "3 photos, 1 being prepared, 1 not usable"
