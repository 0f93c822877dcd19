"""A search equals the obvious full scan, whatever part of the rows is in segments, in the delta or changed since."""

import numpy as np
import pytest

from listings.models import Category, Listing
from recommender.index import Filter, ForeignVector, find_nearest_listings
from recommender.index.compaction.compactor import compact
from recommender.models import Embedding
from tests.recommender.index import catalogue


def brute_force(vectors, model, where=lambda listing: True, exclude=()):
    """{listing id: best cosine}, best first, computed the slow obvious way from database rows."""
    from recommender.models import Embedding

    best: dict[int, float] = {}
    for row in Embedding.objects.filter(model=model, vector__isnull=False).select_related("image__listing"):
        listing = row.image.listing
        if listing.status != "active" or listing.pk in exclude or not where(listing):
            continue
        stored = np.frombuffer(row.vector, np.float16).astype(np.float32)
        best[listing.pk] = max(best.get(listing.pk, -2), float((np.atleast_2d(vectors) @ stored).max()))
    return dict(sorted(best.items(), key=lambda item: -item[1]))


def search(index, vectors, k, where=None, exclude=()):
    index.refresh()
    return find_nearest_listings(index.get_state(), vectors, k, where or Filter(), exclude)


def assert_best(found, expected, k):
    """The found listings are k of the expected ones with the k best similarities; near ties may swap."""
    assert len(found) == min(k, len(expected))
    assert len(set(found.listing.tolist())) == len(found)
    np.testing.assert_allclose(found.similarity, [*expected.values()][:k], atol=2e-6)
    np.testing.assert_allclose([expected[pk] for pk in found.listing.tolist()], found.similarity, atol=2e-6)


@pytest.fixture
def mixed(model, index):
    """Rows in three segments, some changed, re-embedded or removed since, some only in the delta."""
    for start in (0, 40, 80):
        catalogue.add_many(model, 40, photos=2, start=start)
        compact(force=True)
    Listing.objects.filter(pk__in=Listing.objects.order_by("pk").values("pk")[5:15]).update(price=500)
    Listing.objects.filter(pk__in=Listing.objects.order_by("pk").values("pk")[50:55]).update(status="removed")
    Listing.objects.filter(pk__in=Listing.objects.order_by("pk").values("pk")[60:63]).update(status="sold")
    for listing in Listing.objects.order_by("pk")[20:24]:
        catalogue.store_vector(listing.images.first(), model, catalogue.unit(listing.pk + 7_000))
    catalogue.add_many(model, 10, start=200)
    return index


def test_search_equals_a_full_scan(mixed, model):
    for seed in range(5):
        query = catalogue.unit(seed).astype(np.float32)
        expected = brute_force(query, model)
        assert_best(search(mixed, query, 1000), expected, 1000)
        assert_best(search(mixed, query, 7), expected, 7)


def test_a_filter_returns_k_results_whenever_k_exist(mixed, model):
    query = catalogue.unit(3).astype(np.float32)
    expected = brute_force(query, model, lambda listing: listing.price == 500)
    assert len(expected) == 10
    assert_best(search(mixed, query, 10, Filter(min_price=499, max_price=501)), expected, 10)
    assert_best(search(mixed, query, 4, Filter(min_price=499, max_price=501)), expected, 4)


def test_several_query_vectors_count_the_best_match_and_excluded_listings_are_absent(mixed, model):
    queries = np.stack([catalogue.unit(1), catalogue.unit(2)]).astype(np.float32)
    excluded = [*brute_force(queries, model)][:3]
    expected = brute_force(queries, model, exclude=excluded)
    assert_best(search(mixed, queries, 20, exclude=excluded), expected, 20)


