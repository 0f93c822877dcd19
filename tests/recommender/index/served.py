"""What is served: the listings that searches find, and the segments that the newest snapshot names."""

from __future__ import annotations

import numpy as np

from listings.models import Listing
from recommender.index import Filter, Index, find_nearest_listings
from recommender.index.storage import segment
from recommender.index.storage.snapshot import segment_directory
from recommender.models import IndexSnapshot

from . import catalogue

EVERYTHING = Filter(statuses=("draft", "active", "sold"))
ON_SALE_OR_SOLD = Filter(statuses=("active", "sold"))


def found(index: Index, where: Filter = EVERYTHING, *, exact: bool = False) -> set[int]:
    """The listings that a search for ten thousand of them finds, in an index that has caught up."""
    return set(_search(index, where, exact=exact))


def listed(index: Index) -> list[int]:
    """What is on sale or sold, found by a search and sorted: a listing that is found twice is there twice."""
    return sorted(_search(index, ON_SALE_OR_SOLD))


def everything() -> set[int]:
    """What EVERYTHING should find, by the database."""
    return set(Listing.objects.exclude(status="removed").values_list("pk", flat=True))


def segment_names() -> list[str]:
    newest = IndexSnapshot.objects.last()
    assert newest is not None
    return [entry["name"] for entry in newest.segments]


def structure_kinds() -> set[str]:
    """How the segments of the newest snapshot are searched."""
    return {segment.read_manifest(segment_directory(name))["structure"]["kind"] for name in segment_names()}


def named_directories() -> set[str]:
    """Directories of files, of snapshots and of segments, that a published snapshot needs."""
    rows = IndexSnapshot.objects.filter(state="published").values_list("directory", "segments")
    return {directory for directory, _ in rows} | {entry["name"] for _, listed in rows for entry in listed}


def _search(index: Index, where: Filter, *, exact: bool = False) -> list[int]:
    index.refresh()
    state = index.get_state()
    query = catalogue.unit(0, state.dim).astype(np.float32)
    return find_nearest_listings(state, query, 10_000, where, exact=exact).listing.tolist()
