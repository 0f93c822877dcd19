import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from listings.models import Listing
from tests.factories import make_category, make_image, make_listing, make_ready_image, make_user, photo_file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

MY = "/my/"


def page_of(listing, name="my-listing"):
    return reverse(name, args=[listing.pk])


@pytest.fixture
def seller(client):
    person = make_user()
    client.force_login(person)
    return person


def said(response):
    return [str(message) for message in response.context["messages"]]


@pytest.mark.parametrize("name", ["my-listing", "remove-listing", "photo-states"])
def test_who_may_open_the_pages_of_an_own_listing(client, name):
    seller = make_user()
    listing = make_listing(seller)
    for person, expected in [(None, 302), (make_user(), 403), (seller, 200), (make_user(staff=True), 200)]:
        client.logout()
        if person:
            client.force_login(person)
        assert client.get(page_of(listing, name)).status_code == expected, person


@pytest.mark.parametrize("name", ["my-listing", "remove-listing", "listing-status", "add-photos"])
def test_nobody_changes_a_listing_of_another_seller(client, name):
    listing = make_listing(title="Mine")
    client.force_login(make_user())
    response = client.post(page_of(listing, name), {"title": "Stolen", "status": "sold"})
    assert response.status_code == 403
    assert "Only its seller can change it." in response.content.decode()
    assert Listing.objects.values_list("title", "status").get() == ("Mine", "active")


@pytest.mark.usefixtures("seller")
@pytest.mark.parametrize("name", ["my-listing", "remove-listing", "listing-status", "add-photos", "photo-states"])
def test_a_draft_of_another_seller_does_not_seem_to_exist(client, name):
    listing = make_listing(status="draft")
    method = client.get if name == "photo-states" else client.post
    assert method(page_of(listing, name)).status_code == 404


def test_my_listings_are_mine_without_the_removed_ones(client, seller):
    make_listing(title="Another's")
    for status in ("active", "sold", "draft", "removed"):
        make_listing(seller, title=status, status=status)
    response = client.get(MY)
    assert [listing.title for listing in response.context["page"].listings] == ["draft", "sold", "active"]
    page = response.content.decode()
    for words in ("On sale", "Sold", "Draft", "Mark as sold", "Sell again", "Publish"):
        assert words in page


@pytest.mark.parametrize("status", ["active", "sold", "draft"])
def test_my_listings_can_be_narrowed_by_status(client, seller, status):
    for each in ("active", "sold", "draft"):
        make_listing(seller, title=each, status=each)
    response = client.get(MY, {"status": status})
    assert [listing.title for listing in response.context["page"].listings] == [status]


@pytest.mark.usefixtures("seller")
@pytest.mark.parametrize(
    ("asked", "sentence"), [({}, "You sell nothing yet"), ({"status": "sold"}, "None of your listings is here")]
)
def test_a_seller_without_listings_is_told_so(client, asked, sentence):
    assert sentence in client.get(MY, asked).content.decode()


def test_my_listings_cost_as_many_queries_for_many_as_for_few(client, seller, django_assert_num_queries):
    for number in range(12):
        make_ready_image(make_listing(seller, category=f"Home / {number}"))
    with django_assert_num_queries(4):  # session, user, listings, photos
        client.get(MY)


def test_the_edit_page_costs_a_bounded_number_of_queries(client, seller, django_assert_max_num_queries):
    listing = make_listing(seller, category="Home / Chairs")
    for _ in range(8):
        make_ready_image(listing)
    with django_assert_max_num_queries(7):
        client.get(page_of(listing))


def test_details_are_changed(client, seller):
    listing = make_listing(seller, title="Chair", price=5)
    category = make_category("Home / Stools")
    fields = {"title": "Stool", "price": "0", "category": category.pk, "location": "York", "description": "Low."}
    response = client.post(page_of(listing), fields, follow=True)
    listing.refresh_from_db()
    assert said(response) == ["Your changes are saved."]
    assert (listing.title, listing.price, listing.category, listing.location) == ("Stool", 0, category, "York")


def test_a_mistake_in_the_details_changes_nothing_and_keeps_what_was_typed(client, seller):
    listing = make_listing(seller, title="Chair")
    response = client.post(page_of(listing), {"title": "", "description": "Typed on a bus."})
    page = response.content.decode()
    assert "Nothing was saved yet" in page
    assert "Typed on a bus." in page
    assert "<h1>Chair</h1>" in page
    listing.refresh_from_db()
    assert (listing.title, listing.description) == ("Chair", "")


def test_a_change_touches_no_column_that_the_form_does_not_show(client, seller):
    listing = make_listing(seller, title="Chair", latitude=51.5, longitude=-0.1, status="sold", external_id="x1")
    client.post(page_of(listing), {"title": "Stool", "external_id": "x2", "latitude": 1, "seller": 1})
    listing.refresh_from_db()
    assert (listing.latitude, listing.status, listing.external_id, listing.seller) == (51.5, "sold", "x1", seller)


JSON = {"Accept": "application/json"}


