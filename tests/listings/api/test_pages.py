"""Cursor pages: every listing once, in order, forwards and back, whatever happens meanwhile."""

import base64
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listings.api.cursor import ORDERINGS, Position
from listings.models import Listing
from tests.factories import api, make_listing, make_user

LISTINGS = "/api/v1/listings/"
PRICES: list[int | str | None] = [None, 0, 5, 5, 5, None, 3, "0.10", "0.09", None, 5, 12]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def shelf(db):
    """Twelve listings: shared prices, shared moments, and three without a price."""
    seller = make_user()
    for number, price in enumerate(PRICES):
        make_listing(
            seller,
            title=str(number),
            price=None if price is None else Decimal(price),
            created_at=NOON + timedelta(microseconds=number // 3),
        )
    return seller


def expected(ordering: str) -> list[int]:
    listings = list(Listing.objects.all())
    if ordering == "-created":
        return [row.pk for row in sorted(listings, key=lambda row: (row.created_at, row.pk), reverse=True)]
    sign = -1 if ordering == "-price" else 1
    return [
        row.pk for row in sorted(listings, key=lambda row: (row.price is None, sign * (row.price or 0), sign * row.pk))
    ]


def walk(url: str, step: str = "next", each=lambda: None) -> list[list[int]]:
    pages, client = [], api()
    while url:
        answer = client.get(url).json()
        pages.append([listing["id"] for listing in answer["results"]])
        url = answer[step]
        each()
    return pages


@pytest.mark.parametrize("limit", [1, 2, 5, 11, 12, 100])
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_each_listing_comes_once_and_in_order(shelf, ordering, limit):
    pages = walk(f"{LISTINGS}?ordering={ordering}&limit={limit}")
    assert [pk for page in pages for pk in page] == expected(ordering)
    assert all(len(page) == limit for page in pages[:-1])
    assert pages[-1]


@pytest.mark.parametrize("limit", [1, 3, 5])
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_the_way_back_shows_the_same_pages(shelf, ordering, limit):
    url = f"{LISTINGS}?ordering={ordering}&limit={limit}"
    forward = walk(url)
    last = url
    while following := api().get(last).json()["next"]:
        last = following
    back = walk(last, "previous")
    assert [pk for page in reversed(back) for pk in page] == expected(ordering)
    assert len(back) == len(forward)
    assert api().get(url).json()["previous"] is None


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_turning_round_in_the_middle_returns_to_the_page_before(shelf, ordering):
    first = api().get(f"{LISTINGS}?ordering={ordering}&limit=4").json()
    second = api().get(first["next"]).json()
    again = api().get(second["previous"]).json()
    assert [row["id"] for row in again["results"]] == [row["id"] for row in first["results"]]
    assert again["previous"] is None
    assert api().get(again["next"]).json()["results"] == second["results"]


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_listings_published_meanwhile_hide_and_repeat_none(shelf, ordering):
    before = expected(ordering)

    def publish():
        for price in (None, Decimal(5), Decimal("0.05"), Decimal(99)):
            make_listing(shelf, price=price)

    seen = [pk for page in walk(f"{LISTINGS}?ordering={ordering}&limit=30", each=publish) for pk in page]
    assert len(seen) == len(set(seen))
    seen = [pk for page in walk(f"{LISTINGS}?ordering={ordering}&limit=5&status=active") for pk in page]
    assert [pk for pk in seen if pk in set(before)] == before


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_the_row_a_cursor_names_may_be_gone(shelf, ordering):
    first = api().get(f"{LISTINGS}?ordering={ordering}&limit=4").json()
    Listing.objects.filter(pk=first["results"][-1]["id"]).delete()
    rest = [pk for page in walk(first["next"]) for pk in page]
    assert [row["id"] for row in first["results"]][:3] + rest == expected(ordering)


def test_links_keep_the_filters(shelf):
    answer = api().get(LISTINGS, {"min_price": "1", "limit": "2", "q": ""}).json()
    assert "min_price=1" in answer["next"]
    assert len([pk for page in walk(answer["next"]) for pk in page]) == 4


def test_a_page_after_everything_was_removed_is_empty(shelf):
    url = api().get(f"{LISTINGS}?limit=5").json()["next"]
    Listing.objects.update(status="removed")
    assert api().get(url).json() == {"next": None, "previous": None, "results": []}


def test_a_cursor_of_another_ordering_is_refused(shelf):
    cursor = Position("price", 0, Decimal(5), 1).encode()
    response = api().get(LISTINGS, {"ordering": "-price", "cursor": cursor})
    assert response.status_code == 400
    assert "ordering=price" in response.json()["cursor"][0]


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        None,
        "x",
        ["-created", 0, "2026-01-01", 1, 0],
        ["-created", 0, None, 1, 0],
        ["-created", 0, 5, 1, 0],
        ["-created", 1, None, 1, 0],
        ["-created", 0, "2026-01-01T00:00:00+00:00", 0, 0],
        ["-created", 0, "2026-01-01T00:00:00+00:00", 2**63, 0],
        ["-created", 0, "2026-01-01T00:00:00+00:00", True, 0],
        ["-created", 0, "0001-01-01T00:00:00+23:59", "1", 0],
        ["price", 0, "NaN", 1, 0],
        ["price", 0, "sNaN", 1, 0],
        ["price", 0, "1e500", 1, 0],
        ["price", 0, "0.001", 1, 0],
        ["price", 0, "-1", 1, 0],
        ["price", 0, ["1"], 1, 0],
        ["price", 1, "5", 1, 0],
        ["price", -1, None, 1, 0],
        ["price", True, None, 1, 0],
        ["price", 1, None, 1, 7],
        ["price", 1, None, 1, []],
        [["price"], 0, "5", 1, 0],
    ],
)
@pytest.mark.django_db
def test_a_forged_cursor_is_refused(payload):
    cursor = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode()
    ordering = payload[0] if isinstance(payload, list) and payload and payload[0] == "price" else "-created"
    response = api().get(LISTINGS, {"cursor": cursor, "ordering": ordering})
    assert response.status_code == 400
    assert list(response.json()["fields"]) == ["cursor"]


@given(st.one_of(st.text(), st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_no_text_breaks_the_decoder(text):
    try:
        Position.decode(text)
    except ValueError:
        return
    raise AssertionError("nonsense was taken for a cursor")


@given(
    st.builds(
        Position,
        st.just("price"),
        st.just(0),
        st.decimals(0, 10**10 - 1, places=2),
        st.integers(1, 2**63 - 1),
        st.booleans(),
    )
)
def test_a_cursor_survives_the_round_trip(position):
    assert Position.decode(position.encode()) == position
