import time
from datetime import timedelta

import numpy as np
import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from listings.models import Listing, ListingImage
from recommender.index import Filter
from recommender.models import Embedding, RankerVersion
from recommender.search.ranking import ranker
from recommender.search.retrieval import (
    NoPhoto,
    PhotoWaiting,
    SearchRequest,
    find_similar_listings,
    load_stored_vectors,
    search_by_vectors,
)
from tests.factories import make_image, make_listing, make_ready_image, make_user
from tests.recommender.shop import sell, vector


@pytest.fixture
def only_similarity(fresh_index):
    """Order answers by likeness alone."""
    RankerVersion.objects.filter(state="active").update(weights={"similarity": 1})


def look(fresh_index, cosine=1.0, **ask):
    fresh_index.refresh()
    state = fresh_index.get_state()
    return search_by_vectors(state, vector(cosine, state.dim)[np.newaxis], state.model_id, SearchRequest(**ask))


def ids(answer) -> list[int]:
    return [result.listing.pk for result in answer.results]


def test_the_listing_itself_is_never_its_own_answer(fresh_index, model):
    twin, listing = sell(model, 1.0), sell(model, 1.0, 0.9)
    fresh_index.refresh()
    assert ids(find_similar_listings(fresh_index.get_state(), listing, SearchRequest())) == [twin.pk]


def test_every_photo_of_the_listing_is_compared(fresh_index, model, only_similarity):
    listing = sell(model, 1.0, 0.0)
    back, front = sell(model, 0.05), sell(model, 0.9)
    fresh_index.refresh()
    answer = find_similar_listings(fresh_index.get_state(), listing, SearchRequest())
    assert ids(answer) == [back.pk, front.pk]
    assert answer.results[0].similarity == pytest.approx(np.sqrt(1 - 0.05**2), abs=1e-3)


def test_results_come_by_score_and_name_the_photo_that_looks_alike(fresh_index, model):
    sell(model, 0.2)
    best = sell(model, 0.3, 0.8)
    answer = look(fresh_index)
    assert answer.results[0].listing == best
    assert answer.results[0].photo == best.images.last()
    assert [result.score for result in answer.results] == sorted((r.score for r in answer.results), reverse=True)


def test_ranking_lifts_what_is_near_in_price_and_category_above_what_looks_slightly_more_alike(fresh_index, model):
    listing = sell(model, 1.0, price=10, category="Home / Mugs")
    other = sell(model, 0.82, price=900, category="Garden")
    mug = sell(model, 0.80, price=11, category="Home / Mugs")
    fresh_index.refresh()
    answer = find_similar_listings(fresh_index.get_state(), listing, SearchRequest())
    assert ids(answer) == [mug.pk, other.pk]
    assert answer.results[0].reasons["category"]["text"] == "same category: Mugs"
    assert sum(r["contribution"] for r in answer.results[0].reasons.values()) == pytest.approx(answer.results[0].score)


def test_a_listing_deleted_while_the_reader_is_frozen_is_absent_at_once_and_replaced(fresh_index, model):
    listings = [sell(model, cosine) for cosine in (0.9, 0.8, 0.7, 0.6)]
    fresh_index.refresh()
    state = fresh_index.get_state()
    listings[0].delete()
    Listing.objects.filter(pk=listings[1].pk).update(status="removed")
    answer = search_by_vectors(state, vector(1)[np.newaxis], state.model_id, SearchRequest(limit=2))
    assert ids(answer) == [listings[2].pk, listings[3].pk]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"status": "sold"}, Filter()),
        ({"status": "draft"}, Filter()),
        ({"price": 99}, Filter(max_price=50.0)),
        ({"price": None}, Filter(min_price=1.0)),
        ({"latitude": 0.0, "longitude": 0.0}, Filter(near=(51.5, 0.0), radius_km=50.0)),
    ],
    ids=str,
)
def test_what_stopped_passing_since_the_index_was_refreshed_is_dropped(fresh_index, model, change, where):
    places = {"price": 10, "latitude": 51.5, "longitude": 0.0}
    changed, kept = sell(model, 0.9, **places), sell(model, 0.5, **places)
    fresh_index.refresh()
    state = fresh_index.get_state()
    Listing.objects.filter(pk=changed.pk).update(**change)
    assert ids(search_by_vectors(state, vector(1)[np.newaxis], state.model_id, SearchRequest(filter=where))) == [
        kept.pk
    ]


