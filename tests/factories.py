"""People, categories, listings and drawn photos for tests: plain functions, sensible values, nothing random."""

from __future__ import annotations

import hashlib
import io
import itertools

import numpy as np
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image, ImageDraw
from rest_framework.test import APIClient

from listings.models import Category, Listing, ListingImage
from listings.querysets import SEPARATOR

_serial = itertools.count(1)
# Seeds that no test names begin here: a photo that a test sends must not be one that the listing has already.
UNNAMED = 1_000_000


def make_user(username: str | None = None, *, staff: bool = False, password: str | None = None) -> User:
    """Without a password the person can only be logged in by force, which is fast. `staff` may do everything."""
    name = username or f"person{next(_serial)}"
    return User.objects.create_user(name, password=password, is_staff=staff, is_superuser=staff)


def make_staff(*rights: str) -> User:
    """Somebody who enters the admin, and was given these permissions alone, such as "listings.view_listing"."""
    user = User.objects.create_user(f"staff{next(_serial)}", is_staff=True)
    give_rights(user, *rights)
    return user


def give_rights(user: User, *rights: str) -> None:
    for app, codename in (right.split(".") for right in rights):
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))


def make_category(path: str) -> Category:
    """The category at a path such as "Home / Chairs", made with everything above it."""
    category = None
    for name in path.split(SEPARATOR):
        category, _ = Category.objects.get_or_create(name=name, parent=category)
    assert category is not None
    return category


def make_listing(seller: User | None = None, **fields) -> Listing:
    """An active listing; `category` may be a path."""
    if isinstance(fields.get("category"), str):
        fields["category"] = make_category(fields["category"])
    fields.setdefault("title", f"Listing {next(_serial)}")
    return Listing.objects.create(seller=seller or make_user(), **fields)


def draw_photo(seed: int = 0, size: tuple[int, int] = (96, 72), format: str = "JPEG", **options) -> bytes:  # noqa: A002
    """The bytes of a drawn picture: two colours and a shape that follow from the seed."""
    rng = np.random.default_rng(seed)
    ground, ink = (tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2))
    # Two alike would make a picture of one colour, which is refused.
    if max(abs(a - b) for a, b in zip(ground, ink, strict=True)) < 40:
        ink = tuple((value + 128) % 256 for value in ground)
    image = Image.new("RGB", size, ground)
    left, top = (int(side * share) for side, share in zip(size, rng.uniform(0.05, 0.4, 2), strict=True))
    right, bottom = (int(side * share) for side, share in zip(size, rng.uniform(0.6, 0.95, 2), strict=True))
    shape = (ImageDraw.ImageDraw.ellipse, ImageDraw.ImageDraw.rectangle)[seed % 2]
    shape(ImageDraw.Draw(image), (left, top, right, bottom), fill=ink)
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def draw_plain_photo(
    colour: tuple[int, ...] = (255, 255, 255),
    size: tuple[int, int] = (320, 240),
    format: str = "JPEG",  # noqa: A002
    **options,
) -> bytes:
    """The bytes of a picture of one colour; one of four numbers has transparency as its last."""
    out = io.BytesIO()
    Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour).save(out, format, **options)
    return out.getvalue()


def photo_file(seed: int = 0, name: str = "photo.jpg", **options) -> SimpleUploadedFile:
    """A drawn picture as a form posts it."""
    return SimpleUploadedFile(name, draw_photo(seed, **options), "image/jpeg")


def make_image(listing: Listing, seed: int | None = None, *, data: bytes | None = None, **fields) -> ListingImage:
    """A photo of a listing with its original file, waiting to be embedded unless `state` says more."""
    data = data or draw_photo(UNNAMED + next(_serial) if seed is None else seed)
    fields.setdefault("sha256", hashlib.sha256(data).hexdigest())
    fields.setdefault("position", listing.images.count())
    image = ListingImage(listing=listing, **fields)
    image.original.save("photo.jpg", ContentFile(data), save=False)
    image.save()
    return image


def make_ready_image(listing: Listing, seed: int | None = None, **fields) -> ListingImage:
    """A photo whose derivatives are made; they are drawn, not decoded, so no worker is needed."""
    image = make_image(listing, seed, state=ListingImage.State.READY, width=96, height=72, **fields)
    image.clean_file.save("clean.jpg", ContentFile(draw_photo(image.pk)), save=False)
    image.thumb_file.save("thumb.jpg", ContentFile(draw_photo(image.pk)), save=False)
    image.save(update_fields=["clean_file", "thumb_file"])
    return image


def api(user: User | None = None) -> APIClient:
    """A REST client of this person, or of a visitor."""
    client = APIClient()
    client.force_authenticate(user)
    return client
