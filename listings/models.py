"""What sellers publish, keys of their requests, and tokens. A photo's bytes never change: a new file is a new row."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.storage import Storage, storages
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import DatabaseError, models, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from .finding.filterable import ListingStatus
from .finding.geo import snap_to_grid
from .finding.words import WordsField, is_visible
from .limits.waits import wait_briefly
from .querysets import SEPARATOR, WORDS, CategoryQuerySet, ListingQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# Code that takes a category from outside checks these first, so that people read a sentence and no database error.
NAME_LENGTH, PATH_LENGTH = 120, 500

# The last use of a token is written no more often, or each request would write.
USE_IS_NOTED = timedelta(minutes=1)

HALF_A_POINT = "Give both latitude and longitude, or neither."
INVISIBLE_TITLE = "Nobody can see these characters. Write what it is, in a few words."


def public_name(person: User) -> str:
    """What everybody may call somebody who sells: never their first and last name."""
    return person.get_username() if person.is_active else "a closed account"


class Category(models.Model):
    name = models.CharField(max_length=NAME_LENGTH)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    # The names from the root down, joined by SEPARATOR: a subtree is one indexed prefix, without recursion in SQL.
    path = models.CharField(max_length=PATH_LENGTH, unique=True, editable=False)

    objects = CategoryQuerySet.as_manager()

    class Meta:
        ordering = ["path"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.path

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the materialised path true, for this row and for everything below it."""
        old, self.path = self.path, self.expected_path()
        # A crash between the two writes would leave children whose paths lead to no parent.
        with transaction.atomic():
            super().save(*args, **kwargs)
            if old and old != self.path:
                below = list(Category.objects.subtree(old))
                for child in below:
                    child.path = self.path + child.path[len(old) :]
                Category.objects.bulk_update(below, ["path"])

    def clean(self) -> None:
        if SEPARATOR in self.name:
            raise ValidationError({"name": f"A name may not contain '{SEPARATOR}': it separates levels."})
        above = self.parent
        while above is not None:
            if above.pk == self.pk:
                raise ValidationError({"parent": "A category cannot be moved below itself."})
            above = above.parent
        # The unique index refuses the same path too, but with a message about a column that no form shows.
        clash = Category.objects.filter(path=self.expected_path()).exclude(pk=self.pk)
        if clash.exists():
            raise ValidationError({"name": f"'{self.expected_path()}' exists already."})

    def expected_path(self) -> str:
        return f"{self.parent.path}{SEPARATOR}{self.name}" if self.parent else self.name

    @property
    def root_name(self) -> str:
        return self.path.split(SEPARATOR, 1)[0]


