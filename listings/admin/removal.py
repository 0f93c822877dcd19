"""Removing many listings at once: a page says how many and which, and asks."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from listings.models import Listing
from ml.catalogue.counts import describe_count

MOST_NAMED = 10


def is_confirmed(request: HttpRequest) -> bool:
    return bool(request.POST.get("post"))


def ask_whether_to_remove(
    listing_admin: admin.ModelAdmin, request: HttpRequest, chosen: QuerySet[Listing]
) -> TemplateResponse:
    """A page whose form sends the same action again, confirmed."""
    present = chosen.exclude(status=Listing.Status.REMOVED)
    number = present.count()
    count = describe_count(number, "listing")
    # Without the photos that a list shows beside each title.
    first = present.prefetch_related(None)[:MOST_NAMED]
    context = {
        **listing_admin.admin_site.each_context(request),
        "title": f"Remove {count}?",
        "opts": listing_admin.opts,
        "count": count,
        "first": first,
        "others": f"{number - MOST_NAMED:,} more" if number > MOST_NAMED else "",
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "select_across": request.POST.get("select_across", "0"),
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/listings/listing/remove_selected.html", context)
