"""A request that is sent again, because its answer was lost on the way, makes nothing a second time.

A client names a create with a key of its own: `Idempotency-Key` over REST, a hidden field in a form. The key's row is
written in the transaction of what it made, so there is either both or neither, and of two requests at once one waits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from listings.models import Listing, RequestKeyRow
from listings.services import ListingGone, create_listing

if TYPE_CHECKING:
    from django.contrib.auth.models import User

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
# Longer than any client tries again; then the row goes.
KEPT = timedelta(days=7)


class KeyReused(Exception):
    """The key came with another request before."""


class BadKey(Exception):
    """The key is none; the message is for whoever sent it."""


@dataclass(frozen=True)
class RequestKey:
    """What a request is known by: hashes, so that a row has one length and tells nobody a key."""

    digest: str
    content: str

    @classmethod
    def of(cls, user_id: int | None, action: str, key: str, content: object = "") -> RequestKey:
        """`content` is what the request asks for: with the same key it has to be the same."""
        # With the account, so that a key that somebody else has seen is worth nothing to them.
        return cls(_hash([user_id, action, key]), _hash(content))

    @classmethod
    def from_header(cls, header: str, user_id: int | None, action: str, content: object) -> RequestKey:
        # Quotes are how the header's draft standard writes it; most clients leave them out.
        key = header.strip().removeprefix('"').removesuffix('"')
        if not (key and len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            raise BadKey(f"{HEADER} is 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID.")
        return cls.of(user_id, action, key, content)

    def find_listing_id(self) -> int | None:
        """The listing that an earlier request with this key made; None for the first one."""
        row = RequestKeyRow.objects.filter(digest=self.digest).first()
        if row is not None and row.content != self.content:
            raise KeyReused
        return None if row is None else row.listing_id

    def record(self, listing: Listing) -> None:
        """To be called in the transaction of what the request makes; `IntegrityError` where another one was first."""
        RequestKeyRow.objects.create(digest=self.digest, content=self.content, listing_id=listing.pk)

    @contextmanager
    def claim(self, listing: Listing) -> Iterator[None]:
        """For what is never made twice anyhow: only refuse a key that came with other content.

        What is refused or fails within leaves a new key free.
        """
        row, is_new = RequestKeyRow.objects.get_or_create(
            digest=self.digest, defaults={"content": self.content, "listing_id": listing.pk}
        )
        if row.content != self.content:
            raise KeyReused
        try:
            yield
        except Exception:
            if is_new:
                # The caller has to hear of the first trouble; a key that stays is good for the same content.
                with suppress(DatabaseError):
                    row.delete()
            raise


def create_listing_once(seller: User, fields: dict[str, object], key: RequestKey) -> tuple[Listing, bool]:
    """A new listing, or the one that a request with this key made before; and whether it is new.

    Raises:
        KeyReused: the key came with other content.
        ListingGone: what it made is gone.
    """
    try:
        if (made := key.find_listing_id()) is None:
            with transaction.atomic():
                listing = create_listing(seller, fields)
                key.record(listing)
            return listing, True
    except IntegrityError:
        # The unique key decides which of two simultaneous requests makes the listing; any other trouble is passed on.
        if (made := key.find_listing_id()) is None:
            raise
    # What was removed is gone also for a seller who may look at what is removed.
    there = Listing.objects.visible_to(seller).exclude(status=Listing.Status.REMOVED)
    present = there.with_details().filter(pk=made).first()
    if present is None:
        raise ListingGone
    return present, False


def forget_old_keys() -> None:
    RequestKeyRow.objects.filter(created_at__lt=timezone.now() - KEPT).delete()


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
