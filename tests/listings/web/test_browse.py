import re
from decimal import Decimal

import pytest
from django.http import QueryDict
from django.urls import reverse

from listings import slots
from tests.factories import make_category, make_image, make_listing, make_ready_image, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]


def text(response, status=200):
    assert response.status_code == status
    return response.content.decode()


def form_of(page, role):
    """What a form of the page sends along without being asked: the hidden inputs, by name."""
    (form,) = re.findall(rf"<form [^>]*{role}.*?</form>", page, re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


def titles(response):
    return [listing.title for listing in response.context["page"].listings]


def test_home_shows_active_listings_newest_first(client):
    for title, status in [
        ("Old", "active"),
        ("Sold", "sold"),
        ("Hidden", "draft"),
        ("Gone", "removed"),
        ("New", "active"),
    ]:
        make_listing(title=title, status=status)
    assert titles(client.get("/")) == ["New", "Old"]


def test_an_empty_marketplace_invites_to_sell(client):
    page = text(client.get("/"))
    assert "No listings yet" in page
    assert reverse("sell") in page


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"q": "chair red"}, ["Red chair"]),
        ({"category": "Home"}, ["Blue lamp", "Red chair"]),
        ({"category": "Home / Chairs"}, ["Red chair"]),
        ({"min_price": "10"}, ["Blue lamp"]),
        ({"max_price": "10"}, ["Red chair"]),
        ({"ordering": "price"}, ["Red chair", "Blue lamp", "Odd thing"]),
        ({"ordering": "-price"}, ["Blue lamp", "Red chair", "Odd thing"]),
    ],
)
def test_filters_narrow_and_order(client, asked, found):
    make_listing(title="Odd thing")
    make_listing(title="Red chair", price=Decimal(5), category="Home / Chairs")
    make_listing(title="Blue lamp", price=Decimal(20), category="Home / Lamps")
    assert titles(client.get("/", asked)) == found


def test_a_sellers_listings_can_be_shown(client):
    mira = make_user("mira")
    make_listing(mira, title="Hers")
    make_listing(title="Another's")
    response = client.get("/", {"seller": mira.pk})
    assert titles(response) == ["Hers"]
    assert "Listings by mira" in text(response)


def test_a_search_without_results_says_what_to_do(client):
    make_listing(title="Chair")
    page = text(client.get("/", {"q": "zebra"}))
    assert "Nothing matches" in page
    assert "“zebra”" in page


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"min_price": "9", "max_price": "1"}, "The lowest price is above the highest."),
        ({"min_price": "cheap"}, "Write the price as a number, such as 12.50."),
        ({"category": "Nowhere"}, "There is no category &#x27;Nowhere&#x27;."),
        ({"q": "nul\x00"}, "Null characters are not allowed."),
    ],
)
def test_a_filter_that_makes_no_sense_is_explained(client, asked, sentence):
    make_listing(title="Chair")
    response = client.get("/", asked)
    page = text(response, 400)
    assert sentence in page
    assert titles(response) == []


ASKED = {
    "category": "Home",
    "min_price": "5",
    "max_price": "9",
    "near": "51.5,-0.1",
    "radius_km": "20",
    "status": "active",
}


def test_a_search_from_the_header_keeps_the_filters_and_the_order(client):
    seller = make_user("mira")
    make_listing(seller, title="Chair", category="Home", price=7, latitude=51.5, longitude=-0.1)
    asked = {**ASKED, "seller": str(seller.pk)}
    page = text(client.get("/", {**asked, "q": "stool", "ordering": "price", "cursor": ""}))
    kept = form_of(page, 'role="search"')
    assert kept == {**asked, "ordering": "price"}
    assert titles(client.get("/", {**kept, "q": "chair"})) == ["Chair"]
    in_fields = {"min_price", "max_price"}
    assert form_of(page, "data-filters") == {name: kept[name] for name in asked.keys() - in_fields} | {"q": "stool"}
    assert form_of(text(client.get("/sell/", follow=True)), 'role="search"') == {}


