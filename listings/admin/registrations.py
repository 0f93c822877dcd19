from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from listings.models import Category, Listing, ListingImage
from listings.photos.no_room import CannotStore
from listings.photos.uploads import CheckedPhoto
from listings.services import ListingGone, TooManyPhotos, add_photos
from listings.templatetags.storefront import format_price, lead_photo
from listings.web.uploading import explain_lost_photos
from ml.catalogue.counts import describe_count

from .filters import CappedPaginator, HasPhotosFilter, PhotoStateFilter, PriceFilter, RootCategoryFilter
from .forms import ListingAdminForm
from .photos import (
    NOTHING,
    DeletedWithWhatBelongs,
    ListingImageAdmin,
    ListingImageInline,
    UpdatesPhotos,
    mark_part,
    part_photos_of_one_place,
)
from .removal import ask_whether_to_remove, is_confirmed

__all__ = ["CategoryAdmin", "ListingAdmin", "ListingImageAdmin"]


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    """Changing the parent moves a category with everything below it; listings stay as they are."""

    list_display = ("path", "listings_link")
    list_display_links = ("path",)
    fields = ("name", "parent", "path")
    readonly_fields = ("path",)
    autocomplete_fields = ("parent",)
    search_fields = ("path",)
    ordering = ("path",)

    @admin.display(description="listings")
    def listings_link(self, category: Category) -> str:
        address = reverse("admin:listings_listing_changelist")
        return format_html('<a href="{}?category__id__exact={}">Show</a>', address, category.pk)


@admin.register(Listing)
class ListingAdmin(UpdatesPhotos, DeletedWithWhatBelongs, admin.ModelAdmin):
    """Other rooms may add to `actions`."""

    form = ListingAdminForm
    inlines = (ListingImageInline,)
    actions: list[Any] = ["mark_sold", "mark_active", "mark_removed"]
    list_display = ("thumbnail", "title", "price_label", "status", "seller", "category", "created_at")
    list_display_links = ("thumbnail", "title")
    list_filter = ("status", PhotoStateFilter, HasPhotosFilter, PriceFilter, RootCategoryFilter)
    list_select_related = ("seller", "category")
    list_per_page = 50
    search_fields = ("title", "description", "=external_id", "seller__username")
    search_help_text = "Words of title, description or seller; or exactly an external id."
    ordering = ("-created_at", "-id")
    paginator = CappedPaginator
    show_full_result_count = False
    autocomplete_fields = ("category", "seller")
    readonly_fields = ("created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("title", "description", ("price", "status"), "category", "seller")}),
        ("Place", {"fields": ("location", ("latitude", "longitude"))}),
        ("Photos", {"fields": ("photos",)}),
        ("Record", {"fields": ("external_id", ("created_at", "updated_at")), "classes": ("collapse",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Listing]:
        return super().get_queryset(request).prefetch_related("images")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Listing], search_term: str
    ) -> tuple[QuerySet[Listing], bool]:
        """With what the storefront's search finds: SQLite compares letters beyond ASCII as they are."""
        found, repeats = super().get_search_results(request, queryset, search_term)
        if search_term.strip():
            found |= queryset.filter(pk__in=Listing.objects.with_words(search_term).values("pk"))
        return found, repeats

    def has_delete_permission(self, request: HttpRequest, obj: Listing | None = None) -> bool:
        """Removing keeps the record; deleting destroys it, so it is left to few."""
        return bool(request.user.is_superuser)

    @admin.display(description="photo")
    def thumbnail(self, listing: Listing) -> str:
        image = lead_photo(listing)
        if image is None:
            waiting = any(photo.state == ListingImage.State.NEW for photo in listing.photos)
            return mark_part(f"listing-{listing.pk}", ListingImage.State.NEW if waiting else "", NOTHING)
        picture = format_html('<img class="admin-thumb" src="{}" alt="" loading="lazy">', image.thumb_file.url)
        return mark_part(f"listing-{listing.pk}", image.state, picture)

    @admin.display(description="price", ordering="price")
    def price_label(self, listing: Listing) -> str:
        return format_price(listing.price)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"seller": request.user.pk, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Listing, form: ModelForm, change: bool) -> None:
        """Write only what was edited: a price changed meanwhile by its seller is not written back."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        # `photos` is a field of the form alone, and Django refuses to save a field that the model does not have.
        edited = [name for name in form.changed_data if name != "photos"]
        obj.save(update_fields=[*edited, "updated_at"])

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Write only the edited positions: a worker may be storing the photo's state."""
        formset.save(commit=False)
        for image in formset.deleted_objects:
            image.delete()
        for image, edited in formset.changed_objects:
            image.save(update_fields=edited)
        places = {row.instance.pk: row.initial["position"] for row in formset.initial_forms if row.has_changed()}
        part_photos_of_one_place(form.instance, places)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        listing, photos = form.instance, form.cleaned_data["photos"]
        if photos:
            # The admin saves inside a transaction, while `add_photos` must begin its own: it waits for the commit.
            transaction.on_commit(lambda: self._add_photos_or_report(request, listing, photos))

    def _add_photos_or_report(self, request: HttpRequest, listing: Listing, photos: Sequence[CheckedPhoto]) -> None:
        try:
            add_photos(listing, photos)
        except (ListingGone, TooManyPhotos, CannotStore) as exc:
            why = explain_lost_photos(exc) if isinstance(exc, CannotStore) else str(exc)
            why = why or "The listing was removed meanwhile."
            self.message_user(request, f"The photos were not added. {why}", messages.ERROR)

    @admin.action(description="Mark as sold", permissions=["change"])
    def mark_sold(self, request: HttpRequest, queryset: QuerySet[Listing]) -> None:
        self._set_status_and_confirm(request, queryset, Listing.Status.SOLD)

    @admin.action(description="Mark as active", permissions=["change"])
    def mark_active(self, request: HttpRequest, queryset: QuerySet[Listing]) -> None:
        self._set_status_and_confirm(request, queryset, Listing.Status.ACTIVE)

    @admin.action(description="Remove", permissions=["change"])
    def mark_removed(self, request: HttpRequest, queryset: QuerySet[Listing]) -> TemplateResponse | None:
        if not is_confirmed(request) and queryset.exclude(status=Listing.Status.REMOVED).exists():
            return ask_whether_to_remove(self, request, queryset)
        self._set_status_and_confirm(request, queryset, Listing.Status.REMOVED)
        return None

    def _set_status_and_confirm(
        self, request: HttpRequest, queryset: QuerySet[Listing], status: Listing.Status
    ) -> None:
        # An update in SQL leaves `auto_now` fields alone, so the time is given here.
        changed = queryset.exclude(status=status).update(status=status, updated_at=timezone.now())
        self.message_user(request, f"{describe_count(changed, 'listing')} now {status}.", messages.SUCCESS)
