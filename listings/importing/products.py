"""One batch of products becomes sellers, categories and listings: a constant number of queries, one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import transaction

from listings.models import Category, Listing
from listings.services import ensure_category
from ml.catalogue.findings import Finding

from .rows import Product

# The prefix keeps sellers of a catalogue apart from people of the same name who have signed up.
SELLER_PREFIX = "seller-"


def save_new_products(products: Sequence[Product]) -> tuple[int, int, list[Finding]]:
    """Make the listings that are not there yet, leave the others as they are; how many were made and were there."""
    with transaction.atomic():
        there = set(
            Listing.objects.filter(external_id__in=[product.id for product in products]).values_list(
                "external_id", flat=True
            )
        )
        new = [product for product in products if product.id not in there]
        if new:
            sellers = ensure_users({SELLER_PREFIX + product.seller for product in new})
            categories = ensure_categories({product.category for product in new if product.category})
            Listing.objects.bulk_create(
                [
                    build_listing(product, sellers[SELLER_PREFIX + product.seller], categories.get(product.category))
                    for product in new
                ]
            )
    return len(new), len(there), []


def build_listing(product: Product, seller: User, category: Category | None) -> Listing:
    latitude, longitude = product.point or (None, None)
    return Listing(
        seller=seller,
        external_id=product.id,
        title=product.title,
        description=product.description,
        price=product.price,
        category=category,
        location=product.location,
        latitude=latitude,
        longitude=longitude,
        status=product.status,
        created_at=product.created_at,
    )


def ensure_users(names: set[str]) -> dict[str, User]:
    """The people of these names; a new one has no password, so nobody can sign in as them."""
    people = {user.username: user for user in User.objects.filter(username__in=names)}
    if missing := sorted(names - people.keys()):
        # Another import may make the same people at this moment; the one that comes second takes them as they are.
        User.objects.bulk_create(
            [User(username=name, password=make_password(None)) for name in missing], ignore_conflicts=True
        )
        people |= {user.username: user for user in User.objects.filter(username__in=missing)}
    return people


def ensure_categories(paths: set[str]) -> dict[str, Category]:
    # Categories are few and stay, so after the first batches one query finds all of them.
    there = {category.path: category for category in Category.objects.filter(path__in=paths)}
    return there | {path: ensure_category(path) for path in sorted(paths - there.keys())}
