"""Listings, photos and people as the API takes and gives them.

What is given is written out in `to_representation`, with the names that the fields declare: a list has twenty listings
with their photos, and asking each field for its value takes twice as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.storage import FileSystemStorage
from django.db.models.fields.files import FieldFile
from django.http import HttpRequest
from django.utils.encoding import filepath_to_uri
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request

from listings.finding.words import is_visible
from listings.models import HALF_A_POINT, INVISIBLE_TITLE, Listing, ListingImage, public_name
from listings.permissions import may_change_all, may_view_all
from listings.services import create_listing, update_listing

from .fields import CategoryPathField, CoordinateField, CurrencyField
from .numbers import PRICE_MESSAGES, StrictDecimalField

# One field for all listings, because making a field costs more than using it.
CSRF = "csrfmiddlewaretoken"
MOMENT = serializers.DateTimeField()


class Links:
    """Whole addresses for an answer. A list has sixty, so what is the same in all of them is asked for once."""

    def __init__(self, request: Request | HttpRequest) -> None:
        self._request = request
        self._site = request.build_absolute_uri("/").removesuffix("/")

    def absolute_url(self, url: str) -> str:
        """`url` is quoted, and begins with a slash or is whole already."""
        is_path = url.startswith("/") and not url.startswith("//")
        return self._site + url if is_path else self._request.build_absolute_uri(url)

    def file_url(self, file: FieldFile) -> str | None:
        if not file:
            return None
        storage, path = file.storage, filepath_to_uri(file.name)
        # The same address as `file.url`, in half the time. A storage that overrides `url` may sign its addresses, so
        # that one is asked for each of them.
        if isinstance(storage, FileSystemStorage) and storage.__class__.url is FileSystemStorage.url and path:
            return self.absolute_url(f"{storage.base_url}{path.lstrip('/')}")
        return self.absolute_url(file.url)


class SellerSerializer(serializers.ModelSerializer):
    name = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ["id", "name"]
        read_only_fields = ["id"]

    def get_name(self, user: User) -> str:
        return public_name(user)

    def to_representation(self, instance: User) -> dict[str, object]:
        return {"id": instance.pk, "name": self.get_name(instance)}


class ImageSerializer(serializers.ModelSerializer):
    """A photo. `thumb` and `clean` stay null until a worker has made them."""

    thumb = serializers.SerializerMethodField(help_text="JPEG, longest side 320 pixels.")
    clean = serializers.SerializerMethodField(help_text="JPEG, longest side 512 pixels, upright, without metadata.")

    class Meta:
        model = ListingImage
        fields = ["id", "state", "reason", "thumb", "clean", "width", "height", "position"]
        read_only_fields = fields

    def get_thumb(self, image: ListingImage) -> str | None:
        return self._links.file_url(image.thumb_file)

    def get_clean(self, image: ListingImage) -> str | None:
        return self._links.file_url(image.clean_file)

    @cached_property
    def _links(self) -> Links:
        return Links(self.context["request"])

    def to_representation(self, instance: ListingImage) -> dict[str, object]:
        return {
            "id": instance.pk,
            "state": instance.state,
            "reason": instance.reason,
            "thumb": self.get_thumb(instance),
            "clean": self.get_clean(instance),
            "width": instance.width,
            "height": instance.height,
            "position": instance.position,
        }


class StrictSerializer(serializers.Serializer):
    """Refuses what it has no field for, by name; fields that can only be read may be sent back, and change nothing."""

    def to_internal_value(self, data: object) -> dict[str, object]:
        # A browser's form carries its token against forgery in a field of its own.
        unknown = [name for name in data if name not in {*self.fields, CSRF}] if isinstance(data, Mapping) else []
        if unknown:
            known = ", ".join(name for name, field in self.fields.items() if not field.read_only)
            sentence = f"There is no such field. This call takes: {known}."
            raise serializers.ValidationError({str(name)[:80]: [sentence] for name in unknown})
        return super().to_internal_value(data)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A listing",
            value={
                "title": "Oak chair",
                "description": "Solid oak, one scratch on the left arm.",
                "price": "45.00",
                "currency": "GBP",
                "category": "Home & Garden / Furniture / Chairs",
                "location": "Leeds",
                "latitude": 53.7997,
                "longitude": -1.5492,
                "status": "active",
            },
            request_only=True,
        )
    ]
)
class ListingSerializer(StrictSerializer, serializers.ModelSerializer):
    """A listing as this caller may see it: exact coordinates and unfinished photos are for its seller and staff who
    may view listings."""

    url = serializers.SerializerMethodField(help_text="The page people open.")
    price = StrictDecimalField(
        max_digits=12,
        decimal_places=2,
        min_value=0,
        required=False,
        allow_null=True,
        error_messages=dict(PRICE_MESSAGES),
        help_text="Null: not stated. 0: free.",
    )
    currency = CurrencyField(required=False, help_text="The site's currency; any other is refused.")
    category = CategoryPathField(
        required=False,
        allow_null=True,
        help_text="Path such as `Home & Garden / Furniture / Chairs`. Staff who may add categories "
        "create a missing one by sending it.",
    )
    latitude = CoordinateField(
        min_value=-90,
        max_value=90,
        required=False,
        allow_null=True,
        help_text="Degrees. In lists, and for everybody but the seller and staff who may view listings, "
        "a point of the 1 km grid.",
    )
    longitude = CoordinateField(
        min_value=-180, max_value=180, required=False, allow_null=True, help_text="As `latitude`."
    )
    seller = SellerSerializer(read_only=True)
    images = serializers.SerializerMethodField(
        help_text="By position. Photos that are not ready are shown only to the seller and to "
        "staff who may view listings."
    )

    class Meta:
        model = Listing
        fields = [
            "id",
            "url",
            "title",
            "description",
            "price",
            "currency",
            "category",
            "location",
            "latitude",
            "longitude",
            "status",
            "seller",
            "created_at",
            "images",
        ]
        read_only_fields = ["id", "created_at"]

    def get_url(self, listing: Listing) -> str:
        return self._links.absolute_url(listing.get_absolute_url())

    @extend_schema_field(ImageSerializer(many=True))
    def get_images(self, listing: Listing) -> list[dict[str, object]]:
        # Other callers get only photos that they can load; these see what becomes of the rest too.
        own = self._is_own_or_viewable(listing)
        shown = [image for image in listing.photos if own or image.state == ListingImage.State.READY]
        return [self._photo_serializer.to_representation(image) for image in shown]

    def to_representation(self, instance: Listing) -> dict[str, object]:
        latitude, longitude = instance.point or (None, None)
        if self.context.get("exact_point") and self._is_own_or_viewable(instance):
            latitude, longitude = instance.latitude, instance.longitude
        return {
            "id": instance.pk,
            "url": self.get_url(instance),
            "title": instance.title,
            "description": instance.description,
            "price": None if instance.price is None else f"{instance.price:.2f}",
            "currency": settings.MARKETPLACE_CURRENCY,
            "category": instance.category.path if instance.category else None,
            "location": instance.location,
            "latitude": latitude,
            "longitude": longitude,
            "status": instance.status,
            "seller": self._seller_serializer.to_representation(instance.seller),
            "created_at": MOMENT.to_representation(instance.created_at),
            "images": self.get_images(instance),
        }

    @cached_property
    def _links(self) -> Links:
        return Links(self.context["request"])

    @cached_property
    def _seller_serializer(self) -> SellerSerializer:
        return SellerSerializer(context=self.context)

    @cached_property
    def _photo_serializer(self) -> ImageSerializer:
        return ImageSerializer(context=self.context)

    def _is_own_or_viewable(self, listing: Listing) -> bool:
        user = self.context["request"].user
        return user.is_authenticated and (listing.seller_id == user.pk or may_view_all(user))

    def validate_title(self, title: str) -> str:
        if not is_visible(title):
            raise serializers.ValidationError(INVISIBLE_TITLE)
        return title

    def validate_status(self, status: str) -> str:
        if status == Listing.Status.REMOVED and not may_change_all(self.context["request"].user):
            raise serializers.ValidationError("Delete the listing to remove it.")
        return status

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        # CurrencyField has checked the currency, and there is no such column to save it in.
        attrs.pop("currency", None)
        # A PATCH may send one coordinate alone, which then makes a point with the other one of the row.
        point = [attrs.get(name, getattr(self.instance, name, None)) for name in ("latitude", "longitude")]
        if point.count(None) == 1:
            missing = "latitude" if point[0] is None else "longitude"
            raise serializers.ValidationError({missing: HALF_A_POINT})
        return attrs

    def create(self, validated_data: dict[str, object]) -> Listing:
        return create_listing(self.context["request"].user, validated_data)

    def update(self, instance: Listing, validated_data: dict[str, object]) -> Listing:
        return update_listing(instance, self.context["request"].user, validated_data)


class UploadSerializer(serializers.Serializer):
    images = serializers.ListField(
        child=serializers.FileField(), help_text="Repeat the field for several photos, at most 10 for a listing."
    )


class UploadedPhotoSerializer(serializers.Serializer):
    """What became of one file of an upload; a refused one has no id."""

    id = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=ListingImage.State.choices)
    reason = serializers.CharField(help_text="Why it was refused, or what its seller should know; else empty.")
    code = serializers.CharField(help_text="The same for programs; empty otherwise.")
    thumb = serializers.URLField(allow_null=True, help_text="Null until a worker has made it.")
    position = serializers.IntegerField(allow_null=True)


class ErrorSerializer(serializers.Serializer):
    detail = serializers.CharField(help_text="A sentence for a person: what is wrong, and what to do.")
    code = serializers.CharField(help_text="A word for programs.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="With 400, where parameters or fields are wrong: the sentences about each.",
    )
