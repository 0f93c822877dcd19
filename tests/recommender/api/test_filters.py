from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from listings.finding.geo import snap_to_grid
from listings.models import Listing
from recommender.api.requests import FilterSerializer
from recommender.index import Filter
from recommender.index.rows.filter import mask_rows
from recommender.index.view.database_rows import read_columns
from recommender.search.retrieval import matching_listings
from tests.factories import make_category, make_user
from tests.recommender.shop import sell

# What Python reads as numbers, and nobody else.
NO_NUMBERS = ("1_0", "inf", "1e1", "\uff11", "\u0661", "0x1")

pytestmark = pytest.mark.django_db


def ask(query: str, user=None) -> FilterSerializer:
    asked = FilterSerializer(data=QueryDict(query), context={"user": user or AnonymousUser()})
    asked.is_valid()
    return asked


def test_nothing_asked_means_active_listings():
    assert ask("").to_filter() == Filter()
    assert ask("category=&min_price=&max_price=&near=&radius_km=&seller=&status=").to_filter() == Filter()


def test_every_filter_reaches_the_index():
    chairs = make_category("Home / Chairs")
    stools = make_category("Home / Chairs / Stools")
    make_category("Home / Chairs of old")
    query = "category=Home / Chairs&min_price=1.50&max_price=9&near=51.5,-0.12&radius_km=3&seller=7&status=sold"
    assert ask(query).to_filter() == Filter(
        category_ids=frozenset({chairs.pk, stools.pk}),
        min_price=1.5,
        max_price=9.0,
        near=snap_to_grid(51.5, -0.12),
        radius_km=3.0,
        seller_id=7,
        statuses=("sold",),
    )


def test_a_point_alone_means_ten_kilometres_around_it():
    where = ask("near=51.5,-0.12").to_filter()
    assert (where.near, where.radius_km) == (snap_to_grid(51.5, -0.12), 10.0)


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("category=Nowhere", "category", "There is no category 'Nowhere'."),
        ("category=a%00b", "category", "Null characters are not allowed."),
        ("category=" + "x" * 501, "category", "500"),
        ("min_price=cheap", "min_price", "Write the price as a number, such as 12.50."),
        ("min_price=-1", "min_price", "greater than or equal to 0"),
        ("min_price=NaN", "min_price", "Write the price as a number, such as 12.50."),
        ("max_price=Infinity", "max_price", "Write the price as a number, such as 12.50."),
        ("max_price=1" + "0" * 300, "max_price", "digits"),
        ("max_price=1.005", "max_price", "two digits after the point"),
        ("min_price=5&max_price=4", "min_price", "above the highest"),
        ("near=here", "near", "Give a latitude and a longitude"),
        ("near=1,2,3", "near", "Give a latitude and a longitude"),
        ("near=91,0", "near", "between -90 and 90"),
        ("near=nan,0", "near", "Give a latitude and a longitude"),
        *((f"near={text},0", "near", "Give a latitude") for text in NO_NUMBERS),
        *((f"min_price={text}", "min_price", "Write the price as a number") for text in NO_NUMBERS),
        *((f"seller={text}", "seller", "A valid integer is required.") for text in NO_NUMBERS),
        *((f"near=1,1&radius_km={text}", "radius_km", "A valid number is required.") for text in NO_NUMBERS),
        ("radius_km=5", "radius_km", "needs a centre"),
        ("near=1,1&radius_km=nan", "radius_km", "A valid number is required."),
        ("near=1,1&radius_km=inf", "radius_km", "A valid number is required."),
        ("near=1,1&radius_km=0", "radius_km", "greater than or equal to 0.1"),
        ("near=1,1&radius_km=1000000000", "radius_km", "less than or equal to 20100"),
        ("seller=anna", "seller", "A valid integer is required."),
        ("seller=0", "seller", "greater than or equal to 1"),
        ("seller=" + "9" * 30, "seller", "less than or equal to"),
        ("status=removed", "status", "is not a valid choice"),
        ("status=draft", "status", "Only staff who may view all listings search among drafts."),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_in_words(query, field, says):
    errors = ask(query).errors
    assert list(errors) == [field]
    assert says in " ".join(errors[field])


def test_staff_searches_among_drafts():
    assert ask("status=draft", make_user(staff=True)).to_filter().statuses == ("draft",)


def test_an_empty_category_is_an_empty_answer_not_an_error():
    shelf = make_category("Home / Shelves")
    assert ask("category=Home / Shelves").to_filter().category_ids == frozenset({shelf.pk})


@pytest.fixture
def shop(model):
    """Listings that differ in every filtered value."""
    chairs, plants = make_category("Home / Chairs"), make_category("Plants")
    sellers = make_user(), make_user()
    now = timezone.now()
    for number in range(24):
        sell(
            model,
            0.5,
            seller=sellers[number % 2],
            price=(None, 0, "9.99", 10, "10.01", 500)[number % 6],
            category=(chairs, plants, None)[number % 3],
            status=("active", "sold", "draft", "active")[number % 4],
            latitude=None if number % 5 == 0 else 51.5 + number / 200,
            longitude=None if number % 5 == 0 else -0.1 - number / 100,
            created_at=now - timedelta(days=number),
        )
    return {"categories": (chairs.pk, plants.pk), "sellers": [one.pk for one in sellers], "now": now.timestamp()}


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data())
def test_rows_pass_the_same_conditions_in_the_database_as_in_the_index(model, shop, data):
    draw = data.draw
    where = Filter(
        category_ids=draw(st.none() | st.frozensets(st.sampled_from(shop["categories"]))),
        min_price=draw(st.none() | st.sampled_from([0.0, 9.99, 10.0, 499.99])),
        max_price=draw(st.none() | st.sampled_from([0.0, 9.99, 10.0, 10.01])),
        near=draw(st.none() | st.just(snap_to_grid(51.55, -0.2))),
        radius_km=draw(st.none() | st.floats(0.1, 20)),
        seller_id=draw(st.none() | st.sampled_from(shop["sellers"])),
        statuses=draw(st.sampled_from([("active",), ("sold",), ("active", "draft")])),
        created_after=draw(st.none() | st.just(shop["now"] - 6.5 * 86_400)),
    )
    columns = read_columns(model.pk, Listing.objects.values_list("pk", flat=True))
    in_the_index = set(columns.listing[mask_rows(where, columns)].tolist())
    assert set(matching_listings(Listing.objects.all(), where).values_list("pk", flat=True)) == in_the_index
