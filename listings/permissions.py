"""Who may do what with what is not their own. Every door asks here; the admin asks Django the same questions itself.

Everybody has the rights of a visitor, and over their own listings those of a seller. More than that only staff have
who were given Django's permission for it, by name or through a group: outside the admin, staff without any is an
ordinary person. Django looks permissions up once a request and person, and only where somebody is staff.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from django.apps import apps
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission

from .finding.filterable import ListingStatus

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User
    from django.db.models import Model
    from rest_framework.request import Request
    from rest_framework.views import APIView

    Person = User | AnonymousUser

UNKNOWN_CALLER = (
    "Invalid token: it expired, was ended, or never was one. POST your name and password to token/ to get one."
)


class Owned(Protocol):
    """A listing, as far as rights are concerned: whose it is, and whether it is public, a draft or removed."""

    seller_id: int
    status: str


def has_right(user: Person, *permissions: str) -> bool:
    """Whether this is staff who was given at least one of the permissions. Closed accounts have none."""
    return user.is_active and user.is_staff and any(user.has_perm(name) for name in permissions)


def may_view_all(user: Person) -> bool:
    """Everybody's drafts, removed listings and exact places. Who may change may view, as in the admin."""
    return has_right(user, "listings.view_listing", "listings.change_listing")


def may_change_all(user: Person) -> bool:
    """Everybody's listings: to edit, to publish, to add photos, to remove, and to take a removal back."""
    return has_right(user, "listings.change_listing")


def may_change(user: Person, listing: Owned) -> bool:
    """For one listing what `editable_by` is for all."""
    return _is_sellers_own(user, listing) or may_change_all(user)


def may_delete_photos(user: Person, listing: Owned) -> bool:
    return _is_sellers_own(user, listing) or has_right(user, "listings.delete_listingimage")


def may_view_pictures(user: Person, seller_id: int, status: str) -> bool:
    """The public files of a photo: as open as the page of its listing."""
    if status in (ListingStatus.ACTIVE, ListingStatus.SOLD):
        return True
    if user.pk == seller_id and status != ListingStatus.REMOVED:
        return True
    return may_view_all(user) or may_view_originals(user)


def may_view_originals(user: Person) -> bool:
    """What was sent, which may tell where a photo was taken."""
    return has_right(user, "listings.view_listingimage", "listings.change_listingimage")


def may_create_categories(user: Person) -> bool:
    return has_right(user, "listings.add_category")


def may_embed_again(user: Person) -> bool:
    """Photos of listings, whichever page of the admin that is asked on."""
    return has_right(user, "listings.change_listingimage")


def may_embed_any_photo(user: Person) -> bool:
    """The vector of a picture that belongs to no listing."""
    return has_right(user, "recommender.view_embeddingmodel", "recommender.change_embeddingmodel")


def may_take_model_steps(user: Person) -> bool:
    """Change embedding models, which is done by steps alone."""
    return has_right(user, "recommender.change_embeddingmodel")


def may_see_site_health(user: Person) -> bool:
    """What is wrong with the site, and which of its processes were heard of."""
    return has_right(user, "recommender.view_heartbeat")


def is_unlimited(user: Person) -> bool:
    """Whether no rate holds for this person: moderators work through many listings."""
    return may_view_all(user)


def _is_sellers_own(user: Person, listing: Owned) -> bool:
    return listing.seller_id == user.pk and listing.status != ListingStatus.REMOVED


class MayChangeListing(BasePermission):
    """Anybody who may see a listing reads it; to write is what `may_change` says."""

    message = "Only the seller of this listing, and staff who may change listings, can change it."

    def has_object_permission(self, request: Request, view: APIView, obj: Owned) -> bool:
        return request.method in SAFE_METHODS or may_change(request.user, obj)


class MayDeletePhotos(BasePermission):
    message = "Only the seller of this listing, and staff who may delete photos, can delete its photos."

    def has_object_permission(self, request: Request, view: APIView, obj: Owned) -> bool:
        return may_delete_photos(request.user, obj)


class MayEmbedAnyPhoto(BasePermission):
    message = "Only staff who may view embedding models can ask for the vector of a photo."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return may_embed_any_photo(request.user)


class TokenAuthentication(authentication.TokenAuthentication):
    """Who asks, where a program does: `Authorization: Token …`, by the hash of the token."""

    def authenticate_credentials(self, key: str) -> tuple[User, Model]:
        # By its name, because Django REST framework loads this module before there are models.
        token = apps.get_model("listings.AccessToken").find_usable(key)
        if token is None:
            raise AuthenticationFailed(UNKNOWN_CALLER)
        token.note_use()
        return token.user, token
