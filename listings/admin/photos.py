"""Photos in the admin. Their bytes never change: photos are added, looked at, reordered and deleted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from listings.models import Listing, ListingImage

from .filters import CappedPaginator, ReasonFilter

NOTHING = "-"


class PhotoColumns:
    """What is shown of a photo, wherever it is shown."""

    @admin.display(description="photo")
    def thumbnail(self, image: ListingImage) -> str:
        if not image.thumb_file:
            return NOTHING
        return format_html(
            '<img class="admin-thumb" src="{}" alt="Photo {}" loading="lazy">', image.thumb_file.url, image.pk
        )

    @admin.display(description="state", ordering="state")
    def state_label(self, image: ListingImage) -> SafeString:
        return format_html('<span class="photo-state {}">{}</span>', image.state, image.get_state_display())

    @admin.display(description="reason", ordering="reason")
    def rejection_reason(self, image: ListingImage) -> SafeString:
        return format_html('<span class="photo-reason">{}</span>', image.reason)

    @admin.display(description="pixels")
    def size_in_pixels(self, image: ListingImage) -> str:
        return f"{image.width} × {image.height}" if image.width and image.height else NOTHING  # noqa: RUF001 - no letter x is meant

    @admin.display(description="original")
    def original_link(self, image: ListingImage) -> str:
        if not image.original:
            return NOTHING
        return format_html('<a href="{}">Download</a>', reverse("original", args=[image.pk]))


class DeletedWithWhatBelongs:
    """Whoever may delete a photo or a listing deletes with it what other rooms keep about it and show read-only."""

    def get_deleted_objects(self, objs: object, request: HttpRequest) -> tuple[list, dict, set, list]:
        shown, counts, forbidden, protected = super().get_deleted_objects(objs, request)  # type: ignore[misc]
        # Django would forbid the deletion because of rows about the photo that other apps keep and show read-only.
        return shown, counts, forbidden & {"listing", "listing image"}, protected


class ListingImageInline(PhotoColumns, admin.TabularInline):
    model = ListingImage
    fields = ("thumbnail", "position", "state_label", "rejection_reason", "size_in_pixels", "original_link")
    readonly_fields = ("thumbnail", "state_label", "rejection_reason", "size_in_pixels", "original_link")
    extra = 0
    verbose_name_plural = "photos"

    def has_add_permission(self, request: HttpRequest, obj: Listing | None = None) -> bool:
        return False


@admin.register(ListingImage)
class ListingImageAdmin(PhotoColumns, DeletedWithWhatBelongs, admin.ModelAdmin):
    """For the moderator: which photos were refused, and why. Other rooms may add to `actions`."""

    # A list, so that other apps can append their actions; Django's own default is a tuple.
    actions: list[Any] = []
    list_display = (
        "id",
        "thumbnail",
        "state_label",
        "rejection_reason",
        "listing_link",
        "seller_username",
        "created_at",
    )
    list_filter = ("state", ReasonFilter, "source")
    list_select_related = ("listing__seller",)
    list_per_page = 50
    search_fields = ("listing__title", "listing__seller__username", "=listing__external_id", "=sha256")
    search_help_text = "Title or seller; or exactly an external id or a SHA-256."
    ordering = ("-id",)
    paginator = CappedPaginator
    show_full_result_count = False
    fields = (
        "picture",
        "listing_link",
        "position",
        "state_label",
        "rejection_reason",
        "size_in_pixels",
        "original_link",
        "sha256",
        "source",
        "created_at",
    )
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ListingImage]:
        return super().get_queryset(request).select_related("listing__seller")

    @admin.display(description="picture")
    def picture(self, image: ListingImage) -> str:
        if not image.clean_file:
            return NOTHING
        return format_html('<img class="admin-thumb large" src="{}" alt="Photo {}">', image.clean_file.url, image.pk)

    @admin.display(description="listing", ordering="listing")
    def listing_link(self, image: ListingImage) -> str:
        address = reverse("admin:listings_listing_change", args=[image.listing_id])
        return format_html('<a href="{}">{}</a>', address, image.listing.title)

    @admin.display(description="seller", ordering="listing__seller__username")
    def seller_username(self, image: ListingImage) -> str:
        return image.listing.seller.username
