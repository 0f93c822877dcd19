"""Reading what recommender holds. Rows whose edit would break an invariant can only be looked at.

Loaded after the admin of listings, to whose pages it adds "Embed again".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Exists, JSONField, Model, OuterRef, Q, QuerySet
from django.forms import ModelForm
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from listings.admin.filters import CappedPaginator
from listings.models import Listing, ListingImage
from listings.permissions import may_embed_again
from ml.catalogue.counts import describe_count
from recommender.embedding import queue
from recommender.embedding.doorbell import doorbell
from recommender.models import LONGEST_ID, Embedding, Heartbeat, IndexHead, IndexSnapshot, RankerVersion
from recommender.ranker_weights import WeightsInvalid
from recommender.search.ranking.ranker import activate_ranker

from .models import EmbeddingModelAdmin
from .read_only import ReadOnlyAdmin

__all__ = ["EmbeddingModelAdmin"]


class ReadableJSONField(forms.JSONField):
    """Refuses like what is no JSON what Python cannot read (too many levels, numbers of too many digits), and half of a
    surrogate pair, which an escape can make and which can neither be stored nor shown."""

    def to_python(self, value: object) -> Any:
        try:
            return _refuse_surrogates(super().to_python(value))
        except (RecursionError, ValueError) as exc:
            raise forms.ValidationError(
                self.error_messages["invalid"], code="invalid", params={"value": value}
            ) from exc

    def bound_data(self, data: object, initial: object) -> object:
        try:
            return _refuse_surrogates(super().bound_data(data, initial))
        except (RecursionError, ValueError):
            # As Django marks text that is no JSON, so that the form shows it as it was typed.
            return InvalidJSONInput(data)


def _refuse_surrogates(value: object) -> object:
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _requeue_photos_and_confirm(request: HttpRequest, images: QuerySet[ListingImage]) -> None:
    queued = describe_count(queue.requeue_photos(images), "embedding is", "embeddings are")
    doorbell.ring()
    messages.success(request, f"{queued} queued again; until then the vectors there are stay in use.")


@admin.action(description="Embed again", permissions=["embed"])
def requeue_photos_of_listings(
    listing_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Listing]
) -> None:
    _requeue_photos_and_confirm(request, ListingImage.objects.filter(listing__in=queryset.order_by().values("pk")))


@admin.action(description="Embed again", permissions=["embed"])
def requeue_selected_photos(
    photo_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[ListingImage]
) -> None:
    _requeue_photos_and_confirm(request, queryset)


@admin.register(Embedding)
class EmbeddingAdmin(ReadOnlyAdmin):
    actions = ("requeue_photos_of_embeddings",)
    list_display = ("id", "photo", "listing_link", "model", "state", "lane", "attempts", "reason", "updated_at")
    list_filter = ("state", "lane", "model")
    list_select_related = ("image__listing", "model")
    search_fields = ("image__id", "image__listing__id")
    search_help_text = "A photo's or a listing's id."
    ordering = ("-id",)
    paginator = CappedPaginator
    show_full_result_count = False
    exclude = ("image",)  # the form field of `image` would read every photo of the site into a select box
    readonly_fields = (
        "photo",
        "listing_link",
        "token",
        "leased_until",
        "attempts",
        "reason",
        "created_at",
        "updated_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Embedding]:
        # The page shows no vector, and to read a wide one with each of its hundred rows would slow it down.
        return super().get_queryset(request).defer("vector")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Embedding], search_term: str
    ) -> tuple[QuerySet[Embedding], bool]:
        """Look ids up in their indexes; the admin's own search would read the whole table as text."""
        if not search_term:
            return queryset, False
        # The database raises for a number that overflows the column, while the right answer is that nothing is found.
        if not search_term.isdecimal() or len(search_term) > LONGEST_ID:
            return queryset.none(), False
        return queryset.filter(Q(image_id=search_term) | Q(image__listing_id=search_term)), False

    def has_embed_permission(self, request: HttpRequest) -> bool:
        return may_embed_again(request.user)

    @admin.action(description="Embed again", permissions=["embed"])
    def requeue_photos_of_embeddings(self, request: HttpRequest, queryset: QuerySet[Embedding]) -> None:
        _requeue_photos_and_confirm(request, ListingImage.objects.filter(pk__in=queryset.order_by().values("image")))

    @admin.display(ordering="image_id")
    def photo(self, embedding: Embedding) -> str:
        if not embedding.image.thumb_file:
            return str(embedding.image_id)
        return format_html(
            '<img src="{}" alt="photo {}" height="48" loading="lazy">',
            embedding.image.thumb_file.url,
            embedding.image_id,
        )

    @admin.display(description="listing", ordering="image__listing_id")
    def listing_link(self, embedding: Embedding) -> str:
        address = reverse("admin:listings_listing_change", args=[embedding.image.listing_id])
        return format_html('<a href="{}">{}</a>', address, embedding.image.listing)


