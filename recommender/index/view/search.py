"""Finds the listings of a state that are most similar to some vectors, among those that pass a filter."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from listings.finding.filterable import Filter
from recommender.index.ann import dot_products
from recommender.index.ann.probing import EXACT, SegmentPlan
from recommender.index.errors import ForeignVector
from recommender.index.rows.arrays import HalfVectors, RowIds, Similarities, Vectors
from recommender.index.rows.filter import filter_selection, mask_rows
from recommender.index.rows.row_bitmap import RowBitmap

from .candidates import Candidates, FoundRows, build_best_candidates, read_column
from .state import DELTA, State

SPARE_ROWS = 8  # rows fetched beyond what k listings have on average: the nearest may have more photos than most
WIDEN_FACTOR = 4  # each round searches anew, so where too few listings were found the next one fetches many more rows


@dataclass
class FetchedRows:
    """What the parts gave so far: rows, how each part was searched, whether that was all, and the similarity below
    which more may hide."""

    found: list[FoundRows] = field(default_factory=list)
    plan: list[tuple[int, SegmentPlan]] = field(default_factory=list)
    exhausted: bool = True
    floor: float = -math.inf

    def add_rows(self, part: int, similarity: Similarities, rows: RowIds, *, more: bool) -> None:
        """Rows of one part, best first; `more`: there are others, none of them more similar."""
        self.found.append(FoundRows(similarity, np.full(len(rows), part), rows))
        # A part that has more rows and gave none holds no similarity that is a number, so nothing can hide there.
        if more and len(rows):
            self.exhausted, self.floor = False, max(self.floor, float(similarity[-1]))


def find_nearest_listings(
    state: State,
    vectors: Vectors | HalfVectors,
    k: int,
    where: Filter,
    exclude: Collection[int] = (),
    *,
    model_id: int | None = None,
    exact: bool = False,
) -> Candidates:
    """The k listings most similar to any of the vectors, among those that pass; k whenever k exist.

    vectors: float[m, dim], L2-normalised, made by the model `model_id` (None: certainly the state's); compared at the
    precision that vectors are stored in
    exclude: listing ids left out
    exact: compare every row that passes, whatever it takes
    A listing's similarity is the best cosine between any vector and any of its photos.
    Raises: ForeignVector where the model or the dimension is not the state's.
    """
    queries = dot_products.to_float16(vectors)
    _refuse_foreign_vectors(state, queries, model_id)
    passing, own = _select_rows(state, where, exclude)
    count = math.ceil(k * state.rows_per_listing) + SPARE_ROWS
    while True:
        fetched = _fetch_rows(state, queries, count, passing, own, exact=exact)
        best = _keep_best_row_of_each_listing(state, _concatenate_found_rows(fetched.found), fetched.floor)
        if fetched.exhausted or len(best.row) >= k:
            return build_best_candidates(state, best, k, _describe_plan(state, fetched.plan))
        # Many of the rows were of the same listings, which count once.
        count *= WIDEN_FACTOR


def _refuse_foreign_vectors(state: State, queries: HalfVectors, model_id: int | None) -> None:
    if model_id not in (None, state.model_id):
        raise ForeignVector(f"a vector of model {model_id} cannot be compared under {state.model_version}")
    if queries.shape[1] != state.dim:
        raise ForeignVector(f"a vector of {queries.shape[1]} dimensions cannot be compared under {state.model_version}")


def _select_rows(state: State, where: Filter, exclude: Collection[int]) -> tuple[list[RowBitmap], RowIds]:
    """The rows of each part that pass, and the delta rows that hold their own vector and pass."""
    excluded = np.unique(np.fromiter(exclude, np.int64, len(exclude)))
    delta, selections = state.delta, []
    delta_passes = mask_rows(where, delta.columns)
    delta_passes[delta.columns.rows_of(excluded)] = False
    pointing = np.flatnonzero(delta_passes & (delta.slot < 0))
    for number, (part, live_rows) in enumerate(zip(state.base.parts, state.live_rows, strict=True)):
        columns = part.segment.columns
        of_status = live_rows.with_status(where.status_numbers, columns)
        # This bitmap is kept for many searches, and those that leave out a few more rows derive their counts from it.
        part.segment.warm_filter_cache(of_status)
        selection = filter_selection(where, columns, of_status)
        # Rows of changed listings are not live, but the delta still points to the vectors of some that pass.
        kept = pointing[delta.part[pointing] == number]
        selections.append(selection.with_changes(add=delta.row[kept], remove=columns.rows_of(excluded)))
    return selections, np.flatnonzero(delta_passes & (delta.slot >= 0))


def _fetch_rows(
    state: State, queries: HalfVectors, count: int, passing: list[RowBitmap], own: RowIds, *, exact: bool
) -> FetchedRows:
    """About the best `count` rows of each part for each query (float16[m, dim])."""
    fetched = FetchedRows()
    for number, (part, selection) in enumerate(zip(state.base.parts, passing, strict=True)):
        if not selection.count:
            continue
        for query in queries:
            similarity, rows, plan = part.segment.find_nearest_rows(query, count, selection, exact=exact)
            fetched.add_rows(number, similarity, rows, more=selection.count > count)
            fetched.plan.append((number, plan))
    for similarity in state.delta.chunks.inner_products(queries, state.delta.slot[own]):
        top = dot_products.top_k(similarity, count)
        fetched.add_rows(DELTA, similarity[top], own[top], more=len(own) > count)
    if len(own):
        fetched.plan.append((DELTA, SegmentPlan(EXACT, len(own), len(own))))
    return fetched


def _keep_best_row_of_each_listing(state: State, found: FoundRows, floor: float) -> FoundRows:
    """The best row of each listing, best first, down to the floor: below it an unseen row could be better."""
    order = np.argsort(-found.similarity, kind="stable")
    found = found.select_rows(order[found.similarity[order] >= floor])
    _, first = np.unique(read_column(state, "listing", found), return_index=True)
    return found.select_rows(np.sort(first))


def _describe_plan(state: State, plan: list[tuple[int, SegmentPlan]]) -> tuple[dict[str, object], ...]:
    # `asdict` would copy deeply, and take ten times as long as `vars`.
    return tuple(
        {"place": "delta" if part == DELTA else state.base.parts[part].segment.name, **vars(step)}
        for part, step in plan
    )


def _concatenate_found_rows(found: list[FoundRows]) -> FoundRows:
    return FoundRows(
        np.concatenate([one.similarity for one in found]),
        np.concatenate([one.part for one in found]).astype(np.int64),
        np.concatenate([one.row for one in found]).astype(np.int64),
    )
