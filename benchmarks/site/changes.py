"""The writer of the churn benchmark: edits, removes and adds listings at a steady pace, from one process.

`python -m benchmarks.site.changes JSON` prints "ready" and begins when the clients begin. It prints a line for each
change that is watched, after its commit, and at last one that says what it did. Half of the changes edit price and
title, a quarter removes a listing, a quarter adds one with its vector, as the embedding worker stores it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import django
import numpy as np

from benchmarks.index.rows import OTHERS, load_source

from .catalogue import is_asked_about, status_of_listing
from .clients import STARTING_SECONDS

if TYPE_CHECKING:
    from recommender.models import EmbeddingModel

KINDS = ("edit", "remove", "edit", "add")
ADDED_TOGETHER = 5  # new listings in a transaction, as in a small micro-batch
UNIQUE_PRICE = 1_000_000  # from here on each watched listing has a price of its own, by which it is found
SEEN_SECONDS = 3.0  # a watched removal is of a listing shown for so long, or it might be gone before it was seen


class Writer:
    """Makes the changes, of listings that no client asks about."""

    def __init__(self, model: EmbeddingModel, task: dict[str, Any]) -> None:
        from django.contrib.auth.models import User

        from listings.models import Category

        self._model = model
        self._watch_every = task["watch_every"]
        self._random = np.random.default_rng(4)
        pool = [n for n in range(1, task["rows"] + 1) if status_of_listing(n) == "active" and not is_asked_about(n)]
        self._pool = deque(self._random.permutation(pool).tolist())
        added = int(task["rate"] * task["seconds"] / len(KINDS)) + ADDED_TOGETHER
        self._vectors = iter(load_source(model.dim).make_block(OTHERS, 0, added))
        self._seller = User.objects.get_or_create(username="churn")[0]
        self._categories = list(Category.objects.filter(children=None).values_list("pk", flat=True))
        self._shown: deque[tuple[float, int, float]] = deque()  # since when it has its price, listing, price
        self._prices = iter(range(UNIQUE_PRICE, 10 * UNIQUE_PRICE))
        self._done = dict.fromkeys(KINDS, 0)
        self._due = 0  # new listings that wait until a transaction has enough of them

    def make_change(self, kind: str) -> None:
        """Make one change; of each kind, one in so many is watched."""
        self._done[kind] += 1
        watched = self._done[kind] % self._watch_every == 0
        if kind == "edit":
            self._edit_listing(watched=watched)
        elif kind == "remove":
            self._remove_listing(watched=watched)
        else:
            self._due += 1
            if self._due == ADDED_TOGETHER:
                self._add_listings(self._due, watched=self._done[kind] % self._watch_every < ADDED_TOGETHER)
                self._due = 0

    @property
    def changes_made(self) -> int:
        return sum(self._done.values()) - self._due

    def _edit_listing(self, *, watched: bool) -> None:
        from listings.models import Listing

        listing = self._pool.popleft()
        price = next(self._prices) if watched else round(float(self._random.lognormal(3.7, 1.0)), 2)
        Listing.objects.filter(pk=listing).update(price=price, title=f"edited {self.changes_made}")
        if watched:
            _report_change("edit", listing, price)
            self._shown.append((time.monotonic(), listing, price))
        else:
            self._pool.append(listing)

    def _remove_listing(self, *, watched: bool) -> None:
        from listings.models import Listing

        price = None
        if watched and self._shown and time.monotonic() - self._shown[0][0] > SEEN_SECONDS:
            _, listing, price = self._shown.popleft()
        else:
            listing = self._pool.popleft()
        Listing.objects.filter(pk=listing).update(status=Listing.Status.REMOVED)
        if price is not None:
            _report_change("remove", listing, price)

    def _add_listings(self, count: int, *, watched: bool) -> None:
        """Add listings as the embedding worker stores them: vectors and feed rows in one transaction, photos ready."""
        from django.db import transaction

        from listings.models import Listing, ListingImage
        from recommender import feed
        from recommender.models import Embedding

        price = next(self._prices) if watched else 25
        with transaction.atomic():
            listings = Listing.objects.bulk_create(
                Listing(
                    seller=self._seller,
                    title="new",
                    price=price,
                    category_id=int(self._random.choice(self._categories)),
                )
                for _ in range(count)
            )
            photos = ListingImage.objects.bulk_create(
                ListingImage(
                    listing=listing, sha256=f"new{listing.pk:061d}", state="ready", thumb_file=f"thumb/{listing.pk}.jpg"
                )
                for listing in listings
            )
            for photo in photos:
                Embedding.objects.filter(image=photo, model=self._model).update(
                    state=Embedding.State.DONE, vector=next(self._vectors).tobytes()
                )
            feed.append_vector_changes([listing.pk for listing in listings], self._model.pk)
        if watched:
            _report_change("add", listings[-1].pk, price)


def _report_change(kind: str, listing: int, price: float) -> None:
    print(json.dumps({"kind": kind, "listing": listing, "price": price, "at": time.monotonic()}), flush=True)


def _ring_repeatedly(every: float, stop: threading.Event) -> None:
    """Ring the indexing worker every so many seconds, which is more often than beat does."""
    from workers.indexing import compact_index

    while not stop.wait(every):
        compact_index.apply_async(expires=every)


def _count_compactions(after: int) -> dict[str, int]:
    """How many snapshots were published since, by how they came about.

    A merge has the position in the feed of the snapshot before it; a rebuild shares no segment with that.
    """
    from recommender.models import IndexSnapshot

    rows = list(IndexSnapshot.objects.filter(pk__gte=after).order_by("pk").values_list("position", "segments"))
    counted = {"flushes": 0, "merges": 0, "rebuilds": 0}
    for (position, before), (next_position, segments) in pairwise(rows):
        shared = {segment["name"] for segment in before} & {segment["name"] for segment in segments}
        kind = "merges" if position == next_position else "flushes" if shared else "rebuilds"
        counted[kind] += 1
    return counted


def _count_at_rate(seconds: float, rate: float) -> Iterator[int]:
    """Yield numbers at this rate; those that are late come at once, so that the rate is kept on the whole."""
    start, number = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield number
        number += 1


def main() -> None:
    from recommender.models import EmbeddingModel, IndexSnapshot

    task = json.loads(sys.argv[1])
    writer = Writer(EmbeddingModel.objects.active().get(), task)
    newest = IndexSnapshot.objects.latest("pk").pk
    print("ready", flush=True)
    time.sleep(STARTING_SECONDS)
    stop = threading.Event()
    if task["ring_seconds"]:
        threading.Thread(target=_ring_repeatedly, args=(task["ring_seconds"], stop), daemon=True).start()
    start = time.monotonic()
    for number in _count_at_rate(task["seconds"], task["rate"]):
        writer.make_change(KINDS[number % len(KINDS)])
    seconds = time.monotonic() - start
    stop.set()
    figures = {
        "changes": writer.changes_made,
        "changes_per_s": round(writer.changes_made / seconds, 1),
        **_count_compactions(newest),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    django.setup()
    main()
