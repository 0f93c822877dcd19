"""Photos in the admin. Their bytes never change: photos are added, looked at, reordered and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.forms.widgets import Script
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from listings.api.numbers import IntegerInput
from listings.models import Listing, ListingImage

from .filters import CappedPaginator, ReasonFilter

NOTHING = "-"
# Photos that are added go behind the last one, and PostgreSQL's column ends at 32,767.
HIGHEST_PLACE = 9_999


def mark_part(name: str, state: str, content: str) -> SafeString:
    """Something that a page shows of a photo, which its script replaces when the photo is no longer new."""
    return format_html('<span data-photo-part="{}" data-photo-state="{}">{}</span>', name, state, content)


class UpdatesPhotos:
    """A page whose photos become ready without being loaded anew."""

    class Media:
        js = (Script("listings/admin_photos.js", type="module"),)


class PhotoColumns:
    """What is shown of a photo, wherever it is shown."""

    @admin.display(description="photo")
    def thumbnail(self, image: ListingImage) -> str:
        shown: str = NOTHING
        if image.thumb_file:
            shown = format_html(
                '<img class="admin-thumb" src="{}" alt="Photo {}" loading="lazy">', image.thumb_file.url, image.pk
            )
        return mark_part(f"thumbnail-{image.pk}", image.state, shown)

    @admin.display(description="state", ordering="state")
    def state_label(self, image: ListingImage) -> SafeString:
        shown = format_html('<span class="photo-state {}">{}</span>', image.state, image.get_state_display())
        return mark_part(f"state-{image.pk}", image.state, shown)

    @admin.display(description="reason", ordering="reason")
    def rejection_reason(self, image: ListingImage) -> SafeString:
        shown = format_html('<span class="photo-reason">{}</span>', image.reason)
        return mark_part(f"reason-{image.pk}", image.state, shown)

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


class PlaceInput(IntegerInput):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"max_value": HIGHEST_PLACE})


class PlaceForm(forms.ModelForm):
    class Meta:
        model = ListingImage
        fields = ("position",)
        field_classes: ClassVar = {"position": PlaceInput}
        labels: ClassVar = {"position": "place, lowest first"}
        help_texts: ClassVar = {
            "position": "The first photo that is ready stands for the listing. "
            "To move a photo, give it the number of the one whose place it takes."
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A table has headings and no labels, so that a screen reader would hear of a number and not what it is for.
        self.fields["position"].widget.attrs["aria-label"] = f"Place of photo {self.instance.pk}"


def part_photos_of_one_place(listing: Listing, before: Mapping[int, int]) -> None:
    """Number the photos anew where one was moved to the place of another: it takes it, and the others make room.

    Args:
        before: the earlier places of photos that were moved.
    """
    photos = list(ListingImage.objects.filter(listing=listing))
    if not before or len({photo.position for photo in photos}) == len(photos):
        return

    def order(photo: ListingImage) -> tuple[int, int]:
        was = before.get(photo.pk, photo.position)
        # Who moves up stands before the one whose place it takes, who moves down behind it.
        return photo.position, (photo.position > was) - (photo.position < was)

    photos.sort(key=order)
    for place, photo in enumerate(photos):
        if photo.position != place:
            ListingImage.objects.filter(pk=photo.pk).update(position=place)


class ListingImageInline(PhotoColumns, admin.TabularInline):
    model = ListingImage
    form = PlaceForm
    fields = ("thumbnail", "position", "state_label", "rejection_reason", "size_in_pixels", "original_link")
    readonly_fields = ("thumbnail", "state_label", "rejection_reason", "size_in_pixels", "original_link")
    extra = 0
    verbose_name_plural = "photos"

    def has_add_permission(self, request: HttpRequest, obj: Listing | None = None) -> bool:
        return False


@admin.register(ListingImage)
class ListingImageAdmin(UpdatesPhotos, PhotoColumns, DeletedWithWhatBelongs, admin.ModelAdmin):
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
        shown: str = NOTHING
        if image.clean_file:
            shown = format_html(
                '<img class="admin-thumb large" src="{}" alt="Photo {}">', image.clean_file.url, image.pk
            )
        return mark_part(f"picture-{image.pk}", image.state, shown)

    @admin.display(description="listing", ordering="listing")
    def listing_link(self, image: ListingImage) -> str:
        address = reverse("admin:listings_listing_change", args=[image.listing_id])
        return format_html('<a href="{}">{}</a>', address, image.listing.title)

    @admin.display(description="seller", ordering="listing__seller__username")
    def seller_username(self, image: ListingImage) -> str:
        return image.listing.seller.username
