"""The vocabulary of listing queries. Each filter has the same meaning here and in the index."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from .geo import KM_PER_DEGREE

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


class CategoryQuerySet(models.QuerySet):
    def subtree(self, path: str) -> CategoryQuerySet:
        """The category at this path and everything below it."""
        return self.filter(Q(path=path) | Q(path__startswith=f"{path} / "))


class ListingQuerySet(models.QuerySet):
    def public(self) -> ListingQuerySet:
        """What anybody may find in lists and answers."""
        return self.filter(status="active")

    def visible_to(self, user: User | AnonymousUser) -> ListingQuerySet:
        """What this person may open: staff all, owners their own, others active and sold."""
        if user.is_staff:
            return self
        readable = Q(status__in=("active", "sold"))
        if user.is_authenticated:
            readable |= Q(seller=user) & ~Q(status="removed")
        return self.filter(readable)

    def editable_by(self, user: User | AnonymousUser) -> ListingQuerySet:
        if user.is_staff:
            return self
        return self.filter(seller=user).exclude(status="removed") if user.is_authenticated else self.none()

    def near(self, latitude: float, longitude: float, radius_km: float) -> ListingQuerySet:
        """A bounding box around the circle; the caller refines the corners."""
        dlat = radius_km / KM_PER_DEGREE
        dlon = radius_km / (KM_PER_DEGREE * max(0.01, math.cos(math.radians(latitude))))
        return self.filter(
            latitude__range=(latitude - dlat, latitude + dlat), longitude__range=(longitude - dlon, longitude + dlon)
        )
