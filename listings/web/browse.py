"""Looking around: the grid of listings and one listing's page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from listings.api.filters import ListingFilter
from listings.models import Category, Listing, ListingImage, find_seller_name
from listings.permissions import may_change, may_view_all
from listings.querysets import SEPARATOR
from listings.templatetags.storefront import currency_sign

from .access import get_visible_listing_or_404
from .pages import NoSuchPage, Page, paginate_listings

# The pages share the pagination of the API, so each key has to be an ordering there, or its page is refused.
ORDERINGS = {"-created": "Newest", "price": "Lowest price", "-price": "Highest price"}
# What the filter form has fields for; it sends all other conditions along hidden, so that filtering keeps the search.
IN_THE_FILTERS = ("min_price", "max_price")
CONDITIONS_IN_WORDS = {
    "q": "“{}”",
    "category": "In {}",
    "min_price": "From {sign}{}",
    "max_price": "Up to {sign}{}",
    "radius_km": "Within {} km",
}
# A radius without its centre makes no sense, so the two are dropped together.
GO_TOGETHER = {"near": ["near", "radius_km"]}
# These parameters say where in a list somebody is, not which list it is, so they alone make no list a filtered one.
PLACE_IN_LIST = ("cursor", "limit", "ordering")


@dataclass(frozen=True)
class Link:
    text: str
    query: str
    current: bool = False


@require_safe
def browse_listings(request: HttpRequest) -> HttpResponse:
    asked = ListingFilter(request.GET, Listing.objects.public().with_details())
    page = Page([], None, None)
    if asked.is_valid():
        try:
            page = paginate_listings(asked.qs, request)
        except NoSuchPage:
            # The link is old or was edited: the first page of its list is worth more to people than an error page.
            return redirect(f"{request.path}?{_changed_query(request.GET, **dict.fromkeys(PLACE_IN_LIST))}")
    path = request.GET.get("category", "") if "category" not in asked.errors else ""
    # What was asked, also where it makes no sense: a condition that vanished silently would show the wrong listings.
    conditions = {name: request.GET[name] for name in asked.form.fields if request.GET.get(name)}
    order = {"ordering": request.GET["ordering"]} if request.GET.get("ordering") else {}
    context = {
        "page": page,
        "form": asked.form,
        "query": request.GET.get("q", ""),
        "heading": _page_heading(request.GET, asked.form.cleaned_data),
        "is_front": not any(request.GET.values()),
        "is_filtered": any(value for name, value in request.GET.items() if name not in PLACE_IN_LIST),
        "kept_by_filters": [(name, text) for name, text in conditions.items() if name not in IN_THE_FILTERS],
        "kept_by_search": [(name, text) for name, text in {**conditions, **order}.items() if name != "q"],
        "set_filters": _links_that_drop(request.GET, conditions, asked.form.cleaned_data),
        "orderings": ORDERINGS,
        "ordering": request.GET.get("ordering") or "-created",
        "crumbs": _breadcrumbs(request.GET, path),
        "chips": _subcategory_links(request.GET, path),
    }
    return render(request, "listings/home.html", context, status=200 if asked.is_valid() else 400)


def _page_heading(asked: QueryDict, valid: dict[str, Any]) -> str:
    words, path = valid.get("q"), asked.get("category", "") if valid.get("category") else ""
    subject = f"“{words}”" if words else "Listings" if valid.get("seller") else "Just in"
    if path:
        name = path.rpartition(SEPARATOR)[2]
        subject = f"{subject} in {name}" if words else name
    if seller := valid.get("seller"):
        subject = f"{subject} by {_seller_name(seller)}"
    return subject


def _links_that_drop(asked: QueryDict, conditions: dict[str, str], valid: dict[str, Any]) -> list[Link]:
    """One link for each condition, to the same list without it."""
    return [
        Link(
            _condition_in_words(name, text, valid),
            _changed_query(asked, **dict.fromkeys(GO_TOGETHER.get(name, [name]))),
        )
        for name, text in conditions.items()
    ]


def _condition_in_words(name: str, text: str, valid: dict[str, Any]) -> str:
    if name == "seller" and valid.get(name):
        return f"By {_seller_name(valid[name])}"
    words = CONDITIONS_IN_WORDS.get(name, name.replace("_", " ").capitalize() + " {}")
    return words.format(text, sign=currency_sign() if name in valid else "")


def _seller_name(user_id: int) -> str:
    return find_seller_name(user_id) or "nobody we know"


def _breadcrumbs(asked: QueryDict, path: str) -> list[Link]:
    """From everything down to the category shown."""
    if not path:
        return []
    names = path.split(SEPARATOR)
    steps = [
        Link(name, _changed_query(asked, category=SEPARATOR.join(names[: depth + 1])), depth == len(names) - 1)
        for depth, name in enumerate(names)
    ]
    return [Link("All categories", _changed_query(asked, category=None)), *steps]


def _subcategory_links(asked: QueryDict, path: str) -> list[Link]:
    """The categories right below the one shown."""
    below = Q(parent__path=path) if path else Q(parent=None)
    return [
        Link(category.name, _changed_query(asked, category=category.path))
        for category in Category.objects.filter(below).order_by("path")
    ]


def _changed_query(asked: QueryDict, **changes: str | None) -> str:
    """The same question with these answers changed, from the first page."""
    query = asked.copy()
    for name, value in {"cursor": None, **changes}.items():
        query.pop(name, None)
        if value is not None:
            query[name] = value
    return query.urlencode()


@require_safe
def listing_page(request: HttpRequest, listing_id: int) -> HttpResponse:
    listing = get_visible_listing_or_404(request, listing_id)
    images = listing.photos
    # A photo is shown once a browser can load it, whatever its state: trouble with embedding it takes no picture away.
    photos = [image for image in images if image.clean_file and image.thumb_file]
    context = {
        "listing": listing,
        "photos": photos,
        "waiting": sum(image.state == ListingImage.State.NEW for image in images),
        "crumbs": _breadcrumbs(QueryDict(), listing.category.path if listing.category else ""),
        "may_edit": may_change(request.user, listing),
        "may_open_admin": may_view_all(request.user),
    }
    return render(request, "listings/listing.html", context)
