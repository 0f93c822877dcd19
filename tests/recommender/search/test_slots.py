import time

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.files.base import ContentFile
from django.db import transaction
from django.test import RequestFactory

from listings import slots
from listings.limits.turns import Turns
from listings.models import Listing
from ml.images import PhotoRefused
from ml.per_process import PerProcess
from recommender.models import EmbeddingModel
from recommender.search import photo_query
from tests.factories import (
    draw_photo,
    draw_plain_photo,
    make_image,
    make_listing,
    make_ready_image,
    make_user,
    photo_file,
)
from tests.recommender.shop import embed, sell


def request(user=None, **post):
    made = RequestFactory().post("/", post)
    made.user = user or AnonymousUser()
    return made


def test_the_strip_shows_similar_listings_with_the_photo_that_looks_alike(fresh_index, model):
    listing, other = sell(model, 1.0), sell(model, 0.1, 0.9, title="A <b>lamp</b>", price=12)
    sell(model, 0.8, title="Sold lamp", status="sold")
    fresh_index.refresh()
    html = slots.render_slot("similar_strip", request=request(), listing=listing)
    assert "A &lt;b&gt;lamp&lt;/b&gt;" in html
    assert other.images.last().thumb_file.url in html
    assert other.images.first().thumb_file.url not in html
    assert "Sold lamp" not in html
    assert listing.title not in html


def test_a_listing_without_photos_has_no_strip(fresh_index, model):
    fresh_index.refresh()
    assert slots.render_slot("similar_strip", request=request(), listing=make_listing()) == ""


def test_a_strip_that_must_wait_says_so(fresh_index, model):
    fresh_index.refresh()
    listing = make_listing()
    make_image(listing)
    assert "is being looked at" in slots.render_slot("similar_strip", request=request(), listing=listing)


def test_a_lonely_listing_says_that_there_is_nothing_else(fresh_index, model):
    listing = sell(model, 1.0)
    fresh_index.refresh()
    assert "Nothing else is for sale" in slots.render_slot("similar_strip", request=request(), listing=listing)


@pytest.mark.parametrize("name", ["similar_strip", "admin_similar_panel"])
def test_an_index_that_is_not_ready_breaks_no_page(fresh_index, name):
    html = slots.render_slot(name, request=request(), listing=make_listing())
    assert "<p" in html


def test_staff_sees_similarities_reasons_and_versions(fresh_index, model):
    listing, other = sell(model, 1.0, category="Home / Mugs"), sell(model, 0.5, category="Home / Mugs", title="Cup")
    fresh_index.refresh()
    html = slots.render_slot("admin_similar_panel", request=request(make_user(staff=True)), listing=listing)
    for text in ("Cup", "0.500", "same category: Mugs", "compared by its looks", "Model m1, ranker linear-1, 2 photos"):
        assert text in html
    assert other.images.get().thumb_file.url in html


def test_staff_reads_why_there_is_nothing_to_compare(fresh_index, model):
    fresh_index.refresh()
    html = slots.render_slot("admin_similar_panel", request=request(), listing=make_listing())
    assert "This listing has no photo" in html


@pytest.fixture
def pictures(fresh_index, untrained):
    for seed in (1, 2):
        listing = make_listing(title=f"picture {seed}", price=seed)
        make_ready_image(listing, seed)
        embed(listing, untrained)
    fresh_index.refresh()


def test_a_photo_search_shows_results_and_how_much_they_look_alike(pictures):
    html = slots.render_slot("photo_search", request=request(), photo=photo_file(2))
    assert "picture 2" in html
    assert "picture 1" in html
    assert html.count("compared by its looks") == 2


def test_conditions_of_the_form_narrow_a_photo_search(pictures):
    html = slots.render_slot("photo_search", request=request(max_price="1"), photo=photo_file(2))
    assert "picture 2" not in html
    assert "picture 1" in html
    nothing = slots.render_slot("photo_search", request=request(min_price="100"), photo=photo_file(2))
    assert "Nothing for sale here looks like this photo" in nothing


