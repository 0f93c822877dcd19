import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from listings.models import ListingImage
from listings.web import uploading
from tests.factories import (
    draw_photo,
    draw_plain_photo,
    make_image,
    make_listing,
    make_ready_image,
    make_user,
    photo_file,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

JSON = {"Accept": "application/json"}


@pytest.fixture
def listing(client):
    seller = make_user()
    client.force_login(seller)
    return make_listing(seller)


def add(client, listing, *photos):
    return client.post(reverse("add-photos", args=[listing.pk]), {"photos": photos}, headers=JSON)


def said(response):
    return [str(message) for message in response.context["messages"]]


def test_photos_are_added_behind_those_present(client, listing):
    make_ready_image(listing)
    assert add(client, listing, photo_file(1), photo_file(2)).json() == {"refusals": []}
    assert [(image.position, image.state) for image in listing.images.all()] == [(0, "ready"), (1, "new"), (2, "new")]


def test_photos_for_a_listing_that_was_removed_meanwhile_have_nowhere_to_go(client, listing, monkeypatch):
    monkeypatch.setattr(uploading, "room_for_photos", lambda _: listing.__class__.objects.update(status="removed") * 10)
    assert add(client, listing, photo_file(1)).status_code == 404
    assert not ListingImage.objects.exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"just words", "The file is not a photo."),
        (b"", "The file is empty."),
        (
            draw_photo(1, size=(90, 40)),
            "The photo is 90 by 40 pixels, and each side needs 64 or more. Send a larger one.",
        ),
        (draw_plain_photo(), "The photo is one colour all over, so nothing can be seen in it. Send another one."),
    ],
)
def test_a_bad_photo_is_named_with_its_reason(client, listing, data, reason):
    bad = SimpleUploadedFile("notes.txt", data)
    response = add(client, listing, photo_file(1), bad)
    assert response.json() == {"refusals": [{"name": "notes.txt", "reason": reason}]}
    assert listing.images.count() == 1


def test_a_photo_that_is_too_large_is_named_with_its_reason(client, listing, settings):
    settings.PHOTO_MAX_BYTES = 1024
    response = add(client, listing, SimpleUploadedFile("huge.jpg", b"\xff\xd8\xff" * 1000))
    (refusal,) = response.json()["refusals"]
    assert refusal["name"] == "huge.jpg"
    assert "larger than" in refusal["reason"]


def test_a_photo_whose_answer_was_lost_can_be_sent_again(client, listing):
    for _ in range(2):
        assert add(client, listing, photo_file(1)).json() == {"refusals": []}
    assert listing.images.count() == 1


def test_a_rejected_photo_may_be_sent_again(client, listing):
    add(client, listing, photo_file(1))
    listing.images.update(state="rejected")
    add(client, listing, photo_file(1))
    assert listing.images.count() == 2


def test_a_photo_beyond_the_limit_is_refused_in_words(client, listing, settings):
    settings.PHOTOS_PER_LISTING = 2
    make_ready_image(listing)
    response = add(client, listing, photo_file(1), photo_file(2, name="extra.jpg"))
    assert response.json()["refusals"] == [
        {"name": "extra.jpg", "reason": "A listing has at most 2 photos: it has room for 1 more."}
    ]


@pytest.mark.parametrize("name", ["../../etc/passwd.jpg", "x" * 300 + ".jpg", "ünïcode ☃.jpg", "no-suffix"])
def test_a_strange_file_name_does_no_harm(client, listing, name):
    assert add(client, listing, photo_file(1, name=name)).json() == {"refusals": []}
    assert ".." not in listing.images.get().original.name


def delete(client, listing, image):
    return client.post(reverse("delete-photo", args=[listing.pk, image.pk]), follow=True)


def test_a_photo_is_deleted(client, listing):
    image, kept = make_ready_image(listing), make_ready_image(listing)
    assert said(delete(client, listing, image)) == ["The photo is deleted."]
    assert listing.images.get() == kept
    assert delete(client, listing, image).status_code == 404


def test_deleting_a_photo_asks_first_without_any_script(client, listing):
    image = make_ready_image(listing)
    address = reverse("delete-photo", args=[listing.pk, image.pk])
    edit = client.get(reverse("my-listing", args=[listing.pk])).content.decode()
    assert f'<a class="button danger slim" href="{address}">Delete' in edit
    page = client.get(address).content.decode()
    assert "Delete this photo?" in page
    assert image.thumb_file.url in page
    assert listing.images.get() == image


def test_a_photo_of_another_listing_is_not_deleted(client, listing):
    image = make_ready_image(make_listing())
    assert delete(client, listing, image).status_code == 404
    assert delete(client, image.listing, image).status_code == 403
    assert ListingImage.objects.exists()


def states(client, listing):
    return client.get(reverse("photo-states", args=[listing.pk])).json()


def test_photo_states_tell_what_became_of_each(client, listing):
    ready = make_ready_image(listing)
    waiting = make_image(listing)
    rejected = make_image(listing, state="rejected", reason="The file ends too early.")
    assert states(client, listing) == {
        "settled": False,
        "photos": [
            {"id": ready.pk, "state": "ready", "label": "Ready", "reason": "", "thumb": ready.thumb_file.url},
            {"id": waiting.pk, "state": "new", "label": "Being prepared", "reason": "", "thumb": None},
            {
                "id": rejected.pk,
                "state": "rejected",
                "label": "Not usable",
                "reason": "The file ends too early.",
                "thumb": None,
            },
        ],
    }
    ListingImage.objects.filter(pk=waiting.pk).update(state="ready")
    assert states(client, listing)["settled"] is True


def test_photo_states_are_never_cached(client, listing):
    response = client.get(reverse("photo-states", args=[listing.pk]))
    assert "no-store" in response["Cache-Control"]


def test_photo_states_cost_as_many_queries_for_ten_photos_as_for_one(client, listing, django_assert_num_queries):
    for _ in range(10):
        make_image(listing)
    with django_assert_num_queries(4):  # session, user, listing, photos
        states(client, listing)
