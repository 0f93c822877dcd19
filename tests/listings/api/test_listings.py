"""Publishing, reading, changing and removing one listing over REST."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import AnonymousUser

from listings.models import NAME_LENGTH, PATH_LENGTH, Category, Listing
from listings.services import ListingGone, update_listing
from tests.factories import api, make_category, make_image, make_listing, make_ready_image, make_user

pytestmark = pytest.mark.django_db

LISTINGS = "/api/v1/listings/"


def url(listing: Listing) -> str:
    return f"{LISTINGS}{listing.pk}/"


@pytest.fixture
def seller():
    return make_user("sue")


def test_a_seller_publishes_a_listing_and_reads_back_all_of_it(seller):
    make_category("Home / Chairs")
    sent = {
        "title": "Oak chair",
        "description": "Solid.",
        "price": "45.00",
        "currency": "GBP",
        "category": "Home / Chairs",
        "location": "Leeds",
        "latitude": 53.79970,
        "longitude": -1.54920,
        "status": "draft",
    }
    response = api(seller).post(LISTINGS, sent)
    assert response.status_code == 201, response.content
    answer = response.json()
    assert {name: answer[name] for name in sent} == sent
    assert answer["seller"] == {"id": seller.pk, "name": "sue"}
    assert answer["images"] == []
    assert answer["url"] == f"http://testserver{Listing.objects.get().get_absolute_url()}"
    assert Listing.objects.get().seller == seller


def test_a_listing_needs_no_more_than_a_title(seller):
    answer = api(seller).post(LISTINGS, {"title": "Chair"}).json()
    assert (answer["status"], answer["price"], answer["category"], answer["currency"]) == ("active", None, None, "GBP")
    assert (answer["latitude"], answer["longitude"]) == (None, None)


def test_the_seller_cannot_be_chosen(seller):
    other = make_user()
    api(seller).post(LISTINGS, {"title": "Chair", "seller": other.pk, "id": 777_777, "created_at": "2001-01-01T00:00Z"})
    listing = Listing.objects.get()
    assert listing.seller == seller
    assert listing.pk != 777_777
    assert listing.created_at.year > 2001


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", None),
        ("title", "\u200b\ufeff"),
        ("title", "x" * 201),
        ("title", "a\x00b"),
        ("title", ["a"]),
        ("description", "x" * 10_001),
        ("description", "\x00"),
        ("location", "x" * 121),
        ("price", "-0.01"),
        ("price", "NaN"),
        ("price", "Infinity"),
        ("price", "1e30"),
        ("price", "12345678901.00"),
        ("price", "1.234"),
        ("price", "cheap"),
        *(("price", one) for one in ("1_0", "1e1", "12,50", "\u00a312", "\uff11", True, [], [5], "1.000,50", "+1")),
        ("latitude", "5_1.5"),
        ("latitude", "1e1"),
        ("price", {}),
        ("currency", "EUR"),
        ("currency", None),
        ("currency", ["GBP"]),
        ("category", "Nowhere"),
        ("category", "a\x00b"),
        ("category", 7.5e300),
        ("category", []),
        ("latitude", 90.1),
        ("latitude", "nan"),
        ("latitude", "inf"),
        ("latitude", True),
        ("latitude", 10**400),
        ("longitude", -180.5),
        ("status", "gone"),
        ("status", "removed"),
        ("status", 3),
    ],
)
def test_a_wrong_value_is_refused_by_field(seller, field, value):
    sent = {"title": "Chair", "latitude": 1.0, "longitude": 1.0, field: value}
    response = api(seller).post(LISTINGS, sent)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [field]
    assert not Listing.objects.exists()


@pytest.mark.parametrize("nothing", ["-0", "-0.00", 0, -0.0, "0", " 0 "])
def test_nothing_has_no_sign(seller, nothing):
    sent = {"title": "Chair", "price": nothing, "latitude": nothing, "longitude": nothing}
    response = api(seller).post(LISTINGS, sent)
    assert response.json()["price"] == "0.00"
    assert '"latitude":0.0,"longitude":0.0' in response.content.decode()


@pytest.mark.parametrize(
    ("price", "says"),
    [
        ("12,50", "Write the price as a number, such as 12.50."),
        (True, "Write the price as a number, such as 12.50."),
        ("1.234", "A price has at most two digits after the point."),
        ("1" * 12, "This price has too many digits."),
        ("1" * 300, "This price has too many digits."),
    ],
)
def test_a_price_is_refused_with_how_to_write_it(seller, price, says):
    assert api(seller).post(LISTINGS, {"title": "Chair", "price": price}).json()["price"] == [says]


@pytest.mark.parametrize(("given", "missing"), [("latitude", "longitude"), ("longitude", "latitude")])
def test_half_a_point_is_refused(seller, given, missing):
    assert list(api(seller).post(LISTINGS, {"title": "Chair", given: 1.5}).json()["fields"]) == [missing]
    listing = make_listing(seller, latitude=1.5, longitude=1.5)
    assert list(api(seller).patch(url(listing), {missing: None}).json()["fields"]) == [missing]


def test_staff_create_the_category_they_name(seller):
    staff = make_user(staff=True)
    response = api(staff).post(LISTINGS, {"title": "Chair", "category": "Home / Chairs / Oak"})
    assert response.json()["category"] == "Home / Chairs / Oak"
    assert list(Category.objects.values_list("path", flat=True)) == ["Home", "Home / Chairs", "Home / Chairs / Oak"]
    again = api(staff).patch(url(Listing.objects.get()), {"category": "Home / Tables"})
    assert again.json()["category"] == "Home / Tables"
    assert Category.objects.count() == 4


@pytest.mark.parametrize(
    "path", ["/", "/ Oak", "Home / ", "Home /  / Oak", "Home / / / Oak", "x" * 121, "a / " + "b" * 121]
)
def test_a_path_with_a_bad_level_is_refused_even_from_staff(path):
    response = api(make_user(staff=True)).post(LISTINGS, {"title": "Chair", "category": path})
    assert response.status_code == 400
    assert not Category.objects.exists()


def test_no_category_is_made_when_another_field_is_wrong():
    response = api(make_user(staff=True)).post(LISTINGS, {"title": "", "category": "Home"})
    assert list(response.json()["fields"]) == ["title"]
    assert not Category.objects.exists()


def test_the_path_field_knows_the_columns():
    columns = {field.name: field.max_length for field in Category._meta.get_fields() if hasattr(field, "max_length")}
    assert (columns["name"], columns["path"]) == (NAME_LENGTH, PATH_LENGTH)


def test_a_patch_changes_what_it_names_and_nothing_else(seller):
    listing = make_listing(seller, title="Chair", price=Decimal(5), description="Old.")
    before = listing.updated_at
    answer = api(seller).patch(url(listing), {"price": "7.5"}).json()
    assert (answer["price"], answer["title"], answer["description"]) == ("7.50", "Chair", "Old.")
    listing.refresh_from_db()
    assert listing.price == Decimal("7.5")
    assert listing.updated_at > before


def test_a_price_and_a_category_can_be_taken_back(seller):
    listing = make_listing(seller, price=Decimal(5), category="Home")
    answer = api(seller).patch(url(listing), {"price": None, "category": None}).json()
    assert (answer["price"], answer["category"]) == (None, None)


@pytest.mark.parametrize("status", ["draft", "active", "sold"])
@pytest.mark.parametrize("before", ["draft", "active", "sold"])
def test_a_seller_moves_between_the_three_open_states(seller, before, status):
    listing = make_listing(seller, status=before)
    assert api(seller).patch(url(listing), {"status": status}).json()["status"] == status


def test_a_removed_listing_is_gone_for_its_seller_and_staff_bring_it_back(seller):
    listing = make_listing(seller)
    assert api(seller).delete(url(listing)).status_code == 204
    assert api(seller).get(url(listing)).status_code == 404
    assert api(seller).patch(url(listing), {"status": "active"}).status_code == 404
    assert api(seller).delete(url(listing)).status_code == 404
    staff = api(make_user(staff=True))
    assert staff.get(url(listing)).json()["status"] == "removed"
    assert staff.delete(url(listing)).status_code == 204
    assert staff.patch(url(listing), {"status": "active"}).json()["status"] == "active"
    assert api(seller).get(url(listing)).status_code == 200


def test_a_change_that_lost_the_race_against_a_removal_does_not_bring_the_listing_back(seller):
    listing = make_listing(seller)
    Listing.objects.update(status="removed")
    with pytest.raises(ListingGone):
        update_listing(listing, seller, {"status": "active"})
    assert Listing.objects.get().status == "removed"
    with pytest.raises(ListingGone):
        update_listing(listing, AnonymousUser(), {"status": "active"})


def test_a_listing_is_not_replaced(seller):
    assert api(seller).put(url(make_listing(seller)), {"title": "x"}).status_code == 405


def test_only_the_seller_and_staff_see_photos_that_are_not_ready(seller):
    listing = make_listing(seller)
    ready = make_ready_image(listing)
    waiting = make_image(listing)
    refused = make_image(listing, state="rejected", reason="The photo is damaged.")
    for person in (seller, make_user(staff=True)):
        images = api(person).get(url(listing)).json()["images"]
        assert [(image["id"], image["state"], image["reason"]) for image in images] == [
            (ready.pk, "ready", ""),
            (waiting.pk, "new", ""),
            (refused.pk, "rejected", "The photo is damaged."),
        ]
        assert images[1]["thumb"] is None
        assert images[1]["clean"] is None
    for person in (None, make_user()):
        (image,) = api(person).get(url(listing)).json()["images"]
        assert image == {
            "id": ready.pk,
            "state": "ready",
            "reason": "",
            "thumb": f"http://testserver{ready.thumb_file.url}",
            "clean": f"http://testserver{ready.clean_file.url}",
            "width": 96,
            "height": 72,
            "position": 0,
        }


def test_an_answer_costs_the_same_queries_for_one_listing_and_for_many(seller, django_assert_max_num_queries):
    def publish(count):
        for _ in range(count):
            listing = make_listing(seller, category="Home / Chairs")
            make_ready_image(listing)

    publish(1)
    with django_assert_max_num_queries(2):
        assert len(api(seller).get(LISTINGS).json()["results"]) == 1
    publish(15)
    with django_assert_max_num_queries(2):
        assert len(api(seller).get(LISTINGS).json()["results"]) == 16
    listing = make_listing(seller)
    with django_assert_max_num_queries(2):
        api(seller).get(url(listing))


@pytest.mark.parametrize(
    "pk", ["0", str(2**63 - 1), str(2**63), "9" * 400, "9" * 5000, "-1", "1.5", "%00", "x"], ids=lambda pk: pk[:20]
)
def test_an_impossible_id_is_not_found(pk):
    for path in (f"{LISTINGS}{pk}/", f"{LISTINGS}{pk}/images/"):
        response = api(make_user(staff=True)).get(path)
        assert response.status_code in {404, 405}
        assert set(response.json()) == {"detail", "code"}