@pytest.mark.parametrize("width", [8, 300], ids=["more than were fetched", "more than were read at first"])
def test_as_many_results_as_asked_come_whenever_they_exist_however_many_candidates_went_stale(
    fresh_index, model, monkeypatch, only_similarity, width
):
    monkeypatch.setattr("recommender.search.retrieval.CANDIDATES", width)
    monkeypatch.setattr("recommender.search.retrieval.CANDIDATES_PER_RESULT", 1)
    listings = [sell(model, 0.99 - number / 100) for number in range(30)]
    fresh_index.refresh()
    state = fresh_index.get_state()
    Listing.objects.filter(pk__in=[listing.pk for listing in listings[:20]]).update(status="sold")
    assert ids(search_by_vectors(state, vector(1)[np.newaxis], state.model_id, SearchRequest(limit=5))) == [
        one.pk for one in listings[20:25]
    ]
    assert ids(search_by_vectors(state, vector(1)[np.newaxis], state.model_id, SearchRequest(limit=100))) == [
        one.pk for one in listings[20:]
    ]


def test_stale_candidates_however_many_are_passed_in_a_few_ever_wider_searches(
    fresh_index, model, monkeypatch, only_similarity
):
    monkeypatch.setattr("recommender.search.retrieval.CANDIDATES", 2)
    monkeypatch.setattr("recommender.search.retrieval.CANDIDATES_PER_RESULT", 1)
    monkeypatch.setattr("recommender.search.retrieval.MOST_READ", 16)
    listings = [sell(model, 0.99 - number / 100) for number in range(60)]
    fresh_index.refresh()
    state = fresh_index.get_state()
    Listing.objects.filter(pk__in=[listing.pk for listing in listings[:50]]).update(status="sold")
    answer = search_by_vectors(state, vector(1)[np.newaxis], state.model_id, SearchRequest(limit=2))
    assert ids(answer) == [one.pk for one in listings[50:52]]
    assert len(answer.plan) <= 4  # one step each, of 2, 8, 32 and 128 candidates


def test_results_below_the_lowest_similarity_are_left_out(fresh_index, model):
    alike = sell(model, 0.8)
    sell(model, 0.4)
    assert ids(look(fresh_index, min_similarity=0.5)) == [alike.pk]


def test_what_a_viewer_may_not_see_is_no_result_even_if_the_index_is_asked_for_it(fresh_index, model):
    owner = make_user()
    draft = sell(model, 0.9, status="draft", seller=owner)
    where = Filter(statuses=("draft",))
    assert ids(look(fresh_index, filter=where, viewer=AnonymousUser())) == []
    assert ids(look(fresh_index, filter=where, viewer=make_user())) == []
    assert ids(look(fresh_index, filter=where, viewer=make_user(staff=True))) == [draft.pk]


def test_the_number_of_queries_does_not_grow_with_the_results(fresh_index, model):
    listing = sell(model, 1.0, category="Home / Chairs")
    for number in range(30):
        sell(model, 0.9 - number / 100, 0.2, category=f"Home / Kind {number}")
    fresh_index.refresh()
    state = fresh_index.get_state()
    ranker.scale_query(model.pk, vector(1.0, model.dim)[np.newaxis])  # its curve is read once a minute
    counts = []
    for limit in (1, 5, 30):
        with CaptureQueriesContext(connection) as queries:
            answer = find_similar_listings(state, listing, SearchRequest(limit=limit))
            assert all(result.listing.category and result.listing.seller and result.photo for result in answer.results)
        assert len(answer.results) == limit
        counts.append(len(queries))
    # ranker, category paths, listings with category and seller, photos
    assert counts == [4, 4, 4]


