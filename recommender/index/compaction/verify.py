"""Compares the served index with the database: every file, every row, every column, every vector byte.

Of the other models' lines only the files are checked.

Read-only. A difference counts only if it is still there after catching up with the feed, so that a live site verifies
clean while people edit. `repair_differences` is a separate step fed by the findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.db.models import Exists, OuterRef

from listings.models import ListingImage
from ml.inference.vectors import is_indexable
from recommender import feed, lineage
from recommender.index.errors import IndexNotReady, SnapshotDamaged, SnapshotUnreadable
from recommender.index.rows.columns import DTYPES, Columns
from recommender.index.storage import segment
from recommender.index.storage.snapshot import segment_directory
from recommender.index.view import database_rows
from recommender.index.view.reader import Index
from recommender.index.view.state import State
from recommender.models import Embedding, EmbeddingModel

from .compactor import Outcome, rebuild

RECHECKS = 3


@dataclass(frozen=True, order=True)
class Difference:
    """`kind`: snapshot, file, missing, extra, doubled, a column's name, vector, unqueued or unusable."""

    kind: str
    listing: int | None
    image: int | None
    detail: str

    def __str__(self) -> str:
        where = f" listing {self.listing} photo {self.image}:" if self.listing is not None else ""
        return f"{self.kind}:{where} {self.detail}"


def verify() -> list[Difference]:
    """Everything in which index and database differ, and damaged files of other lines; empty when all is well."""
    index = Index(capacity=10**9)
    try:
        index.refresh()
    except (SnapshotDamaged, IndexNotReady) as exc:
        return [_describe_error("snapshot", exc, str(exc)), *_queue_differences()]
    found = [*_check_files(index), *_check_other_lineages(index.state().model_id), *_queue_differences()]
    suspects = {difference.listing for difference in _row_differences(index.state())}
    for _ in range(RECHECKS):
        if not suspects:
            break
        index.refresh()
        again = list(_row_differences(index.state(), suspects))
        suspects = {difference.listing for difference in again}
    else:
        found += again
    return sorted(found, key=str)


def repair_differences(differences: list[Difference], rebuild_index: Callable[[], Outcome] = rebuild) -> str:
    """Mend what `verify` found, rebuilding by `rebuild_index`; says what it did."""
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
        Embedding.objects.filter(model=model, image_id__in=unusable).update(state="pending", vector=None)
        feed.append_vectors(listings, model.pk)
    return f"put {len(listings)} listings back into the feed"


def _check_files(index: Index) -> list[Difference]:
    files = list(_file_differences(index))
    if files:  # a compaction may have replaced the snapshot while it was read
        try:
            index.refresh()
        except (SnapshotDamaged, IndexNotReady) as exc:
            return [*files, _describe_error("snapshot", exc, str(exc))]
        files = list(_file_differences(index))
    return files


def _check_other_lineages(served: int) -> Iterator[Difference]:
    """Files of the models that do not answer now; their rows are compared once they do."""
    for model in EmbeddingModel.objects.live().in_indexing_order():
        if model.pk != served and lineage.published(model.pk).exists():
            index = Index(capacity=10**9, line=model.pk)
            try:
                index.refresh()
            except (SnapshotDamaged, IndexNotReady) as exc:
                yield _describe_error("snapshot", exc, f"{model.version}: {exc}")
            else:
                yield from _check_files(index)


def _file_differences(index: Index) -> Iterator[Difference]:
    state, problem = index.state(), index.health()["problem"]
    if problem:
        yield Difference("snapshot", None, None, problem)
    for part in state.base.parts:
        directory = segment_directory(part.segment.name)
        try:
            damaged = segment.damaged_files(directory, segment.read_manifest(directory))
        except SnapshotDamaged as exc:
            yield _describe_error("file", exc, str(exc))
            continue
        for name in damaged:
            yield Difference("file", None, None, f"{directory / name} is missing or altered")


def _describe_error(kind: str, exc: Exception, detail: str) -> Difference:
    """Of this kind, unless the files may be whole and it is this process that cannot open them."""
    unreadable = any(isinstance(one, SnapshotUnreadable) for one in (exc, exc.__cause__))
    return Difference("unreadable" if unreadable else kind, None, None, detail)


def _queue_differences() -> Iterator[Difference]:
    """Photos that a live model has no queue row for, and stored vectors that cannot be searched."""
    for model in EmbeddingModel.objects.live():
        has_row = Embedding.objects.filter(image=OuterRef("pk"), model=model)
        photos = ListingImage.objects.exclude(state="rejected").filter(~Exists(has_row))
        for listing, image in photos.values_list("listing_id", "pk"):
            yield Difference("unqueued", listing, image, f"no queue row under {model.version}")


