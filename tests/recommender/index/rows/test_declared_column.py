"""A column that is declared is everywhere: nothing else needs to be told of it, and a test names the trigger it lacks.

The made-up column is when a listing was last changed, which the database knows and nobody filters by.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.views import APIView

from listings.api.filters import FILTERS, ListingFilter
from listings.api.serializers import ListingSerializer
from listings.finding.filterable import COLUMNS, Column, Condition, Filter, Kind, Lookup, Parameter, condition_field
from listings.models import Listing
from recommender.api.requests import PARAMETERS, FilterSerializer
from recommender.index import Action, Index, compact, find_nearest_listings
from recommender.index.rows.columns import Columns, column_dtypes
from recommender.index.rows.filter import mask_rows
from recommender.index.view.candidates import Candidates
from recommender.index.view.database_rows import read_columns
from recommender.models import IndexSnapshot
from recommender.search.retrieval import matching_listings
from tests.recommender.shop import sell
from tests.recommender.watched_columns import unwatched_columns

pytestmark = pytest.mark.django_db

HELP = "Changed at this second of the epoch or later."


@dataclass(frozen=True)
class WiderFilter(Filter):
    changed_since: int | None = condition_field(
        "changed",
        Lookup.AT_LEAST,
        Parameter("changed", Kind.ID, HELP),
        in_database=lambda seconds: datetime.fromtimestamp(seconds, UTC),
    )


@pytest.fixture(autouse=True)
def changed(monkeypatch):
    monkeypatch.setitem(COLUMNS, "changed", Column("float64", ("updated_at",), datetime.timestamp))


@pytest.fixture
def wider_list():
    class WiderListingFilter(ListingFilter):
        filter_type = WiderFilter

    return WiderListingFilter


class WiderSerializer(FilterSerializer):
    filter_type = WiderFilter


@pytest.fixture
def listings(model):
    """Three listings, changed at 1000, 2000 and 3000 seconds."""
    made = [sell(model, 0.5) for _ in range(3)]
    for number, listing in enumerate(made, start=1):
        Listing.objects.filter(pk=listing.pk).update(updated_at=datetime.fromtimestamp(1000 * number, UTC))
    return [listing.pk for listing in made]


def ask(query):
    asked = WiderSerializer(data=QueryDict(query), context={"user": AnonymousUser()})
    asked.is_valid(raise_exception=True)
    return asked.to_filter()


def test_it_is_read_from_the_database_and_stored_as_an_array_and_a_file(model, listings, tmp_path):
    columns = read_columns(model.pk, listings)
    columns.save(tmp_path)
    for one in (columns, Columns.load(tmp_path)):
        assert one.arrays["changed"].tolist() == [1000, 2000, 3000]
    assert (tmp_path / "changed.npy").exists()
    assert column_dtypes()["changed"] == np.float64
    assert Columns.concatenate([columns, columns]).arrays["changed"].tolist() == [1000, 2000, 3000] * 2


def test_an_answer_of_the_index_holds_it(fresh_index, listings):
    state = fresh_index.get_state()
    found = find_nearest_listings(state, np.eye(1, state.dim, dtype=np.float32), 10, Filter())
    assert isinstance(found, Candidates)
    order = np.argsort(found.listing)
    assert found.select_entries(order).arrays["changed"].tolist() == [1000, 2000, 3000]


def test_index_files_from_before_it_are_rebuilt_with_it(model, listings, fresh_index, monkeypatch):
    declared = COLUMNS.pop("changed")
    compact()
    fresh_index.refresh()
    earlier = IndexSnapshot.objects.get()
    assert fresh_index.get_state().base.parts[0].segment.columns.arrays.keys() == column_dtypes().keys()
    monkeypatch.setitem(COLUMNS, "changed", declared)  # the next release starts over the same files
    assert Action.REBUILT in compact().actions
    newest = IndexSnapshot.objects.latest("pk")
    assert newest.pk > earlier.pk
    reader = Index()
    reader.refresh()
    assert reader.get_state().snapshot_id == newest.pk
    found = find_nearest_listings(reader.get_state(), np.eye(1, model.dim, dtype=np.float32), 10, Filter())
    assert sorted(found.arrays["changed"].tolist()) == [1000, 2000, 3000]


@pytest.mark.parametrize(("since", "expected"), [(None, 3), (1000, 3), (1001, 2), (3001, 0)])
def test_it_is_filtered_by_in_the_index_and_in_the_database_alike(model, listings, since, expected):
    columns, where = read_columns(model.pk, listings), WiderFilter(changed_since=since)
    in_the_index = set(columns.listing[mask_rows(where, columns)].tolist())
    assert len(in_the_index) == expected
    assert set(matching_listings(Listing.objects.all(), where).values_list("pk", flat=True)) == in_the_index


def test_callers_ask_for_it_among_ranked_answers():
    assert ask("changed=2000&min_price=3") == WiderFilter(changed_since=2000, min_price=3.0)
    assert ask("") == WiderFilter()


@pytest.mark.parametrize(("since", "expected"), [("", 3), (1000, 3), (1001, 2), (3001, 0)])
def test_callers_ask_for_it_in_lists(wider_list, listings, since, expected):
    asked = wider_list(QueryDict(f"changed={since}"), Listing.objects.all())
    assert asked.is_valid()
    assert asked.qs.count() == expected


def test_the_pages_of_the_api_document_it(wider_list):
    class Ranked(APIView):
        @extend_schema(parameters=[WiderSerializer], responses=None)
        def get(self, request): ...

    class Lists(ListAPIView):
        queryset = Listing.objects.all()
        serializer_class = ListingSerializer
        filterset_class = wider_list

    patterns = [path("ranked/", Ranked.as_view()), path("lists/", Lists.as_view())]
    paths = SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)["paths"]
    for address in ("/ranked/", "/lists/"):
        told = {one["name"]: one.get("description") for one in paths[address]["get"]["parameters"]}
        assert told["changed"] == HELP


def test_the_trigger_that_does_not_watch_it_is_missed():
    assert unwatched_columns() == ["changed"]


def test_both_doors_read_every_kind_of_parameter():
    assert set(FILTERS) == set(PARAMETERS) == set(Kind)


@pytest.mark.parametrize(("query", "value"), [("flag=true", True), ("flag=false", False), ("flag=", None), ("", None)])
def test_a_flag_that_is_left_out_is_not_taken_for_false(query, value):
    class Flagged(serializers.Serializer):
        flag = PARAMETERS[Kind.FLAG](required=False)

    asked = Flagged(data=QueryDict(query))
    asked.is_valid(raise_exception=True)
    assert asked.validated_data.get("flag") is value


def test_every_condition_compares_a_declared_column():
    conditions: list[Condition] = list(WiderFilter.conditions().values())
    assert {one.column for one in conditions} <= set(COLUMNS)
    assert {one.source_field for one in conditions} <= {field.attname for field in Listing._meta.concrete_fields}
