"""What a model's first snapshot must pass before the model may ever answer from it."""

from __future__ import annotations

import numpy as np
from django.conf import settings

from recommender import feed
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.storage.snapshot import Snapshot
from recommender.index.view import database_rows
from recommender.index.view.apply_changes import apply_changes, make_state
from recommender.index.view.state import State

SAMPLED_ROWS = 16  # of each segment; few, because the search for each of them compares the whole segment
FEED_LIMIT = 100_000


class SnapshotRejected(RuntimeError):
    """A snapshot is not what the database and the model say it should be, so it must not be published."""


def validate_snapshot(base: Snapshot) -> None:
    """Count the snapshot's rows against the searchable vectors, and search it for vectors it holds.

    Raises: SnapshotRejected.
    """
    state = _catch_up_and_check_row_count(base)
    recall = measure_self_recall(state)
    if recall < 1:
        raise SnapshotRejected(f"{recall:.0%} of photos in the index of {base.model_version} find themselves")


def _catch_up_and_check_row_count(base: Snapshot) -> State:
    """The snapshot caught up with the feed, if it has as many rows then as the database has searchable vectors.

    Raises: SnapshotRejected.
    """
    page = feed.read_page(base.position, base.model_id, FEED_LIMIT)
    state = make_state(base)
    for ids in database_rows.split_ids_into_pages(page.listings):
        state = apply_changes(state, ids, page.vectors.intersection(ids))
    searchable = database_rows.find_searchable_embeddings(base.model_id).count()
    # People edit while this counts. The numbers may differ by all photos of the listings they edited, and no more.
    edited = feed.read_page(page.position, base.model_id, FEED_LIMIT)
    if abs(state.rows - searchable) > settings.PHOTOS_PER_LISTING * len(edited.listings):
        raise SnapshotRejected(
            f"the index of {base.model_version} holds {state.rows} photos of {base.dim} dimensions, "
            f"the database {searchable} with a vector"
        )
    return state


def measure_self_recall(state: State) -> float:
    """The share of sampled vectors of the base that a search finds again.

    Photos that look alike have nearly equal vectors, so the nearest row need not be the vector's own: it counts as
    found if the nearest is no less similar than the vector is to itself.
    """
    found = []
    for part in state.base.parts:
        sample = np.linspace(0, len(part.segment) - 1, min(SAMPLED_ROWS, len(part.segment))).astype(np.int64)
        everything = RowBitmap(np.ones(len(part.segment), bool))
        for vector in part.segment.vectors[sample]:
            similarity, _, _ = part.segment.find_nearest_rows(vector, 1, everything, exact=True)
            own = float(np.square(vector.astype(np.float32)).sum())
            found.append(len(similarity) > 0 and float(similarity[0]) >= own - 1e-3)
    return float(np.mean(found)) if found else 1.0
