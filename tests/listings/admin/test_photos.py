import pytest
from django.urls import reverse

from listings.models import ListingImage
from tests.factories import make_image, make_listing, make_ready_image, make_user
from tests.listings.admin.pages import change, form

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

LIST = "/admin/listings/listingimage/"


@pytest.fixture(autouse=True)
def _staff(client):
    client.force_login(make_user(staff=True))


def shown(response):
    return [image.pk for image in response.context["cl"].result_list]


def test_a_moderator_finds_rejected_photos_with_reason_and_listing(client):
    listing = make_listing(title="Chair")
    make_ready_image(listing)
    bad = make_image(listing, state="rejected", reason="The file ends too early.")
    response = client.get(LIST, {"state__exact": "rejected"})
    page = response.content.decode()
    assert shown(response) == [bad.pk]
    assert "The file ends too early." in page
    assert reverse("admin:listings_listing_change", args=[listing.pk]) in page


def test_rejected_photos_are_narrowed_by_reason(client):
    listing = make_listing()
    early = make_image(listing, state="rejected", reason="Too early.")
    make_image(listing, state="rejected", reason="Too large.")
    make_ready_image(listing)
    response = client.get(LIST, {"reason": "Too early."})
    assert shown(response) == [early.pk]
    assert "Too large." in response.content.decode()


@pytest.mark.parametrize("words", ["oak", "mira", "ext-7", "f" * 64])
def test_photos_are_found_by_listing_seller_and_hash(client, words):
    listing = make_listing(make_user("mira"), title="Oak chair", external_id="ext-7")
    image = make_image(listing, sha256="f" * 64)
    make_image(make_listing(title="Other"))
    assert shown(client.get(LIST, {"q": words})) == [image.pk]


def test_a_photo_is_looked_at_but_not_changed(client):
    image = make_ready_image(make_listing())
    address = reverse("admin:listings_listingimage_change", args=[image.pk])
    page = client.get(address).content.decode()
    assert image.clean_file.url in page
    assert reverse("original", args=[image.pk]) in page
    client.post(address, {"position": 9, "state": "rejected", "original": ""})
    image.refresh_from_db()
    assert (image.position, image.state) == (0, "ready")
    assert image.original.name


def test_photos_are_not_added_apart_from_a_listing(client):
    assert client.get(f"{LIST}add/").status_code == 403


def test_the_list_costs_as_many_queries_for_300_rejected_photos_as_for_few(client, django_assert_max_num_queries):
    listing = make_listing()
    rows = [
        ListingImage(listing=listing, state="rejected", reason=f"Reason {n % 4}", sha256=f"{n:064}") for n in range(300)
    ]
    ListingImage.objects.bulk_create(rows)
    with django_assert_max_num_queries(7):
        response = client.get(LIST, {"state__exact": "rejected"})
    assert response.context["cl"].result_count == 300


@pytest.mark.parametrize(
    ("typed", "order"),
    [((0, 1, 0), "cab"), ((2, 1, 2), "bca"), ((0, 2, 2), "acb"), ((1, 1, 2), "bac"), ((5, 1, 2), "bca")],
)
def test_a_photo_is_moved_by_giving_it_the_place_of_another(client, typed, order):
    listing = make_listing()
    photos = {make_image(listing): name for name in "abc"}
    client.post(change(listing), form(listing.seller, list(zip(photos, typed, strict=True))))
    assert "".join(photos[image] for image in listing.images.all()) == order


def test_the_place_of_a_photo_says_what_it_is(client):
    listing = make_listing()
    image = make_image(listing)
    page = client.get(change(listing)).content.decode()
    assert f'aria-label="Place of photo {image.pk}"' in page
    assert "Place, lowest first" in page