def test_saving_changes_takes_the_chosen_photos_along(client, seller):
    listing = make_listing(seller, title="Chair")
    page = client.get(page_of(listing)).content.decode()
    (form,) = re.findall(r'<form [^>]*enctype="multipart/form-data"[^>]*>.*?</form>', page, re.DOTALL)
    assert all(words in form for words in ('name="photos"', 'name="title"', "Save changes", "Save and mark as sold"))
    sent = {"title": "Stool", "photos": [photo_file(1), SimpleUploadedFile("notes.txt", b"words")], "status": "sold"}
    response = client.post(page_of(listing), sent, follow=True)
    assert said(response) == [
        "notes.txt was left out. The file is not a photo.",
        "Your changes are saved. “Stool” is marked as sold.",
    ]
    listing.refresh_from_db()
    assert (listing.title, listing.status, listing.images.count()) == ("Stool", "sold", 1)


def test_a_mistake_in_the_details_costs_no_photo(client, seller):
    listing = make_listing(seller, title="Chair")
    page = client.post(page_of(listing), {"title": "", "photos": [photo_file(1)]}).content.decode()
    assert "The photos were taken, but nothing else was saved yet" in page
    assert page.count("Being prepared") > 1
    assert "<h1>Chair</h1>" in page
    assert listing.images.count() == 1


@pytest.mark.parametrize("status", ["removed", "", "nonsense"])
def test_saving_changes_sets_no_other_status(client, seller, status):
    listing = make_listing(seller)
    client.post(page_of(listing), {"title": "Stool", "status": status})
    assert Listing.objects.values_list("title", "status").get() == ("Stool", "active")


def test_the_script_gets_errors_by_field_or_where_the_photos_go(client, seller):
    listing = make_listing(seller)
    refused = client.post(page_of(listing), {"title": "", "price": "12,50"}, headers=JSON)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["title", "price"])
    saved = client.post(page_of(listing), {"title": "Stool", "status": "sold"}, headers=JSON)
    assert saved.json() == {"photos": page_of(listing, "add-photos"), "next": page_of(listing)}
    assert said(client.get(page_of(listing))) == ["Your changes are saved. “Stool” is marked as sold."]


@pytest.mark.parametrize(
    "name", ["my-listing", "listing-status", "add-photos", "remove-listing", "delete-photo", "sell"]
)
def test_a_form_sent_after_the_session_ended_says_so_and_leads_to_a_page_that_opens(client, name):
    seller = make_user()
    listing = make_listing(seller, title="Chair")
    numbers = {"delete-photo": [listing.pk, make_ready_image(listing).pk], "sell": []}
    response = client.post(reverse(name, args=numbers.get(name, [listing.pk])), {"title": "Stool"}, follow=True)
    assert said(response) == [
        "You were signed out, so nothing was saved. Press Back to copy what you typed, or sign in and send it again."
    ]
    client.force_login(seller)
    assert client.get(response.request["QUERY_STRING"].partition("next=")[2]).status_code == 200


def test_the_script_is_told_by_itself_that_the_session_ended(client):
    response = client.post(page_of(make_listing()), {"title": "Stool"}, headers=JSON, follow=True)
    assert response.request["PATH_INFO"] == "/sign-in/"
    assert said(response) == []


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("active", "sold", "“Chair” is marked as sold."),
        ("sold", "active", "“Chair” is on sale."),
        ("draft", "active", "“Chair” is on sale."),
        ("active", "draft", "“Chair” is a draft: only you can see it."),
    ],
)
def test_a_status_is_changed_with_one_button(client, seller, before, after, sentence):
    listing = make_listing(seller, title="Chair", status=before)
    response = client.post(page_of(listing, "listing-status"), {"status": after}, follow=True)
    listing.refresh_from_db()
    assert listing.status == after
    assert said(response) == [sentence]


@pytest.mark.parametrize("status", ["removed", "", "nonsense"])
def test_a_status_that_sellers_do_not_set_is_refused(client, seller, status):
    listing = make_listing(seller)
    response = client.post(page_of(listing, "listing-status"), {"status": status}, follow=True)
    assert said(response)[0].startswith("A listing can be active, sold or a draft")
    listing.refresh_from_db()
    assert listing.status == "active"


def test_removing_asks_first_and_keeps_the_row(client, seller):
    listing = make_listing(seller, title="Chair")
    assert "Remove this listing?" in client.get(page_of(listing, "remove-listing")).content.decode()
    assert Listing.objects.get().status == "active"
    response = client.post(page_of(listing, "remove-listing"), follow=True)
    assert said(response) == ["“Chair” is removed."]
    assert Listing.objects.get().status == "removed"
    assert client.get(page_of(listing)).status_code == 404


@pytest.mark.parametrize("name", ["listing-status", "add-photos"])
def test_changes_are_not_made_by_links(client, seller, name):
    assert client.get(page_of(make_listing(seller), name)).status_code == 405


def test_the_edit_page_shows_each_photos_state_and_reason(client, seller):
    listing = make_listing(seller)
    make_ready_image(listing)
    make_image(listing)
    make_image(listing, state="rejected", reason="The file ends too early.")
    page = client.get(page_of(listing)).content.decode()
    for words in ("Ready", "Being prepared", "Not usable", "The file ends too early."):
        assert words in page
    assert f'data-watch="{page_of(listing, "photo-states")}"' in page


def test_nothing_is_watched_when_every_photo_is_settled(client, seller):
    listing = make_listing(seller)
    make_ready_image(listing)
    assert "data-watch=" not in client.get(page_of(listing)).content.decode()


def test_a_full_listing_offers_no_further_photos(client, seller, settings):
    settings.PHOTOS_PER_LISTING = 1
    listing = make_listing(seller)
    make_ready_image(listing)
    page = client.get(page_of(listing)).content.decode()
    assert "as many photos as it may have" in page
    assert 'type="file"' not in page