def test_every_filter_that_is_set_can_be_dropped_alone(client):
    seller = make_user("mira")
    make_listing(seller, category="Home")
    asked = {"q": "stool", **ASKED, "seller": str(seller.pk)}
    set_filters = client.get("/", asked).context["set_filters"]
    words = [link.text for link in set_filters]
    assert words == [
        "“stool”", "In Home", "From £5", "Up to £9", "Near 51.5,-0.1", "Within 20 km", "By mira", "Status active"
    ]  # fmt: skip
    left = [sorted(asked.keys() - QueryDict(link.query).keys()) for link in set_filters]
    assert left == [
        ["q"], ["category"], ["min_price"], ["max_price"], ["near", "radius_km"], ["radius_km"], ["seller"], ["status"]
    ]  # fmt: skip
    for link in set_filters:
        assert client.get(f"/?{link.query}").status_code == 200
    assert client.get("/").context["set_filters"] == []


@pytest.mark.parametrize("typed", ["12,50", "£12", "cheap"])
@pytest.mark.parametrize(("name", "words", "chip"), [("min_price", "From: ", "From "), ("max_price", "To: ", "Up to ")])
def test_a_price_that_cannot_be_read_is_told_and_stays_as_it_was_typed(client, name, words, chip, typed):
    make_listing(title="Chair", price=3)
    page = text(client.get("/", {name: typed}), 400)
    (field,) = re.findall(rf'<input id=[^>]*name="{name}"[^>]*value="{typed}"[^>]*>', page)
    # An input of type number would hand over an empty text in place of what it cannot read.
    assert 'type="text" inputmode="decimal"' in field
    error = f"{name.replace('_', '-')}-error"
    assert f'aria-invalid="true" aria-describedby="{error}"' in field
    assert f'<p class="error" id="{error}" role="alert">{words}Write the price as a number, such as 12.50.</p>' in page
    assert f"{chip}{typed}" in page
    assert form_of(page, 'role="search"') == {name: typed}


@pytest.mark.parametrize("asked", [{"ordering": "shoe-size"}, {"cursor": "guessed"}, {"limit": "0"}])
def test_a_place_in_the_list_that_does_not_exist_leads_to_the_first_page(client, asked):
    response = client.get("/", {"q": "chair", **asked})
    assert response.status_code == 302
    assert response.url == "/?q=chair"


def test_pages_show_every_listing_once_whatever_is_added_meanwhile(client):
    for number in range(30):
        make_listing(title=f"Thing {number}", category="Home")
    first = client.get("/", {"category": "Home"})
    make_listing(title="Latecomer", category="Home")
    second = client.get(f"/{first.context['page'].next}")
    assert titles(first) + titles(second) == [f"Thing {number}" for number in reversed(range(30))]
    assert second.context["page"].next is None
    assert titles(client.get(f"/{second.context['page'].previous}"))[-1] == "Thing 6"


def test_categories_lead_down_and_back_up_keeping_the_question(client):
    make_category("Home / Chairs / Stools")
    make_listing(title="Stool", category="Home / Chairs")
    response = client.get("/", {"q": "stool", "category": "Home / Chairs"})
    chips, crumbs = response.context["chips"], response.context["crumbs"]
    assert [(chip.text, chip.query) for chip in chips] == [("Stools", "q=stool&category=Home+%2F+Chairs+%2F+Stools")]
    assert [crumb.text for crumb in crumbs] == ["All categories", "Home", "Chairs"]
    assert crumbs[0].query == "q=stool"
    assert crumbs[1].query == "q=stool&category=Home"


def test_home_costs_as_many_queries_for_many_listings_as_for_few(client, django_assert_num_queries):
    for number in range(3):
        make_ready_image(make_listing(category=f"Home / Kind {number}"))
    with django_assert_num_queries(3):  # listings with seller and category, their photos, the roots of the tree
        client.get("/")
    for number in range(20):
        make_ready_image(make_listing(category=f"Home / Kind {number}"))
    with django_assert_num_queries(3):
        client.get("/")