def test_a_wrong_condition_is_answered_in_words(pictures):
    html = slots.render_slot("photo_search", request=request(max_price="cheap"), photo=photo_file(2))
    assert "Write the price as a number, such as 12.50." in html


@pytest.mark.parametrize(
    ("data", "words"),
    [(draw_plain_photo(), "one colour only"), (draw_photo(2, (63, 80)), "fewer than 64 pixels")],
    ids=["plain", "tiny"],
)
def test_a_photo_that_shows_nothing_finds_nothing_and_says_so(pictures, data, words):
    html = slots.render_slot("photo_search", request=request(), photo=ContentFile(data))
    assert words in html
    assert "picture" not in html


def test_a_photo_that_is_refused_is_the_pages_to_show(pictures):
    with pytest.raises(PhotoRefused):
        slots.render_slot("photo_search", request=request(), photo=ContentFile(b"nothing like a photo"))


def test_a_busy_or_unready_search_says_when_to_come_back(pictures, monkeypatch):
    monkeypatch.setattr(photo_query, "decoding_turns", PerProcess(lambda: Turns(2, most_wait=0)))
    with photo_query.take_decoding_turn("a"), photo_query.take_decoding_turn("b"):
        html = slots.render_slot("photo_search", request=request(), photo=photo_file(2))
    assert "Try again in a second" in html
    EmbeddingModel.objects.update(sha256="0" * 64)
    assert "Try again in a few" in slots.render_slot("photo_search", request=request(), photo=photo_file(2))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("weights", "state", "warned"),
    [("untrained", "active", True), ("untrained", "standby", False), ("imagenet", "active", False)],
)
def test_pages_warn_while_the_active_model_is_untrained(weights, state, warned):
    EmbeddingModel.objects.create(
        version="m", arch="a", dim=8, checkpoint="m", sha256="0" * 64, state=state, recipe={"weights": weights}
    )
    assert ("untrained" in slots.render_slot("site_banner", request=request())) == warned


@pytest.mark.django_db
def test_every_page_carries_the_warning(client, plain_static):
    EmbeddingModel.objects.create(
        version="m", arch="a", dim=8, checkpoint="m", sha256="0" * 64, state="active", recipe={"weights": "untrained"}
    )
    assert "The model is untrained" in client.get("/").content.decode()


@pytest.mark.django_db
def test_staff_see_on_every_page_which_workers_never_came_and_visitors_do_not(client, plain_static):
    sentence = "No embedding worker has been heard of, so new photos are not found"
    assert sentence not in client.get("/").content.decode()
    client.force_login(make_user(staff=True))
    assert sentence in client.get("/").content.decode()
    assert sentence in client.get("/admin/").content.decode()


def test_an_error_page_asks_the_database_nothing():
    assert slots.render_slot("site_banner", request=None) == ""


def test_a_page_rendered_inside_a_transaction_shows_what_the_index_knew_before(fresh_index, model, settings):
    listing = sell(model, 1.0)
    sell(model, 0.9, title="Cup")
    settings.INDEX_REFRESH_MS = 1
    fresh_index.refresh()
    time.sleep(0.01)
    with transaction.atomic():
        sold = Listing.objects.create(seller=listing.seller, title="Saucer")
        html = slots.render_slot("admin_similar_panel", request=request(make_user(staff=True)), listing=listing)
        assert "has no photo" in slots.render_slot("admin_similar_panel", request=request(), listing=sold)
    assert "Cup" in html


@pytest.mark.parametrize(
    ("crop", "said"),
    [
        ("0,0,1,0." + 320 * "0" + "1", "1/64 of the picture"),
        ("0,0,0.5,0.3", "The crop is 48 by 22 pixels"),
        ("0,0,2,1", "0 to 1"),
    ],
)
def test_a_crop_in_which_nothing_can_be_seen_is_refused_with_a_sentence(pictures, crop, said):
    page = slots.render_slot("photo_search", request=request(crop=crop), photo=photo_file(1))
    assert said in page
