"""How staff narrows long lists of the admin: no filter joins photos, so none shows a listing twice."""

from __future__ import annotations

from typing import cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from listings.models import Category, Listing, ListingImage

MOST_COUNTED = 10_000

Lookups = list[tuple[str, str]]


class CappedPaginator(Paginator):
    """Counts and shows no more than people page through, so that a table of millions opens at once."""

    @cached_property
    def count(self) -> int:
        return cast("QuerySet", self.object_list)[:MOST_COUNTED].count()


class RootCategoryFilter(admin.SimpleListFilter):
    title = "category"
    parameter_name = "root"

    def lookups(self, request: HttpRequest, model_admin: object) -> Lookups:
        roots = Category.objects.filter(parent=None).order_by("path").values_list("pk", "name")
        return [(str(pk), name) for pk, name in roots] + [("none", "No category")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Listing]) -> QuerySet[Listing]:
        if self.value() == "none":
            return queryset.filter(category=None)
        chosen = self.value() or ""
        # Anybody can edit the address, and the query would raise for an id that is no number, so such an id is ignored.
        if not chosen.isdecimal():
            return queryset
        root = Category.objects.filter(pk=chosen).first()
        return queryset.filter(category__in=Category.objects.subtree(root.path)) if root else queryset.none()


class PhotoStateFilter(admin.SimpleListFilter):
    title = "a photo is"
    parameter_name = "photo"

    def lookups(self, request: HttpRequest, model_admin: object) -> Lookups:
        return list(ListingImage.State.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Listing]) -> QuerySet[Listing]:
        if self.value() not in ListingImage.State.values:
            return queryset
        return queryset.filter(_photo_condition(state=self.value()))


class HasPhotosFilter(admin.SimpleListFilter):
    title = "photos"
    parameter_name = "photos"

    def lookups(self, request: HttpRequest, model_admin: object) -> Lookups:
        return [("yes", "With photos"), ("no", "Without photos")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Listing]) -> QuerySet[Listing]:
        match self.value():
            case "yes":
                return queryset.filter(_photo_condition())
            case "no":
                return queryset.exclude(_photo_condition())
        return queryset


class PriceFilter(admin.SimpleListFilter):
    title = "price"
    parameter_name = "price"
    CONDITIONS = {"stated": Q(price__gt=0), "free": Q(price=0), "none": Q(price=None)}

    def lookups(self, request: HttpRequest, model_admin: object) -> Lookups:
        return [("stated", "Stated"), ("free", "Free"), ("none", "On request")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Listing]) -> QuerySet[Listing]:
        condition = self.CONDITIONS.get(self.value() or "")
        return queryset.filter(condition) if condition else queryset


class ReasonFilter(admin.SimpleListFilter):
    """Rejected photos by what was wrong with them."""

    title = "reason"
    parameter_name = "reason"
    MOST_REASONS = 20

    def lookups(self, request: HttpRequest, model_admin: object) -> Lookups:
        rejected = ListingImage.objects.filter(state=ListingImage.State.REJECTED).order_by("reason")
        reasons = rejected.values_list("reason", flat=True).distinct()[: self.MOST_REASONS]
        return [(reason, reason or "(none given)") for reason in reasons]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ListingImage]) -> QuerySet[ListingImage]:
        if self.value() is None:
            return queryset
        return queryset.filter(state=ListingImage.State.REJECTED, reason=self.value())


def _photo_condition(**state: object) -> Exists:
    return Exists(ListingImage.objects.filter(listing=OuterRef("pk"), **state))
