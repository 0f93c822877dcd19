"""The vocabulary of listing queries. Each filter has the same meaning here and in the index."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F, Prefetch, Q, Value
from django.db.models.functions import Cos, Floor, Greatest, Least, Left, Lower, Power, Radians, Sin, StrIndex
from django.db.models.lookups import Exact, GreaterThan, In

from .finding.filterable import Filter, ListingStatus, Lookup
from .finding.geo import CELL_SLACK_KM, KM_PER_DEGREE, SMALLEST_COSINE, box_around, haversine_of_distance
from .finding.words import fold_words
from .permissions import may_change_all, may_view_all

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

ACTIVE, SOLD, REMOVED = ListingStatus.ACTIVE.value, ListingStatus.SOLD.value, ListingStatus.REMOVED.value


# The texts that searches by words look into, and the columns that hold their words.
WORDS = {"title": "title_words", "description": "description_words"}
# As many words of a query are looked for, because each is compared with every listing.
MAX_WORDS = 10

# No name of a category may contain this separator (`Category.clean`), so a path can be split into its names again.
SEPARATOR = " / "


def status_condition(*statuses: str) -> Q:
    """The condition on rows that are found by id.

    In an expression, no index fits the status: SQLite, which plans without statistics, would read the whole index of
    what is on sale for the sake of a few rows.
    """
    return Q(In(Lower("status"), statuses))


class CategoryQuerySet(models.QuerySet):
    def subtree(self, path: str) -> CategoryQuerySet:
        """The category at this path and everything below it."""
        # The prefix ends with the separator, or "Homeware" would count as below "Home". It is compared letter by
        # letter: LIKE, which `startswith` becomes on SQLite, would count "HOME / Chairs" as below "Home" too.
        prefix = path + SEPARATOR
        return self.filter(Q(path=path) | Q(Exact(Left("path", len(prefix)), prefix)))


class ListingQuerySet(models.QuerySet):
    def update(self, **changes: object) -> int:
        """As Django's; words follow their texts, as they do where a row is saved."""
        for name in WORDS.keys() & changes.keys():
            if WORDS[name] not in changes:
                text = changes[name]
                if not isinstance(text, str):
                    raise TypeError(f"Only a database knows the words of an expression: write {name} as text.")
                changes[WORDS[name]] = fold_words(text)
        return super().update(**changes)

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_update(self, objs: Iterable[Any], fields: Iterable[str], batch_size: int | None = None) -> int:
        rows, texts = list(objs), WORDS.keys() & set(fields)
        for row in rows:
            for name in texts:
                setattr(row, WORDS[name], fold_words(getattr(row, name)))
        return super().bulk_update(rows, [*fields, *(WORDS[name] for name in texts)], batch_size)

    bulk_update.alters_data = True  # type: ignore[attr-defined]

    def with_words(self, query: str) -> ListingQuerySet:
        """Listings whose title or description has all these words, or words that begin with them, in any order."""
        # Each part is folded by itself: "t-shirt" is two words, and has to stand in the text as it is written.
        parts = [words for part in query.split() if (words := fold_words(part))][:MAX_WORDS]
        rows = self if parts or not query.strip() else self.none()
        for words in parts:
            rows = rows.filter(_holds("title_words", words) | _holds("description_words", words))
        return rows

    def refold_words(self) -> int:
        """Write the words of texts that a program of an older version has written, which knows nothing of words.

        Returns how many listings had other words.
        """
        changed = 0
        for pk, title, description, *words in self.values_list("pk", *WORDS, *WORDS.values()).iterator():
            folded = [fold_words(title), fold_words(description)]
            if folded != words:
                same = type(self)(self.model, using=self.db).filter(pk=pk, title=title, description=description)
                changed += same.update(**dict(zip(WORDS.values(), folded, strict=True)))
        return changed

    refold_words.alters_data = True  # type: ignore[attr-defined]

    def public(self) -> ListingQuerySet:
        """What anybody may find in lists and answers."""
        return self.filter(status=ACTIVE)

    def visible_to(self, user: User | AnonymousUser) -> ListingQuerySet:
        """What this person may open, among rows found by id: active and sold ones, owners their own, moderators all."""
        readable = status_condition(ACTIVE, SOLD)
        if not user.is_authenticated:
            return self.filter(readable)
        return self.all() if may_view_all(user) else self.filter(readable | Q(seller=user) & ~Q(status=REMOVED))

    def shown_in_lists_to(self, user: User | AnonymousUser) -> ListingQuerySet:
        """What this person finds in lists: as `visible_to`, but other people's sold listings only open by id."""
        if not user.is_authenticated:
            return self.public()
        return self.all() if may_view_all(user) else self.filter(Q(status=ACTIVE) | Q(seller=user) & ~Q(status=REMOVED))

    def editable_by(self, user: User | AnonymousUser) -> ListingQuerySet:
        if not user.is_authenticated:
            return self.none()
        return self.all() if may_change_all(user) else self.filter(seller=user).exclude(status=REMOVED)

    def with_details(self) -> ListingQuerySet:
        """With everything a listing shows, in two queries for any number of listings."""
        # Not as `images`, because making a manager and a queryset for each listing takes longer than reading its row.
        photos = Prefetch("images", to_attr="loaded_photos")
        return self.select_related("seller", "category").prefetch_related(photos)

    def matching(self, where: Filter) -> ListingQuerySet:
        """Listings that pass every condition but the one on the status."""
        rows = self
        for condition, value in where.asked_conditions():
            if condition.lookup is Lookup.NEAR:
                (latitude, longitude), radius_km = value
                rows = rows.near(latitude, longitude, radius_km)
            else:
                rows = rows.filter(**{f"{condition.source_field}__{condition.lookup}": condition.in_database(value)})
        return rows

    def near(self, latitude: float, longitude: float, radius_km: float) -> ListingQuerySet:
        """Listings whose grid point lies in the circle; where in its cell a listing is decides nothing."""
        grid_latitude = Least(90.0, Greatest(-90.0, (Floor(F("latitude") * KM_PER_DEGREE) + 0.5) / KM_PER_DEGREE))
        width = 1 / KM_PER_DEGREE / Greatest(SMALLEST_COSINE, Cos(Radians(F("grid_latitude"))))
        grid_longitude = Least(
            180.0, Greatest(-180.0, (Floor(F("longitude") / F("cell_width")) + 0.5) * F("cell_width"))
        )
        haversine = Power(Sin(Radians(F("grid_latitude") - latitude) / 2), 2) + Value(
            math.cos(math.radians(latitude))
        ) * Cos(Radians(F("grid_latitude"))) * Power(Sin(Radians(F("grid_longitude") - longitude) / 2), 2)
        return (
            self.filter(_box_condition(latitude, longitude, radius_km + CELL_SLACK_KM))
            .alias(grid_latitude=grid_latitude)
            .alias(cell_width=width)
            .alias(grid_longitude=grid_longitude)
            .alias(haversine=haversine)
            .filter(haversine__lte=haversine_of_distance(radius_km))
        )


def _holds(column: str, words: str) -> Q:
    # In place of LIKE, which on SQLite folds case once more.
    return Q(GreaterThan(StrIndex(column, Value(words)), 0))


def _box_condition(latitude: float, longitude: float, radius_km: float) -> Q:
    """A cheap first cut around the circle; none in longitude where the circle meets a pole or the date line."""
    south, north, west, east = box_around((latitude, longitude), radius_km)
    box = Q(latitude__range=(south, north), longitude__isnull=False)
    return box & Q(longitude__range=(west, east)) if math.isfinite(west) else box
