import re
import uuid

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from listings.models import Listing, ListingImage
from ml.images import MAX_BYTES
from tests.factories import make_category, make_user, photo_file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

SELL = "/sell/"


@pytest.fixture
def seller(client):
    person = make_user()
    client.force_login(person)
    return person


def form(**fields):
    return {"title": "Oak chair", "key": uuid.uuid4(), **fields}


def not_a_photo(name="notes.txt"):
    return SimpleUploadedFile(name, b"just words", "text/plain")


def said(response):
    return [str(message) for message in response.context["messages"]]


def test_selling_needs_an_account_and_comes_back_after_signing_in(client):
    response = client.get(SELL)
    assert response.status_code == 302
    assert response.url == "/sign-in/?next=/sell/"
    assert client.post(SELL, form()).status_code == 302
    assert not Listing.objects.exists()


def test_the_form_names_the_limit_that_the_decoder_has(client, seller):
    assert settings.PHOTO_MAX_BYTES == MAX_BYTES
    assert f"at most {MAX_BYTES // 1024**2} MB each" in client.get(SELL).content.decode()


def test_a_listing_with_several_photos_is_published(client, seller):
    category = make_category("Home / Chairs")
    fields = form(price="12.50", category=category.pk, description="Solid.", location="Leeds")
    response = client.post(SELL, {**fields, "photos": [photo_file(1), photo_file(2)]}, follow=True)
    listing = Listing.objects.get()
    assert response.redirect_chain == [(reverse("my-listing", args=[listing.pk]), 302)]
    assert said(response) == ["Your listing is live."]
    assert (listing.seller, listing.status, str(listing.price), listing.category) == (
        seller,
        "active",
        "12.50",
        category,
    )
    assert [image.position for image in listing.images.all()] == [0, 1]
    assert response.content.decode().count("Being prepared") > 1


@pytest.mark.usefixtures("seller")
def test_a_title_is_all_it_takes(client):
    assert client.post(SELL, form()).status_code == 302
    assert Listing.objects.values_list("title", "price", "category").get() == ("Oak chair", None, None)


@pytest.mark.usefixtures("seller")
def test_a_draft_is_saved_without_being_shown(client):
    response = client.post(SELL, form(status="draft"), follow=True)
    assert said(response) == ["Your listing is saved as a draft."]
    assert Listing.objects.get().status == "draft"


@pytest.mark.usefixtures("seller")
@pytest.mark.parametrize("status", ["sold", "removed", "nonsense"])
def test_a_new_listing_is_active_or_a_draft_and_nothing_else(client, status):
    client.post(SELL, form(status=status))
    assert Listing.objects.get().status == "active"


@pytest.mark.usefixtures("seller")
def test_one_bad_photo_among_several_costs_only_itself(client):
    photos = [photo_file(1), not_a_photo("menu.pdf"), photo_file(2)]
    response = client.post(SELL, {**form(), "photos": photos}, follow=True)
    assert Listing.objects.get().images.count() == 2
    assert said(response) == ["menu.pdf was left out. The file is not a photo.", "Your listing is live."]


@pytest.mark.usefixtures("seller")
def test_the_listing_is_saved_even_if_no_photo_is_usable(client):
    client.post(SELL, {**form(), "photos": [not_a_photo()]})
    assert Listing.objects.get().images.count() == 0


@pytest.mark.usefixtures("seller")
def test_photos_beyond_the_limit_are_named_and_the_first_ones_kept(client):
    photos = [photo_file(number, name=f"p{number}.jpg") for number in range(settings.PHOTOS_PER_LISTING + 1)]
    response = client.post(SELL, {**form(), "photos": photos}, follow=True)
    assert ListingImage.objects.count() == settings.PHOTOS_PER_LISTING
    assert said(response)[0].startswith("p10.jpg was left out. A listing has at most 10 photos")


@pytest.mark.usefixtures("seller")
def test_the_same_photo_chosen_twice_is_stored_once(client):
    client.post(SELL, {**form(), "photos": [photo_file(1), photo_file(1, name="copy.jpg")]})
    assert ListingImage.objects.count() == 1


@pytest.mark.usefixtures("seller")
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"title": "  "}, "Give it a title, so that people know what it is."),
        ({"title": "\u200b\xad"}, "Nobody can see these characters."),
        ({"title": "x" * 201}, "at most 200 characters"),
        ({"price": "cheap"}, "Write the price as a number, such as 12.50."),
        ({"price": "1.234"}, "A price has at most two digits after the point."),
        ({"price": "-1"}, "A price cannot be negative."),
        ({"price": "12345678901234"}, "This price has too many digits."),
        ({"category": "9999"}, "Select a valid choice."),
    ],
)
def test_a_mistake_is_explained_beside_its_field_and_nothing_typed_is_lost(client, wrong, sentence):
    response = client.post(SELL, form(description="Typed on a bus.", **wrong))
    page = response.content.decode()
    (name,) = wrong
    assert response.status_code == 200
    assert sentence in page
    assert f'id="id_{name}_error"' in page
    assert 'aria-invalid="true"' in page
    assert "Typed on a bus." in page
    assert not Listing.objects.exists()


def test_without_a_script_a_browser_finds_mistakes_before_it_sends_and_forgets_the_photos(client, seller):
    page = client.get(SELL).content.decode()
    assert "novalidate" not in page
    (title,), (price,) = (re.findall(rf'<input [^>]*name="{name}"[^>]*>', page) for name in ("title", "price"))
    assert " required" in title
    assert 'maxlength="200"' in title
    assert 'type="text"' in price
    assert 'inputmode="decimal"' in price
    for field, good, bad in [
        (title, ["Chair"], ["  "]),
        (price, ["12", "12.50", " 0 "], ["12,50", "£12", "1.234", "-1"]),
    ]:
        pattern = re.search('pattern="([^"]*)"', field)[1]
        assert all(re.fullmatch(pattern, text) for text in good)
        assert not any(re.fullmatch(pattern, text) for text in bad)


