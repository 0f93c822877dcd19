"""Every door of the site, read from the code: the addresses that Django resolves, the verbs that their views take, and
the actions of the admin's lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import URLPattern, get_resolver

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Pages of the admin say nowhere which verbs they take: each can be looked at, and takes a form, but for these.
ADMIN_READ_ONLY = re.compile(
    r"^admin/($|password_change/done/|autocomplete/|jsi18n/|r/|<app_label>/$|<url>$)|/<object_id>/(history/)?$|/reports/<name>$"
)
PARAMETER = re.compile(r"\(\?P<(\w+)>[^()]*\)|<(?:\w+:)?(\w+)>")


def list_doors() -> list[str]:
    """As "GET listings/<listing_id>/", in the order in which Django looks them up."""
    doors = [
        f"{verb} {address}"
        for address, view in _walk(get_resolver().url_patterns)
        for verb in list_verbs(address, view)
    ]
    return [*dict.fromkeys(doors), *_list_actions()]


def _walk(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    for pattern in patterns:
        address = prefix + PARAMETER.sub(lambda found: f"<{found[1] or found[2]}>", str(pattern.pattern)).strip("^$")
        if isinstance(pattern, URLPattern):
            yield address, pattern.callback
        else:
            yield from _walk(pattern.url_patterns, address)


def list_verbs(address: str, view: Callable[..., Any]) -> list[str]:
    if address.startswith("admin/"):
        return ["GET"] if ADMIN_READ_ONLY.search(address) else ["GET", "POST"]
    taken = _verbs_of_class(view) or _verbs_of_function(view)
    assert taken, f"{address} takes any verb: give its view `require_http_methods`, or `require_safe`."
    return [verb for verb in VERBS if verb in taken]


def _verbs_of_class(view: Any) -> list[str]:
    made_from = getattr(view, "cls", None) or getattr(view, "view_class", None)
    return [name.upper() for name in made_from.http_method_names if hasattr(made_from, name)] if made_from else []


def _verbs_of_function(view: Any) -> list[str]:
    """What `require_http_methods` holds on to, around the view or around one that it wraps."""
    while view is not None:
        for cell in getattr(view, "__closure__", None) or ():
            if isinstance(cell.cell_contents, list | tuple) and {*cell.cell_contents} & {*VERBS}:
                return list(cell.cell_contents)
        view = getattr(view, "__wrapped__", None)
    return []


def _list_actions() -> Iterator[str]:
    request = RequestFactory().get("/")
    request.user = User(is_staff=True, is_superuser=True)
    for model, pages in admin.site._registry.items():
        if pages.has_view_permission(request):
            yield from (f"ACTION {model._meta.label_lower} {name}" for name in pages.get_actions(request))
