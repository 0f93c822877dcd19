"""Whether this process is alive, and whether it can answer. Details are for the people who run the site."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from listings.permissions import may_see_site_health
from recommender.models import IndexHead
from recommender.search.warm_up import is_warm

from .health_details import collect_details

# Set in the environment of a request that came in by health's own door. What clients send has names with HTTP_ there.
DOOR = "marketplace.door"


@require_safe
@never_cache
def report_liveness(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def report_readiness(request: HttpRequest) -> JsonResponse:
    """Status 200 while the database answers, the index, even an empty one, can be searched, and the model is loaded."""
    database = is_database_usable()
    index = index_health() if database else {"usable": False, "problem": None}
    if not is_warm():
        index |= {"usable": False, "problem": index["problem"] or "the model of searches by photo is being loaded"}
    answer: dict[str, object] = {"status": "ok" if index["usable"] else "unavailable"}
    if may_see_details(request, database=database):
        answer |= describe_site(index) if database else {"problem": "The database does not answer."}
    return JsonResponse(answer, status=200 if index["usable"] else 503)


def describe_site(index: dict[str, Any]) -> dict[str, object]:
    """What is wrong, in one line, and the details. A site that answers in spite of it is degraded."""
    problems, details = collect_details()
    problem = "; ".join(filter(None, [index["problem"], *problems]))
    degraded = {"status": "degraded"} if problem and index["usable"] else {}
    return {**degraded, "problem": problem or None, "details": {"index": index | index_lag(), **details}}


def is_database_usable() -> bool:
    try:
        return IndexHead.row().exists()
    except Error:
        # A broken connection would be kept for the next request, which would fail with it as well.
        connection.close()
        return False


def index_health() -> dict[str, Any]:
    # Not at the top of the module, because FAISS may be loaded only after gunicorn has forked.
    from recommender.index import report_health

    return asdict(report_health())


def index_lag() -> dict[str, object]:
    from recommender.index import measure_lag

    return asdict(measure_lag())


def may_see_details(request: HttpRequest, *, database: bool) -> bool:
    """Whoever is trusted, and staff who may view heartbeats, whom only the database knows."""
    return is_trusted(request) or (database and may_see_site_health(request.user))


def is_trusted(request: HttpRequest) -> bool:
    """Whether the request came in by health's own door, or with the token for monitoring. Its address and headers say
    nothing: a proxy on this machine connects from loopback for everybody."""
    token = settings.HEALTH_TOKEN
    given = request.headers.get("X-Health-Token", "")
    # While no token is set, a request without the header would match it, because both are empty.
    return DOOR in request.META or bool(token and secrets.compare_digest(given.encode(), token.encode()))
