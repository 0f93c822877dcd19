"""What the API gives is written out by hand; it has the names, the order and the values of the declared fields."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.contrib.auth.models import AnonymousUser
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from listings.api.serializers import ImageSerializer, ListingSerializer, SellerSerializer
from listings.models import Listing
from tests.factories import make_image, make_listing, make_ready_image, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked():
    request = Request(APIRequestFactory().get("/"))
    request.user = AnonymousUser()
    return {"request": request, "exact_point": True}


def by_fields(serializer, instance):
    """What asking each declared field gives."""
    return serializers.ModelSerializer.to_representation(serializer, instance)


@pytest.mark.parametrize(
    "fields",
    [
        {"price": Decimal("12.5"), "category": "Home / Chairs", "latitude": 51.50001, "longitude": -0.12},
        {"price": None, "description": "Two\nlines", "location": "Leeds", "status": "sold"},
        {"price": Decimal(0), "created_at": datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=timezone(timedelta(hours=3)))},
        {"price": Decimal("9999999999.99"), "created_at": datetime(2026, 2, 3, tzinfo=UTC)},
    ],
    ids=["full", "bare", "free", "dear"],
)
def test_a_listing_is_given_as_its_fields_give_it(asked, fields):
    listing = make_listing(**fields)
    make_ready_image(listing)
    make_image(listing)
    for one in (listing, Listing.objects.with_details().get()):
        for user in (AnonymousUser(), listing.seller):
            asked["request"].user = user
            serializer = ListingSerializer(one, context=asked)
            expected = by_fields(serializer, one)
            if user != listing.seller:
                expected["latitude"], expected["longitude"] = listing.point or (None, None)
            assert list(serializer.data.items()) == list(expected.items())


@pytest.mark.parametrize("make", [make_ready_image, make_image])
def test_a_photo_is_given_as_its_fields_give_it(asked, make):
    image = make(make_listing())
    serializer = ImageSerializer(image, context=asked)
    assert list(serializer.data.items()) == list(by_fields(serializer, image).items())


def test_a_seller_is_given_as_its_fields_give_it(asked):
    serializer = SellerSerializer(make_user(), context=asked)
    assert list(serializer.data.items()) == list(by_fields(serializer, serializer.instance).items())
