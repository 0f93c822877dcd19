"""What recommender shows inside the pages and the admin of listings. Where it has nothing to show, it says why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from django.conf import settings
from django.core.files.base import File
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

from listings import slots
from listings.limits.turns import name_caller
from listings.models import Listing
from listings.permissions import may_see_site_health
from ml.images import PartRefused

from .api.requests import PageSearchSerializer
from .embedding.worker_health import describe_absent_workers
from .errors import ModelNotReady
from .index import IndexNotReady, get_index
from .models import EmbeddingModel
from .search.photo_query import Busy
from .search.retrieval import NoPhoto, PhotoWaiting, SearchRequest, find_similar_listings, search_by_photo

STRIP_RESULTS = 8
PANEL_RESULTS = 12
NEAREST = 4  # shown under a heading of their own where nothing is alike

SOON = "Similar listings cannot be shown at this moment. Reload the page in a few seconds."
SEARCH_SOON = "Search by photo is not ready at this moment. Try again in a few seconds."


def register_fillers() -> None:
    slots.register_filler("site_banner", site_banner)
    slots.register_filler("similar_strip", similar_strip)
    slots.register_filler("photo_search", photo_search_results)
    slots.register_filler("admin_similar_panel", admin_similar_panel)


def site_banner(request: HttpRequest | None) -> SafeString:
    """A warning on every page while vectors come from a model that has learned nothing; to staff also what keeps
    photos from being found."""
    # An error page is shown without a request. It must not ask the database, which may be what failed.
    if request is None:
        return SafeString("")
    model = EmbeddingModel.objects.find_active()
    untrained = model is not None and model.is_untrained
    absent = list(describe_absent_workers(timezone.now())) if may_see_site_health(request.user) else []
    if not untrained and not absent:
        return SafeString("")
    return _render_template("banner", request, untrained=untrained, absent=absent)


def similar_strip(request: HttpRequest, listing: Listing) -> SafeString:
    """Similar listings below a listing."""
    try:
        wanted = SearchRequest(
            viewer=request.user, limit=STRIP_RESULTS, min_probability=settings.MIN_PROBABILITY, nearest=NEAREST
        )
        answer = find_similar_listings(get_index().get_state(), listing, wanted)
    except NoPhoto:
        # A buyer cannot do anything about a missing photo, so the page does not speak of it.
        return SafeString("")
    except PhotoWaiting as exc:
        return _render_template("similar_strip", request, trouble=str(exc))
    except IndexNotReady:
        return _render_template("similar_strip", request, trouble=SOON)
    return _render_template("similar_strip", request, answer=answer)


def admin_similar_panel(request: HttpRequest, listing: Listing) -> SafeString:
    """Similar listings with what staff need to judge them: photos, similarities, reasons and versions."""
    try:
        answer = find_similar_listings(
            get_index().get_state(), listing, SearchRequest(viewer=request.user, limit=PANEL_RESULTS)
        )
    except (NoPhoto, PhotoWaiting, IndexNotReady) as exc:
        return _render_template("admin_similar_panel", request, trouble=str(exc))
    return _render_template("admin_similar_panel", request, answer=answer)


def photo_search_results(request: HttpRequest, photo: File) -> SafeString:
    """Results for an uploaded photo. Raises PhotoRefused, which the page shows beside the field."""
    asked = PageSearchSerializer(data=request.POST, context={"user": request.user, "caller": name_caller(request)})
    if not asked.is_valid():
        return _render_template("photo_search", request, trouble=_join_errors(asked.errors))
    try:
        crop = asked.validated_data.get("crop")
        wanted = replace(asked.search_request(), nearest=NEAREST)
        answer = search_by_photo(get_index().get_state(), photo, wanted, crop)
        return _render_template("photo_search", request, answer=answer)
    except (ModelNotReady, IndexNotReady):
        return _render_template("photo_search", request, trouble=SEARCH_SOON)
    except (Busy, PartRefused) as exc:
        return _render_template("photo_search", request, trouble=str(exc))


def _join_errors(errors: Mapping[str, Iterable[object]]) -> str:
    return " ".join(str(message) for messages in errors.values() for message in messages)


def _render_template(template: str, request: HttpRequest, **context: object) -> SafeString:
    return render_to_string(f"recommender/{template}.html", context, request)
