"""The API's rates, for pages that cost as much as its calls or guard the same secret."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.views import APIView

from listings.api.throttles import FailOpenThrottle


class PageThrottle(FailOpenThrottle):
    def __init__(self, scope: str) -> None:
        self.scope = scope

    def get_scope(self, request: Request, view: APIView) -> str:
        return self.scope


def throttle_request(request: HttpRequest, scope: str) -> bool:
    """Count this request; whether the caller has used up the rate of this scope, pages and API taken together."""
    # The casts do no harm, because a throttle reads only the user and the address, which a plain request has too.
    return not PageThrottle(scope).allow_request(cast("Request", request), cast("APIView", None))