@pytest.mark.usefixtures("seller")
@pytest.mark.parametrize("typed", ["12,50", "£12", "12 50", "1_0", "1e3", "inf", "nan", "\N{FULLWIDTH DIGIT ONE}2"])
def test_a_price_that_cannot_be_read_publishes_nothing_and_stays_as_it_was_typed(client, typed):
    page = client.post(SELL, form(price=typed, photos=[photo_file(1)])).content.decode()
    assert f'value="{typed}"' in page
    assert "Write the price as a number, such as 12.50." in page
    assert "choose your photos again" in page
    assert not Listing.objects.exists()


def test_a_form_sent_twice_publishes_once(client, seller):
    fields = form()
    first = client.post(SELL, {**fields, "photos": [photo_file(1)]})
    second = client.post(SELL, {**fields, "photos": [photo_file(1)]})
    assert first.url == second.url
    assert Listing.objects.count() == ListingImage.objects.count() == 1


@pytest.mark.usefixtures("seller")
@pytest.mark.parametrize(
    ("status", "is_now"),
    [("draft", "“Oak chair” is a draft: only you can see it."), ("sold", "“Oak chair” is marked as sold.")],
)
def test_a_form_sent_twice_with_the_other_button_says_what_the_listing_is(client, status, is_now):
    fields = form(photos=[photo_file(1)])
    client.post(SELL, {**fields, "status": "draft"}, follow=True)
    Listing.objects.update(status=status)
    ListingImage.objects.all().delete()
    response = client.post(SELL, {**fields, "photos": [photo_file(1)], "status": "active"}, follow=True)
    assert said(response) == [f"This form was sent before. {is_now} Here you can change that."]
    assert Listing.objects.get().status == status


def test_photos_that_could_not_be_stored_are_stored_when_the_form_is_sent_again(client, seller, settings):
    fields = form()
    root, settings.ORIGINALS_ROOT = settings.ORIGINALS_ROOT, "/dev/null"
    client.raise_request_exception = False
    client.post(SELL, {**fields, "photos": [photo_file(1)]})
    settings.ORIGINALS_ROOT = root
    response = client.post(SELL, {**fields, "photos": [photo_file(1)]}, follow=True)
    assert said(response) == ["Your listing is live."]
    assert [image.sha256 for image in Listing.objects.get().images.all()]


def test_a_form_whose_listing_was_removed_publishes_nothing(client, seller):
    fields = form()
    client.post(SELL, fields)
    Listing.objects.update(status="removed")
    assert client.post(SELL, fields).status_code == 404
    assert Listing.objects.count() == 1


@pytest.mark.usefixtures("seller")
@pytest.mark.parametrize("other", [{"title": "Oak stool"}, {"photos": [photo_file(2)]}])
def test_going_back_to_the_form_and_sending_something_else_loses_nothing(client, other):
    fields = form()
    client.post(SELL, {**fields, "photos": [photo_file(1)]}, follow=True)
    response = client.post(SELL, {**fields, "photos": [photo_file(1)], **other}, follow=True)
    assert said(response) == ["Your listing is live."]
    assert (Listing.objects.count(), ListingImage.objects.count()) == (2, 2)


def test_two_sellers_with_the_same_form_publish_one_listing_each(client):
    fields = form()
    for _ in range(2):
        client.force_login(make_user())
        client.post(SELL, fields)
    assert Listing.objects.count() == 2


@pytest.mark.usefixtures("seller")
def test_each_form_has_its_own_key(client):
    assert client.get(SELL).context["form"].initial["key"] != client.get(SELL).context["form"].initial["key"]


@pytest.mark.usefixtures("seller")
def test_the_script_gets_the_addresses_it_goes_on_with(client):
    response = client.post(SELL, form(), headers={"Accept": "application/json"})
    listing = Listing.objects.get()
    assert response.status_code == 201
    assert response.json() == {
        "photos": reverse("add-photos", args=[listing.pk]),
        "next": reverse("my-listing", args=[listing.pk]),
    }


@pytest.mark.usefixtures("seller")
def test_the_script_gets_errors_by_field(client):
    response = client.post(SELL, form(title=""), headers={"Accept": "application/json"})
    assert response.status_code == 400
    assert response.json() == {"errors": {"title": ["Give it a title, so that people know what it is."]}}


def test_a_form_without_its_csrf_token_is_refused_in_words():
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user())
    response = client.post(SELL, {**form(), "photos": [photo_file(1)]})
    assert response.status_code == 403
    assert "This form is out of date" in response.content.decode()
    assert not Listing.objects.exists()


def test_a_form_with_its_csrf_token_and_photos_is_taken():
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user())
    client.get(SELL)
    token = client.cookies["csrftoken"].value
    assert client.post(SELL, {**form(), "csrfmiddlewaretoken": token, "photos": [photo_file(1)]}).status_code == 302
    assert ListingImage.objects.count() == 1


@pytest.mark.usefixtures("seller")
def test_a_request_larger_than_ten_photos_is_refused_before_it_is_read(client):
    response = client.post(SELL, form(), CONTENT_LENGTH=str(settings.BODY_MAX_BYTES + 1))
    assert response.status_code == 413
    assert "That is more than we can take" in response.content.decode()
    assert not Listing.objects.exists()