def test_a_filtered_page_costs_a_bounded_number_of_queries(client, django_assert_max_num_queries):
    for number in range(12):
        make_ready_image(make_listing(title=f"Chair {number}", price=number, category="Home / Chairs"))
    with django_assert_max_num_queries(6):
        client.get("/", {"q": "chair", "category": "Home", "min_price": "1", "ordering": "price"})


def test_a_listing_page_costs_two_queries(client, django_assert_num_queries):
    listing = make_listing(category="Home / Chairs")
    for _ in range(5):
        make_ready_image(listing)
    with django_assert_num_queries(2):
        client.get(listing.get_absolute_url())


@pytest.mark.parametrize(
    ("price", "words"), [(None, "Price on request"), (Decimal(0), "Free"), (Decimal("12.50"), "£12.50")]
)
def test_a_listing_page_tells_what_is_sold(client, price, words):
    seller = make_user("mira")
    listing = make_listing(
        seller,
        title="Oak <chair>",
        price=price,
        description="Solid.\n\nHeavy.",
        location="Leeds",
        category="Home / Chairs",
    )
    page = text(client.get(listing.get_absolute_url()))
    assert words in page
    for piece in ("Oak &lt;chair&gt;", "<p>Solid.</p>", "<p>Heavy.</p>", "Leeds", "Home / Chairs", "mira"):
        assert piece in page


def test_the_exact_place_is_never_on_the_page(client):
    listing = make_listing(latitude=51.501234, longitude=-0.141234)
    # Without the time of day, whose digits may be the same.
    page = re.sub(r"<time .*?</time>", "", text(client.get(listing.get_absolute_url())))
    assert "51.5" not in page
    assert "0.14" not in page


def test_only_photos_that_are_ready_are_shown_and_thumbnails_lead_to_them(client):
    listing = make_listing()
    first, _waiting, third = make_ready_image(listing), make_image(listing), make_ready_image(listing)
    page = text(client.get(listing.get_absolute_url()))
    assert page.count('<li id="photo-') == 2
    for photo in (first, third):
        assert photo.clean_file.url in page
        assert photo.thumb_file.url in page
    assert 'href="#photo-2"' in page
    assert "original" not in page


def test_a_sold_listing_keeps_its_page_with_a_ribbon(client):
    page = text(client.get(make_listing(status="sold").get_absolute_url()))
    assert '<span class="ribbon">Sold</span>' in page


@pytest.mark.parametrize(
    ("status", "visitor", "other", "owner", "staff"),
    [
        ("active", 200, 200, 200, 200),
        ("sold", 200, 200, 200, 200),
        ("draft", 404, 404, 200, 200),
        ("removed", 404, 404, 404, 200),
    ],
)
def test_who_may_open_a_listing(client, status, visitor, other, owner, staff):
    seller = make_user()
    listing = make_listing(seller, status=status)
    people = [(None, visitor), (make_user(), other), (seller, owner), (make_user(staff=True), staff)]
    for person, expected in people:
        client.logout()
        if person:
            client.force_login(person)
        assert client.get(listing.get_absolute_url()).status_code == expected, person


def test_edit_is_offered_to_who_may_edit(client):
    seller = make_user()
    listing = make_listing(seller)
    edit = reverse("my-listing", args=[listing.pk])
    assert edit not in text(client.get(listing.get_absolute_url()))
    client.force_login(seller)
    assert edit in text(client.get(listing.get_absolute_url()))


@pytest.mark.parametrize("number", ["999999", "9" * 30])
def test_a_listing_that_does_not_exist_is_not_found(client, number):
    assert "There is nothing here" in text(client.get(f"/listings/{number}/"), 404)


def test_the_similar_strip_is_filled_by_another_room(client, monkeypatch):
    from django.utils.safestring import SafeString

    monkeypatch.setattr(
        slots, "_fillers", {"similar_strip": lambda request, listing: SafeString(f"<p>like {listing.pk}</p>")}
    )
    listing = make_listing()
    page = text(client.get(listing.get_absolute_url()))
    assert f"<p>like {listing.pk}</p>" in page
    assert "Looks similar" in page
    slots._fillers.clear()
    assert "Looks similar" not in text(client.get(listing.get_absolute_url()))