def test_distances_are_measured_from_the_listing_unless_a_point_is_given(fresh_index, model):
    listing = sell(model, 1.0, latitude=51.5, longitude=-0.1)
    sell(model, 0.5, latitude=51.5, longitude=-0.1)
    fresh_index.refresh()
    here = find_similar_listings(fresh_index.get_state(), listing, SearchRequest()).results[0]
    away = find_similar_listings(
        fresh_index.get_state(), listing, SearchRequest(filter=Filter(near=(52.5, -0.1), radius_km=500.0))
    ).results[0]
    assert here.reasons["distance"]["text"] == "less than 1 km away"
    assert away.reasons["distance"]["text"] == "111 km away"


def test_equally_good_listings_come_by_id(fresh_index, model):
    created = timezone.now() - timedelta(days=1)
    listings = [sell(model, 0.5, created_at=created) for _ in range(5)]
    assert ids(look(fresh_index)) == [listing.pk for listing in listings]


def test_without_a_usable_ranker_the_built_in_weights_order_and_the_answer_says_so(fresh_index, model, caplog):
    sell(model, 0.5)
    assert look(fresh_index).ranker == "linear-1"
    RankerVersion.objects.update(weights={"similarity": "much"})
    assert look(fresh_index).ranker == "built-in"
    assert "weight of similarity must be a number" in caplog.text
    RankerVersion.objects.update(state="retired")
    assert look(fresh_index).ranker == "built-in"


def test_the_ranker_is_read_again_after_a_moment(db, monkeypatch, django_assert_num_queries):
    now = 1_000.0
    monkeypatch.setattr(ranker, "REREAD_SECONDS", 0.2)
    ranker.read_active_ranker.cache_clear()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with django_assert_num_queries(1):
        assert ranker.active_ranker() == ranker.active_ranker()
    RankerVersion.objects.update(name="another")
    assert ranker.active_ranker().name == "linear-1"
    now += 0.2
    assert ranker.active_ranker().name == "another"


def test_a_vector_that_is_being_made_again_still_answers(model):
    listing = sell(model, 1.0)
    Embedding.objects.update(state="pending")
    assert load_stored_vectors(listing, model.pk).shape == (1, model.dim)


def test_a_listing_without_photos_says_so(model):
    with pytest.raises(NoPhoto, match="has no photo"):
        load_stored_vectors(make_listing(), model.pk)


def test_a_listing_whose_photos_were_all_refused_says_so(model):
    listing = make_listing()
    make_image(listing, state="rejected")
    refused = make_image(listing)
    Embedding.objects.filter(image=refused).update(state="rejected")
    with pytest.raises(NoPhoto, match="could be used"):
        load_stored_vectors(listing, model.pk)


@pytest.mark.parametrize("state", ["pending", "leased", "failed"])
def test_a_photo_that_will_be_embedded_is_waited_for(model, state):
    listing = make_listing()
    make_image(listing, state="rejected")
    make_ready_image(listing)
    Embedding.objects.filter(image__state="ready").update(state=state)
    with pytest.raises(PhotoWaiting):
        load_stored_vectors(listing, model.pk)


def test_a_photo_without_a_queue_row_is_waited_for(model):
    listing = make_listing()
    make_image(listing)
    Embedding.objects.all().delete()
    with pytest.raises(PhotoWaiting):
        load_stored_vectors(listing, model.pk)


def test_vectors_of_rejected_photos_and_of_other_models_are_not_compared(model):
    listing = sell(model, 1.0, 0.5)
    ListingImage.objects.filter(pk=listing.images.first().pk).update(state="rejected")
    vectors = load_stored_vectors(listing, model.pk)
    assert vectors.dtype == np.float32
    assert vectors[:, 0] == pytest.approx([0.5], abs=1e-3)
    with pytest.raises(PhotoWaiting):
        load_stored_vectors(listing, model.pk + 1)


def test_age_is_measured_from_now(fresh_index, model):
    sell(model, 0.5, created_at=timezone.now() - timedelta(days=30))
    assert look(fresh_index).results[0].reasons["age"]["value"] == pytest.approx(0.5, abs=0.001)
