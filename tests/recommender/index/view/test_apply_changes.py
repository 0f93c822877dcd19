"""A changed listing is taken in as the database has it now, never as a superseded row in a file remembers it."""

import numpy as np
import pytest

from listings.models import Listing, ListingImage
from recommender.index import Filter, find_nearest_listings
from recommender.index.compaction.compactor import compact
from recommender.index.compaction.verify import verify
from recommender.models import Embedding
from tests.recommender.index import catalogue


def similarity(index, vector):
    index.refresh()
    return find_nearest_listings(index.get_state(), vector.astype(np.float32), 1, Filter()).similarity.tolist()


def test_a_vector_made_again_while_its_listing_was_removed_is_the_one_that_comes_back(model, index):
    listing = catalogue.add_listing(model)
    compact(force=True)
    index.refresh()
    Listing.objects.filter(pk=listing.pk).update(status="removed")
    index.refresh()
    catalogue.store_vector(listing.images.get(), model, catalogue.unit(7_777))
    index.refresh()
    Listing.objects.filter(pk=listing.pk).update(status="active")
    assert similarity(index, catalogue.unit(7_777)) == pytest.approx([1], abs=1e-2)
    compact(force=True)
    assert verify() == []


def test_a_photo_that_was_moved_embedded_again_and_moved_back_has_its_new_vector(model, index):
    home, other = catalogue.add_listing(model), catalogue.add_listing(model)
    photo = ListingImage.objects.get(listing=home)
    compact(force=True)
    index.refresh()
    ListingImage.objects.filter(pk=photo.pk).update(listing=other)
    index.refresh()
    photo.refresh_from_db()
    catalogue.store_vector(photo, model, catalogue.unit(7_777))
    index.refresh()
    ListingImage.objects.filter(pk=photo.pk).update(listing=home)
    assert similarity(index, catalogue.unit(7_777)) == pytest.approx([1], abs=1e-2)


def test_a_row_of_a_status_nobody_knows_is_not_searchable_and_stops_no_reader(model, index):
    odd, known = catalogue.add_listing(model), catalogue.add_listing(model)
    Listing.objects.filter(pk=odd.pk).update(status="paused")
    index.refresh()
    found = find_nearest_listings(index.get_state(), catalogue.unit(1).astype(np.float32), 10, Filter())
    assert found.listing.tolist() == [known.pk]


def test_a_vector_of_no_numbers_in_a_file_never_lets_another_row_past_the_filter(model, index):
    broken, draft = catalogue.add_listing(model), catalogue.add_listing(model, status="draft")
    Embedding.objects.filter(image__listing=broken).update(vector=np.full(model.dim, np.nan, np.float16).tobytes())
    compact(force=True)
    index.refresh()
    found = find_nearest_listings(index.get_state(), catalogue.unit(1).astype(np.float32), 10, Filter())
    assert draft.pk not in found.listing.tolist()
    assert np.isfinite(found.similarity).all()
    assert (found.similarity >= -1.01).all()


def test_a_new_snapshot_takes_over_what_was_known_of_rows_that_stand_as_they_stood(model, index):
    catalogue.add_many(model, 20)
    compact(force=True)
    index.refresh()
    Listing.objects.filter(pk=Listing.objects.first().pk).update(price=77)
    index.refresh()
    before = index.get_state().live_rows[0]
    compact(force=True)
    index.refresh()
    assert len(index.get_state().live_rows) == 2
    assert index.get_state().live_rows[0] is before