def test_an_edited_price_is_answered_with_the_vector_still_in_its_segment(mixed, model):
    index = mixed
    edited = Listing.objects.order_by("pk")[5]
    found = search(index, catalogue.unit(edited.images.first().pk).astype(np.float32), 1)
    assert (found.listing[0], found.price[0]) == (edited.pk, 500)
    assert found.similarity[0] == pytest.approx(1, abs=1e-3)
    at = index.get_state().delta.columns.rows_of(np.array([edited.pk]))
    assert (index.get_state().delta.slot[at] == -1).all()


def test_photos_are_counted_wherever_the_listing_lives(mixed):
    found = search(mixed, catalogue.unit(0).astype(np.float32), 1000)
    photos = dict(zip(found.listing.tolist(), found.photos.tolist(), strict=True))
    for listing in Listing.objects.filter(pk__in=photos):
        assert photos[listing.pk] == listing.images.count()


def test_the_vectors_of_a_listing_are_those_of_its_photos_wherever_it_lives(mixed, model):
    state, kinds = mixed.get_state(), set()
    for listing in Listing.objects.all():
        stored = Embedding.objects.filter(image__listing=listing, model=model).values_list("vector", flat=True)
        expected = [] if listing.status == "removed" else [vector for vector in stored if vector]
        assert sorted(vector.tobytes() for vector in state.read_vectors(listing.pk)) == sorted(map(bytes, expected))
        kinds.update((state.delta.slot[state.delta.columns.rows_of(np.array([listing.pk]))] >= 0).tolist())
    assert kinds == {True, False}
    assert state.read_vectors(10**9).shape == (0, model.dim)


def test_every_column_filters(model, index):
    chairs = Category.objects.create(name="Chairs")
    wanted = catalogue.add_listing(model, category=chairs, latitude=51.5, longitude=-0.12, price=20)
    catalogue.add_listing(model, latitude=53.4, longitude=-3.0, price=None)
    query = catalogue.unit(0).astype(np.float32)
    for compacted in (False, True):
        if compacted:
            compact(force=True)
        for where in (
            Filter(category_ids=frozenset([chairs.pk])),
            Filter(min_price=20),
            Filter(max_price=20),
            Filter(near=(51.5, -0.12), radius_km=5),
            Filter(seller_id=wanted.seller_id, min_price=1),
            Filter(created_after=wanted.created_at.timestamp() - 1, max_price=20),
        ):
            assert search(index, query, 10, where).listing.tolist() == [wanted.pk], where
        assert len(search(index, query, 10, Filter(statuses=("sold",)))) == 0
        assert len(search(index, query, 10, Filter(category_ids=frozenset()))) == 0


def test_a_vector_of_another_dimension_is_refused(model, index):
    catalogue.add_listing(model)
    index.refresh()
    with pytest.raises(ForeignVector, match="8 dimensions"):
        find_nearest_listings(index.get_state(), np.ones(8, np.float32), 1, Filter())


def test_a_vector_of_another_model_is_refused_where_the_dimension_is_the_same(model, index):
    catalogue.add_listing(model)
    index.refresh()
    query = np.ones(model.dim, np.float32)
    with pytest.raises(ForeignVector, match=f"model {model.pk + 1} cannot be compared under m1"):
        find_nearest_listings(index.get_state(), query, 1, Filter(), model_id=model.pk + 1)
    assert len(find_nearest_listings(index.get_state(), query, 1, Filter(), model_id=model.pk)) == 1


def test_many_photos_of_one_listing_do_not_crowd_out_the_others(model, index):
    crowd = catalogue.add_listing(model, photos=1)
    for number in range(200):
        image = crowd.images.create(sha256=f"{number:064d}")
        catalogue.store_vector(image, model, catalogue.unit(1))
    others = [catalogue.add_listing(model) for _ in range(5)]
    for compacted in (False, True):
        if compacted:
            compact(force=True)
        found = search(index, catalogue.unit(1).astype(np.float32), 6)
        assert sorted(found.listing.tolist()) == sorted([crowd.pk, *(other.pk for other in others)])