def _row_differences(state: State, only: set[int | None] | None = None) -> Iterator[Difference]:
    """Compare page by page, the expected rows read from the database and the held rows of the same listings."""
    held = _collect_rows(state)
    pages = [np.zeros(0, np.int64)]
    for expected, vectors in _read_expected(state, only):
        ids = np.unique(expected.listing)
        pages.append(ids)
        yield from _compare(state, held, expected, vectors, ids)
    known = np.concatenate(pages)
    stray = ~np.isin(held.columns.listing, known)
    for listing, image in zip(held.columns.listing[stray].tolist(), held.columns.image[stray].tolist(), strict=True):
        if only is None or listing in only:
            yield Difference("extra", listing, image, "in the index, not searchable in the database")


def _read_expected(state: State, only: set[int | None] | None) -> Iterator[tuple[Columns, list[bytes]]]:
    if only is None:
        for columns, vectors in database_rows.read_all(state.model_id, state.dim):
            yield columns, [vector.tobytes() for vector in vectors]
        return
    for page in database_rows.pages([pk for pk in only if pk is not None]):
        columns = database_rows.read_columns(state.model_id, page)
        stored = database_rows.read_vectors(state.model_id, columns.image.tolist(), state.dim)
        yield columns, [stored[image].tobytes() if image in stored else b"" for image in columns.image.tolist()]


@dataclass(frozen=True)
class _IndexedRows:
    """All rows of a state in one sorted table; `part` and `row` say where each vector is (-1: the delta's slot)."""

    columns: Columns
    part: np.ndarray
    row: np.ndarray


def _collect_rows(state: State) -> _IndexedRows:
    tables, parts, places = [], [], []
    for number, (part, live_rows) in enumerate(zip(state.base.parts, state.live_rows, strict=True)):
        at = np.flatnonzero(live_rows.mask)
        tables.append(part.segment.columns.take(at))
        parts.append(np.full(len(at), number))
        places.append(at)
    delta = state.delta
    tables.append(delta.columns)
    parts.append(delta.part)
    places.append(np.where(delta.slot >= 0, delta.slot, delta.row))
    columns = Columns.concatenate(tables)
    order = columns.order()
    return _IndexedRows(columns.take(order), np.concatenate(parts)[order], np.concatenate(places)[order])


def _compare(
    state: State, held: _IndexedRows, expected: Columns, vectors: list[bytes], ids: np.ndarray
) -> Iterator[Difference]:
    at = held.columns.rows_of(ids)
    places: dict[tuple[int, int], int] = {}
    for row in at.tolist():
        key = (int(held.columns.listing[row]), int(held.columns.image[row]))
        if key in places:
            yield Difference("doubled", *key, "the row is in the index twice")
        places[key] = row
    for number, vector in enumerate(vectors):
        key = (int(expected.listing[number]), int(expected.image[number]))
        place = places.pop(key, None)
        if place is None:
            yield Difference("missing", *key, "searchable in the database, not in the index")
            continue
        for name in DTYPES:
            has, want = getattr(held.columns, name)[place], getattr(expected, name)[number]
            if not np.array_equal(has, want, equal_nan=True):
                yield Difference(name, *key, f"index has {has}, database has {want}")
        if _indexed_vector(state, held, place) != vector:
            yield Difference("vector", *key, "the bytes differ from the database's")
    for key in places:
        yield Difference("extra", *key, "in the index, not searchable in the database")


def _indexed_vector(state: State, held: _IndexedRows, place: int) -> bytes:
    part, row = int(held.part[place]), int(held.row[place])
    if part < 0:
        return state.delta.chunks.take(np.array([row]))[0].tobytes()
    return state.base.parts[part].segment.vectors[row].tobytes()


def unusable_vectors() -> Iterator[Difference]:
    """Stored vectors of the wrong length, not finite, or not of unit length: they must never be indexed."""
    model = EmbeddingModel.objects.find_active()
    if model is None:
        return
    stored = Embedding.objects.filter(model=model, vector__isnull=False).order_by("pk")
    for listing, image, vector in stored.values_list("image__listing_id", "image_id", "vector").iterator(1000):
        content = vector or b""
        if len(content) != model.dim * 2 or not is_indexable(np.frombuffer(content, np.float16)[np.newaxis]).all():
            yield Difference("unusable", listing, image, f"not a unit vector of {model.dim} dimensions")
