"""Brings a state up to date: carries out what `plan_refresh` decides, and remembers what it needs to know next time."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from recommender import feed
from recommender.errors import ModelNotReady
from recommender.index.errors import SnapshotDamaged
from recommender.index.model_hooks import get_model_hooks
from recommender.lineage import find_snapshot_model_id
from recommender.models import EmbeddingModel, IndexHead

from . import database_rows
from .apply_changes import apply_changes, make_state
from .opening import (
    Opened,
    open_head_snapshot,
    open_newest_snapshot,
    open_snapshot_in_background,
    open_successor_with_embedder,
)
from .plan_refresh import Attempt, Outcome, Successor, Target, plan_refresh
from .state import State

FEED_ROWS_PER_ROW = 5  # changes read for each row that the delta may hold: many change a row that is in it already


@dataclass
class Memory:
    """What one refresh leaves for the next, besides the state.

    `fallback_reason` says why another snapshot than the wanted one is served, `wanted` which one was looked up to be
    served.
    """

    successor: Future[Opened] | None = None
    attempt: Attempt | None = None
    fallback_reason: str | None = None
    wanted: Target | None = None


class Refresher:
    """Holds the newest state (None before the first refresh); whoever calls `refresh` sees to it that nobody else does.

    `capacity` and `lineage_of` are those of `Index`.
    """

    def __init__(self, capacity: int, lineage_of: int | None) -> None:
        self.state: State | None = None
        self._capacity = capacity
        self._lineage_of = lineage_of
        self._memory = Memory()

    @property
    def fallback_reason(self) -> str | None:
        return self._memory.fallback_reason

    def refresh(self, on_page: Callable[[], None], *, in_background: bool) -> None:
        """Catch up with the feed, and with the head or the lineage. `in_background`: open successors on a thread.

        Raises: SnapshotDamaged, IndexNotReady, ModelNotReady, django.db.Error; the state stays what it was.
        """
        state = self.state
        if state is None:
            self._catch_up_and_serve(self._open_wanted_snapshot(or_earlier=True), on_page)
            return
        page = self._read_feed(state.position, state.model_id)
        served, wanted = Target(state.snapshot_id, state.model_id), self._find_wanted_target(state, page)
        can_advance = _can_advance(state, page)
        outcome = plan_refresh(
            served,
            wanted,
            can_advance=can_advance,
            follows_head=self._lineage_of is None,
            successor=_successor_status(self._memory.successor),
            attempt=self._memory.attempt,
            now=time.monotonic(),
        )
        opened = None
        if outcome is Outcome.ADVANCE:
            # The head may have come back before another snapshot could be opened, which nobody wants any more.
            self._memory = Memory()
        elif outcome is not Outcome.WAIT:
            try:
                opened = self._open_next_snapshot(outcome, state, wanted, in_background=in_background)
            except (SnapshotDamaged, ModelNotReady) as exc:
                if not can_advance or self._lineage_of is not None:
                    raise
                self._memory.fallback_reason = str(exc)
        if opened is None:
            self._apply_page(state, page, on_page, publish=True)
        else:
            self._catch_up_and_serve(opened, on_page)

    def _read_feed(self, position: str, model_id: int) -> feed.Page:
        return feed.read_page(position, model_id, FEED_ROWS_PER_ROW * self._capacity)

    def _find_wanted_target(self, state: State, page: feed.Page) -> Target:
        """What should be served. A query is made only where that may be something else than what is."""
        snapshot_id = page.snapshot_id if self._lineage_of is None else page.newest_id
        if self._lineage_of is not None or (snapshot_id is not None and snapshot_id == state.snapshot_id):
            return Target(snapshot_id, state.model_id)
        if snapshot_id is not None:
            # While the wanted snapshot cannot be opened, every refresh comes here. Its model never changes, so one
            # query serves all of them.
            if self._memory.wanted is None or self._memory.wanted.snapshot_id != snapshot_id:
                self._memory.wanted = Target(snapshot_id, find_snapshot_model_id(snapshot_id))
            return self._memory.wanted
        # Before the first snapshot of all, the empty one of whatever model is active is served.
        is_active = EmbeddingModel.objects.active().filter(pk=state.model_id).exists()
        return Target(None, state.model_id if is_active else None)

    def _open_next_snapshot(
        self, outcome: Outcome, state: State, wanted: Target, *, in_background: bool
    ) -> Opened | None:
        """What follows the state; None while it is opened in the background."""
        successor, self._memory.successor = self._memory.successor, None
        if outcome is Outcome.TAKE_SUCCESSOR and successor is not None:
            return successor.result()
        self._memory.attempt = Attempt(wanted.snapshot_id, time.monotonic())
        if outcome is Outcome.RELOAD:
            return self._open_wanted_snapshot(or_earlier=False)
        work = partial(open_successor_with_embedder, state.model_id)
        if not in_background:
            return work()
        self._memory.successor = open_snapshot_in_background(work)
        return None

    def _open_wanted_snapshot(self, *, or_earlier: bool) -> Opened:
        # Segments that stay are taken over, because opening them again would mean to read their columns again.
        known = [part.segment for part in self.state.base.parts] if self.state else []
        if self._lineage_of is not None:
            return open_newest_snapshot(self._lineage_of, known)
        return open_head_snapshot(known, or_earlier=or_earlier)

    def _catch_up_and_serve(self, opened: Opened, on_page: Callable[[], None]) -> None:
        """Catch up from what was opened, then answer with it; the state before answers until then."""
        base, self._memory.fallback_reason = opened.base, opened.error
        if opened.error:
            self._memory.attempt = Attempt(IndexHead.load().snapshot_id, time.monotonic())
        page = self._read_feed(base.position, base.model_id)
        # Changes that were pruned from the feed while the files were opened are lost to this snapshot, so it is not
        # served: the next refresh opens a newer one.
        if page.epoch == base.epoch and feed.covers_horizon(base.position, page.horizon):
            self._apply_page(make_state(base, self.state), page, on_page, publish=False)
        get_model_hooks().evict_retired_models()

    def _apply_page(self, state: State, page: feed.Page, on_page: Callable[[], None], *, publish: bool) -> None:
        """Apply the page's changes, a bounded number of listings at a time; publish each state, or the last alone."""
        for ids in database_rows.split_ids_into_pages(page.listings):
            if len(state.delta) >= self._capacity:
                self.state = replace(state, behind=page.behind)
                return
            state = apply_changes(state, ids, page.vectors.intersection(ids))
            if len(state.delta.chunks) > self._capacity:
                state = replace(state, delta=state.delta.repack_chunks())
            if publish:
                self.state = replace(state, behind=page.behind)
            on_page()
        self.state = replace(state, position=page.position, behind=0 if page.complete else page.behind)


def _can_advance(state: State, page: feed.Page) -> bool:
    """Whether the state is of this history and has missed nothing that was pruned."""
    same_history = page.epoch == state.base.epoch and not feed.is_foreign_position(state.position, page.position)
    return same_history and feed.covers_horizon(state.position, page.horizon)


def _successor_status(successor: Future[Opened] | None) -> Successor | None:
    if successor is None:
        return None
    if not successor.done():
        return Successor(has_ended=False)
    return Successor(has_ended=True, model_id=None if successor.exception() else successor.result().base.model_id)