class Listing(models.Model):
    Status: TypeAlias = ListingStatus

    # PROTECT: deleting an account must not take listings, and with them photos and vectors, along unnoticed.
    seller = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="listings")
    # NULL and not "": a unique index holds any number of NULLs, but only one empty string.
    external_id = models.CharField(
        max_length=64, null=True, blank=True, unique=True, help_text="The row's id in the catalogue it came from."
    )
    title = models.CharField(max_length=200)
    title_words = WordsField("title")
    description = models.TextField(blank=True, max_length=10_000)
    description_words = WordsField("description")
    price = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, help_text="Empty: not stated. 0: free."
    )
    category = models.ForeignKey(Category, models.PROTECT, null=True, blank=True, related_name="listings")
    location = models.CharField(max_length=120, blank=True)
    latitude = models.FloatField(null=True, blank=True, validators=[MinValueValidator(-90), MaxValueValidator(90)])
    longitude = models.FloatField(null=True, blank=True, validators=[MinValueValidator(-180), MaxValueValidator(180)])
    status = models.CharField(max_length=8, choices=Status, default=Status.ACTIVE)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ListingQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        # One index for each column that the public list is sorted by; the id at the end lets a page find its first row.
        indexes = [
            models.Index(fields=["status", "-created_at", "-id"], name="listing_status_created"),
            models.Index(fields=["status", "price", "id"], name="listing_status_price"),
        ]
        # Forms and serializers check the same and explain it; these constraints hold for bulk updates and raw SQL too.
        constraints = [
            models.CheckConstraint(
                condition=Q(price__isnull=True) | Q(price__gte=0), name="listing_price_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(latitude__isnull=True, longitude__isnull=True)
                | Q(latitude__range=(-90, 90), longitude__range=(-180, 180)),
                name="listing_point_on_earth",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        if update_fields is not None:
            named = set(update_fields)
            update_fields = named | {words for text, words in WORDS.items() if text in named}
        super().save(*args, update_fields=update_fields, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("listing", args=[self.pk])

    def clean(self) -> None:
        if (self.latitude is None) != (self.longitude is None):
            raise ValidationError(HALF_A_POINT)
        if self.price is not None and self.price < 0:
            raise ValidationError({"price": "A price cannot be negative."})
        if self.title and not is_visible(self.title):
            raise ValidationError({"title": INVISIBLE_TITLE})

    @property
    def seller_name(self) -> str:
        return public_name(self.seller)

    @property
    def photos(self) -> list[ListingImage]:
        """By position; without a query, and as they were then, where the listing was read with `with_details()`."""
        loaded: list[ListingImage] | None = self.__dict__.get("loaded_photos")
        return list(self.images.all()) if loaded is None else loaded

    @property
    def point(self) -> tuple[float, float] | None:
        """The public place: a point of the 1 km grid."""
        if self.latitude is None or self.longitude is None:
            return None
        return snap_to_grid(self.latitude, self.longitude)


def find_seller_name(seller_id: int) -> str | None:
    """The public name of somebody with listings that anybody may open; nobody else is named by a number."""
    public = Listing.objects.filter(seller=seller_id, status__in=[ListingStatus.ACTIVE, ListingStatus.SOLD])
    listing = public.select_related("seller").order_by("pk").first()
    return listing.seller_name if listing else None


def originals_storage() -> Storage:
    return storages["originals"]


def original_path(image: ListingImage, filename: str) -> str:
    """A name that cannot be guessed, in one of 256 folders, so that no folder holds millions of files."""
    # Only the suffix of the sender's file name is kept: the rest may be anything, and may tell who took the photo.
    return f"{uuid.uuid4().hex[:2]}/{uuid.uuid4().hex}{PurePosixPath(filename).suffix.lower()[:6]}"


class ListingImage(models.Model):
    class State(models.TextChoices):
        NEW = "new"
        READY = "ready"
        REJECTED = "rejected"

    class Source(models.TextChoices):
        UPLOAD = "upload"
        IMPORT = "import"

    listing = models.ForeignKey(Listing, models.CASCADE, related_name="images")
    original = models.FileField(storage=originals_storage, upload_to=original_path, max_length=200)
    position = models.PositiveSmallIntegerField(default=0)
    # Indexed, because workers look up equal photos by this hash, so that the same bytes are embedded once.
    sha256 = models.CharField(max_length=64, db_index=True, editable=False)
    width = models.PositiveIntegerField(null=True, editable=False)
    height = models.PositiveIntegerField(null=True, editable=False)
    clean_file = models.FileField(upload_to="clean", blank=True, editable=False, max_length=200)
    thumb_file = models.FileField(upload_to="thumb", blank=True, editable=False, max_length=200)
    state = models.CharField(max_length=8, choices=State, default=State.NEW, editable=False)
    reason = models.CharField(max_length=200, blank=True, editable=False)
    source = models.CharField(max_length=6, choices=Source, default=Source.UPLOAD, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["position", "id"]
        indexes = [
            models.Index(fields=["listing", "position", "id"], name="image_listing_position"),
            # A file is asked for by its name, and whoever serves it looks up whose it is.
            models.Index(fields=["clean_file"], name="image_clean_file"),
            models.Index(fields=["thumb_file"], name="image_thumb_file"),
        ]

    def __str__(self) -> str:
        return f"photo {self.pk} of listing {self.listing_id}"


class ImportedPhoto(models.Model):
    """A catalogue photo that was imported once; the row outlives the photo, so what a seller deleted stays deleted."""

    external_id = models.CharField(max_length=255, unique=True)
    listing = models.ForeignKey(Listing, models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return f"imported photo {self.external_id}"


class RequestKeyRow(models.Model):
    """What a request with an `Idempotency-Key` made, so that the same request makes nothing again (`sent_again`)."""

    digest = models.CharField(max_length=64, primary_key=True)
    content = models.CharField(max_length=64)
    # No foreign key: the row outlives the listing, or the request that made it would make it once more.
    listing_id = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        db_table = "listings_requestkey"
        verbose_name = "request key"

    def __str__(self) -> str:
        return f"a request about listing {self.listing_id}"


class AccessToken(models.Model):
    """What opens the API to a program. Its holder alone knows the token; a hash of it finds the row."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    beginning = models.CharField(max_length=8, help_text="By which its owner knows it again.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="access_tokens")
    created_at = models.DateTimeField(default=timezone.now)
    # A token that was never used was last used when it was made.
    used_at = models.DateTimeField("last used", default=timezone.now)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.beginning}… of {self.user}"

    @property
    def expires_at(self) -> datetime:
        return self.used_at + timedelta(days=settings.TOKEN_DAYS)

    @classmethod
    def usable(cls) -> models.QuerySet[AccessToken]:
        """Those of open accounts that were used lately enough."""
        since = timezone.now() - timedelta(days=settings.TOKEN_DAYS)
        return cls.objects.filter(used_at__gte=since, user__is_active=True)

    @classmethod
    def find_usable(cls, token: str) -> AccessToken | None:
        return cls.usable().select_related("user").filter(digest=cls.hash_token(token)).first()

    @staticmethod
    def hash_token(token: str) -> str:
        """One round without a salt hides what is random and long; a slow hash would cost each request."""
        return hashlib.sha256(token.encode()).hexdigest()

    def note_use(self) -> None:
        now = timezone.now()
        # Also where a wrong clock left it ahead; a clock that says a time before the token was made is wrong itself.
        is_ahead = self.created_at <= now < self.used_at - USE_IS_NOTED
        if is_ahead or self.used_at < now - USE_IS_NOTED:
            # Whoever only reads is answered on, and at once, also while nothing can be written.
            with suppress(DatabaseError), wait_briefly():
                AccessToken.objects.filter(pk=self.pk, used_at=self.used_at).update(used_at=now)
