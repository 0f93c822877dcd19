"""Edits while an index is rebuilt, and of categories, which the index never hears of."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict

from listings.models import Category, Listing
from recommender import feed
from recommender.api.requests import FilterSerializer
from recommender.index import Filter, Index
from recommender.index.compaction.compactor import compact, rebuild
from recommender.index.compaction.verify import verify
from recommender.index.view import database_rows as rows
from tests.recommender.index import catalogue
from tests.recommender.index.served import everything, found


def test_a_subtree_of_a_thousand_listings_that_moves_is_filtered_right_at_once_without_a_feed_row(model, index):
    home, garden = Category.objects.create(name="Home"), Category.objects.create(name="Garden")
    chairs = Category.objects.create(name="Chairs", parent=home)
    stools = Category.objects.create(name="Stools", parent=chairs)
    moved = {listing.pk for listing in catalogue.add_many(model, 1_000)}
    Listing.objects.filter(pk__in=sorted(moved)[::2]).update(category=chairs)
    Listing.objects.filter(pk__in=sorted(moved)[1::2]).update(category=stools)
    stays = catalogue.add_listing(model, category=home)
    compact(force=True)
    catalogue.add_listing(model, category=garden)  # in the delta
    assert found(index, below("Home")) == {*moved, stays.pk}
    before = feed.current_position()
    chairs.parent = garden
    chairs.save()
    assert feed.read_page(before, model.pk).listings == set()
    assert found(index, below("Home")) == {stays.pk}
    assert found(index, below("Garden / Chairs")) == moved
    assert len(found(index, below("Garden"))) == 1_001
    assert len(index.get_state().delta) == 1
    assert compact(force=True).actions == ("flushed",)
    assert found(index, below("Garden / Chairs / Stools")) == set(sorted(moved)[1::2])
    assert verify() == []


def below(path):
    asked = FilterSerializer(data=QueryDict(f"category={path}"), context={"user": AnonymousUser()})
    asked.is_valid(raise_exception=True)
    return asked.to_filter()


class Editor:
    """Changes something that was read already, and something that is still to be read."""

    def __init__(self, model):
        self._model, self.calls = model, 0

    def edit(self):
        self.calls += 1
        first, second, third, *_, third_last, second_last, last = Listing.objects.exclude(status="removed").order_by(
            "pk"
        )
        for deleted in (first, last):
            deleted.delete()
        for edited in (second, second_last):
            Listing.objects.filter(pk=edited.pk).update(price=500 + self.calls, status="sold")
        for number, embedded in enumerate((third, third_last)):
            catalogue.store_vector(embedded.images.get(), self._model, catalogue.unit(7_000 + 10 * self.calls + number))
        Listing.objects.filter(pk=Listing.objects.order_by("pk")[60].pk).update(status="removed")
        catalogue.add_listing(self._model)


BETWEEN = ["pages", "a page's listings and their rows"]


@pytest.mark.parametrize("between", BETWEEN)
def test_what_is_edited_and_deleted_while_an_index_is_rebuilt_is_right_at_once(model, index, monkeypatch, between):
    catalogue.add_many(model, 200)
    compact(force=True)
    editor = Editor(model)
    monkeypatch.setattr(rows, "LISTINGS_PER_QUERY", 20)
    read_all_pages, find_searchable_embeddings = rows.read_all_pages, rows.find_searchable_embeddings

    def edited_pages(*args):
        for page in read_all_pages(*args):
            if between == BETWEEN[0] and editor.calls < 9:  # each adds a listing, and so perhaps a page
                editor.edit()
            yield page
            if between == BETWEEN[1] and editor.calls < 9:
                monkeypatch.setattr(rows, "find_searchable_embeddings", edited_rows)

    def edited_rows(model_id):
        monkeypatch.setattr(rows, "find_searchable_embeddings", find_searchable_embeddings)
        editor.edit()
        return find_searchable_embeddings(model_id)

    monkeypatch.setattr(rows, "read_all_pages", edited_pages)
    assert rebuild().actions == ("rebuilt",)
    monkeypatch.undo()
    assert editor.calls == 9
    assert verify() == []
    for reader in (index, Index()):
        assert found(reader) == everything()
        assert found(reader, Filter(statuses=("sold",), min_price=500)) == set(
            Listing.objects.filter(status="sold").values_list("pk", flat=True)
        )
    assert compact(force=True).actions[0] == "flushed"
    assert verify() == []
    assert found(index) == found(Index()) == everything()
