"""Compares the served index with the database: every file, every row, every column, every byte of a vector.

Of the other models' lineages only the files are checked: their rows are compared once they answer.

It reads and changes nothing, so it can run on a live site. A difference counts only if it is still there after
catching up with the feed, because people edit meanwhile. `repair_differences` is a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from django.db import transaction
from django.db.models import Exists, OuterRef

from listings.models import ListingImage
from ml.catalogue.counts import describe_count
from ml.inference.arrays import is_indexable
from recommender import feed, lineage
from recommender.index.errors import IndexNotReady, SnapshotDamaged
from recommender.index.storage import segment
from recommender.index.storage.snapshot import segment_directory
from recommender.index.view.reader import Index
from recommender.models import Embedding, EmbeddingModel

from .compactor import rebuild
from .compare_rows import compare_rows
from .difference import Difference, difference_from_error
from .outcome import CompactionOutcome

# Rows may differ because somebody is editing them. So after catching up with the feed, those that differed are compared
# again, this many times at most.
RECHECKS = 3

# A delta that is full takes no more changes in, and each of them would look like a difference. So here it is never
# full.
UNLIMITED = 10**9


def verify() -> list[Difference]:
    """Everything in which index and database differ; empty when all is well."""
    return [*_compare_served_index(), *_find_unusable_vectors()]


def repair_differences(differences: list[Difference], rebuild_index: Callable[[], CompactionOutcome] = rebuild) -> str:
    """Repair what `verify` found, calling `rebuild_index` where files must be written anew; says what it did."""
    if not differences:
        return "nothing to repair"
    kinds = {difference.kind for difference in differences}
    if kinds == {"unreadable"}:
        return "nothing is repaired while files cannot be opened: let this user read them, or allow it more open files"
    if kinds & {"snapshot", "file"}:
        actions = rebuild_index().actions
        return f"rebuilding the index from the database: {', '.join(actions)}"
    listings = sorted({difference.listing for difference in differences if difference.listing is not None})
    unusable = [difference.image for difference in differences if difference.kind == "unusable"]
    model = EmbeddingModel.objects.active().get()
    with transaction.atomic():
        Embedding.objects.filter(model=model, image_id__in=unusable).update(state=Embedding.State.PENDING, vector=None)
        feed.append_vector_changes(listings, model.pk)
    return f"put {describe_count(len(listings), 'listing')} back into the feed"


def _compare_served_index() -> list[Difference]:
    index = Index(capacity=UNLIMITED)
    try:
        index.refresh()
    except (SnapshotDamaged, IndexNotReady) as exc:
        return [difference_from_error("snapshot", exc, str(exc)), *_find_unqueued_photos()]
    found = [
        *_find_lasting_file_damage(index),
        *_check_files_of_other_lineages(index.get_state().model_id),
        *_find_unqueued_photos(),
        *_compare_rows_repeatedly(index),
    ]
    return sorted(found, key=str)


def _compare_rows_repeatedly(index: Index) -> list[Difference]:
    """The differences that are still there after catching up with the feed."""
    found = list(compare_rows(index.get_state()))
    for _ in range(RECHECKS):
        if found:
            index.refresh()
            found = list(compare_rows(index.get_state(), {difference.listing for difference in found}))
    return found


def _find_lasting_file_damage(index: Index) -> list[Difference]:
    files = list(_find_damaged_files(index))
    # A compaction may have replaced the snapshot and deleted its files while they were read, so damage counts only if
    # it is still there after a refresh.
    if files:
        try:
            index.refresh()
        except (SnapshotDamaged, IndexNotReady) as exc:
            return [*files, difference_from_error("snapshot", exc, str(exc))]
        files = list(_find_damaged_files(index))
    return files


def _check_files_of_other_lineages(served: int) -> Iterator[Difference]:
    """Files of the models that do not answer now; their rows are compared once they do."""
    for model in EmbeddingModel.objects.live().in_indexing_order():
        if model.pk != served and lineage.published_snapshots(model.pk).exists():
            index = Index(capacity=UNLIMITED, lineage_of=model.pk)
            try:
                index.refresh()
            except (SnapshotDamaged, IndexNotReady) as exc:
                yield difference_from_error("snapshot", exc, f"{model.version}: {exc}")
            else:
                yield from _find_lasting_file_damage(index)


def _find_damaged_files(index: Index) -> Iterator[Difference]:
    state, problem = index.get_state(), index.health().problem
    if problem:
        yield Difference("snapshot", None, None, problem)
    for part in state.base.parts:
        directory = segment_directory(part.segment.name)
        try:
            damaged = segment.find_damaged_files(directory, segment.read_manifest(directory))
        except SnapshotDamaged as exc:
            yield difference_from_error("file", exc, str(exc))
            continue
        for name in damaged:
            yield Difference("file", None, None, f"{directory / name} is missing or altered")


def _find_unqueued_photos() -> Iterator[Difference]:
    """Photos that a live model has no queue row for, so that it would never embed them."""
    for model in EmbeddingModel.objects.live():
        has_row = Embedding.objects.filter(image=OuterRef("pk"), model=model)
        photos = ListingImage.objects.exclude(state=ListingImage.State.REJECTED).filter(~Exists(has_row))
        for listing, image in photos.values_list("listing_id", "pk"):
            yield Difference("unqueued", listing, image, f"no queue row under {model.version}")


def _find_unusable_vectors() -> Iterator[Difference]:
    """Stored vectors of the wrong length, not finite, or not of unit length: they must never be indexed."""
    model = EmbeddingModel.objects.find_active()
    if model is None:
        return
    stored = Embedding.objects.filter(model=model, vector__isnull=False).order_by("pk")
    for listing, image, vector in stored.values_list("image__listing_id", "image_id", "vector").iterator(1000):
        content = vector or b""
        if len(content) != model.dim * 2 or not is_indexable(np.frombuffer(content, np.float16)[np.newaxis]).all():
            yield Difference("unusable", listing, image, f"not a unit vector of {model.dim} dimensions")
