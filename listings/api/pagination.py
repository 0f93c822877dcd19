"""Pages of the list of listings: what a caller asks for, and the links to the pages beside it."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from .cursor import ORDERINGS, Position, fetch_page, position_of_listing


class ListingPagination(BasePagination):
    default_limit = 20
    max_limit = 100
    parameters = ("ordering", "limit", "cursor")

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        ordering, limit, position = self._parse_parameters(request)
        # One row more than is shown tells whether there is a next page, without counting.
        rows = fetch_page(queryset, ordering, position, limit + 1)
        more, rows = len(rows) > limit, rows[:limit]
        back = position is not None and position.back
        if back:
            rows.reverse()
        url = request.build_absolute_uri()
        self.previous = self.next = None
        # Whoever sends a cursor comes from a page beside this one, so `more` has to decide on the other side only.
        if rows and (more if back else position is not None):
            self.previous = _page_link(url, position_of_listing(ordering, *rows[0], back=True))
        if rows and (back or more):
            self.next = _page_link(url, position_of_listing(ordering, *rows[-1], back=False))
        return [listing for _, listing in rows]

    def _parse_parameters(self, request: Request) -> tuple[str, int, Position | None]:
        errors: dict[str, list[str]] = {}
        ordering = request.query_params.get("ordering") or "-created"
        if ordering not in ORDERINGS:
            errors["ordering"] = [f"'{ordering}' is no ordering. Use one of: {', '.join(ORDERINGS)}."]
        limit = request.query_params.get("limit") or str(self.default_limit)
        # The length is looked at before int(), which raises for a number of thousands of digits.
        if not (limit.isascii() and limit.isdigit() and len(limit) < 5 and 1 <= int(limit) <= self.max_limit):
            errors["limit"] = [f"Give a number from 1 to {self.max_limit}."]
        position = None
        if cursor := request.query_params.get("cursor"):
            try:
                position = Position.decode(cursor)
            except ValueError:
                errors["cursor"] = ["This is no cursor. Follow the `next` and `previous` links of an answer."]
            else:
                if position.ordering != ordering:
                    errors["cursor"] = [f"This cursor belongs to ordering={position.ordering}. Start without a cursor."]
        if errors:
            raise ValidationError(errors)
        return ordering, int(limit), position

    def get_paginated_response(self, data: object) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, object]) -> dict[str, object]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": link | {"example": "https://example.org/api/v1/listings/?cursor=WyItY3JlYXRlZCIsMCwiMjAyN"},
                "previous": link | {"example": None},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, object]]:
        def describe_parameter(name: str, description: str, **schema: object) -> dict[str, object]:
            return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}

        return [
            describe_parameter(
                "ordering",
                "Listings without a price come last, by either price.",
                type="string",
                enum=list(ORDERINGS),
                default="-created",
            ),
            describe_parameter(
                "limit",
                "Listings a page.",
                type="integer",
                minimum=1,
                maximum=self.max_limit,
                default=self.default_limit,
            ),
            describe_parameter("cursor", "From a `next` or `previous` link.", type="string"),
        ]


def _page_link(url: str, position: Position) -> str:
    return replace_query_param(remove_query_param(url, "cursor"), "cursor", position.encode())
