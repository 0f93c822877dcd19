"""Pages of listings by cursor: no count is taken, and nothing is shown twice when something is inserted meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from listings.api.pagination import ListingPagination
from listings.models import Listing


class NoSuchPage(Exception):
    """The address names an ordering, a length or a place in the list that does not exist."""


class GridPagination(ListingPagination):
    default_limit = 24


@dataclass(frozen=True)
class Page:
    listings: list[Listing]
    previous: str | None
    next: str | None


def paginate_listings(queryset: QuerySet[Listing], request: HttpRequest) -> Page:
    pagination = GridPagination()
    try:
        # Wrapped, because the pagination of the API reads `query_params`, which a plain request lacks.
        listings = pagination.paginate_queryset(queryset, Request(request))
    except ValidationError as exc:
        raise NoSuchPage from exc
    return Page(listings, _page_query(pagination.previous), _page_query(pagination.next))


def _page_query(link: str | None) -> str | None:
    return f"?{urlsplit(link).query}" if link else None