@admin.register(IndexSnapshot)
class IndexSnapshotAdmin(ReadOnlyAdmin):
    list_display = ("id", "model", "state", "is_serving", "rows", "segment_count", "recall", "created_at", "directory")
    list_filter = ("state", "model")
    list_select_related = ("model",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[IndexSnapshot]:
        return super().get_queryset(request).annotate(head=Exists(IndexHead.objects.filter(snapshot=OuterRef("pk"))))

    @admin.display(description="serving", boolean=True)
    def is_serving(self, snapshot: Any) -> bool:
        return snapshot.head

    @admin.display(description="segments")
    def segment_count(self, snapshot: IndexSnapshot) -> int:
        return len(snapshot.segments)


@admin.register(IndexHead)
class IndexHeadAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "epoch", "token", "token_until")
    list_select_related = ("snapshot",)


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "seen_at", "detail")
    list_filter = ("kind",)
    ordering = ("-seen_at",)


@admin.register(RankerVersion)
class RankerVersionAdmin(admin.ModelAdmin):
    """Weights are edited here. The action chooses the version that orders answers, of which there is one at a time."""

    actions = ("activate_selected_ranker",)
    fields = ("name", "kind", "weights", "state", "metrics", "created_at")
    list_display = ("name", "kind", "state", "weights", "created_at")
    readonly_fields = ("kind", "state", "metrics", "created_at")
    formfield_overrides: ClassVar = {JSONField: {"form_class": ReadableJSONField}}

    def save_model(self, request: HttpRequest, obj: RankerVersion, form: ModelForm, change: bool) -> None:
        # The features are those that have a weight, so nobody should have to type them twice.
        obj.features = list(obj.weights)
        super().save_model(request, obj, form, change)

    def has_delete_permission(self, request: HttpRequest, obj: RankerVersion | None = None) -> bool:
        # Without an active row answers would silently fall back to the built-in weights.
        if obj is not None and obj.is_active:
            return False
        return super().has_delete_permission(request, obj)

    @admin.action(description="Order answers by this ranker", permissions=["change"])
    def activate_selected_ranker(self, request: HttpRequest, queryset: QuerySet[RankerVersion]) -> None:
        # Two are enough to know that more than one was chosen; none is there where it was deleted meanwhile.
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one ranker.", messages.ERROR)
            return
        try:
            activate_ranker(chosen[0])
        except WeightsInvalid as exc:
            self.message_user(request, str(exc), messages.ERROR)
        else:
            self.message_user(request, f"Answers are ordered by {chosen[0].name} now.", messages.SUCCESS)


def add_action_to_pages(model: type[Model], action: Callable[..., None]) -> None:
    """Add an action to pages that another app registered."""
    pages = admin.site.get_model_admin(model)
    # A new list, because appending to the one on the class would change every page that inherits it.
    pages.actions = [*(pages.actions or ()), action]
    pages.has_embed_permission = lambda request: may_embed_again(request.user)  # type: ignore[attr-defined]


add_action_to_pages(Listing, requeue_photos_of_listings)
add_action_to_pages(ListingImage, requeue_selected_photos)
