from __future__ import annotations

from threading import Lock

from drf_spectacular.authentication import TokenScheme
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from .middleware import PAGES


class DescribedTokenScheme(TokenScheme):  # type: ignore[no-untyped-call]
    """The page sends what is typed, so it says that the word comes before the token."""

    priority = 0

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, object]:
        definition: dict[str, object] = super().get_security_definition(auto_schema)  # type: ignore[no-untyped-call]
        return definition | {
            "description": "Write `Token`, a space, and the token that `POST /api/v1/token/` gave you."
        }


class SchemaView(SpectacularAPIView):
    """The description of the API.

    It is made by one thread at a time: drf-spectacular looks for what it extends when it is first asked, and a thread
    that asks meanwhile fails.
    """

    making = Lock()

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        with self.making:
            response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        return response


class DocsView(SpectacularSwaggerSplitView):
    """The API page, from bundled files; its template carries one inline style."""

    # Without metadata OPTIONS is refused: a page for people has no fields that it could describe.
    metadata_class = None

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response["Content-Security-Policy"] = f"{PAGES}; style-src 'self' 'unsafe-inline'"
        return response
