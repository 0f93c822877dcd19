"""One process's view of the index, kept fresh from the feed.

Refreshing happens on its own thread and connection, in autocommit, and swaps immutable states: no request waits for
it and no search sees half of it. A fault here stays here: the reader keeps the state it has, retries, and says so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from recommender import feed
from recommender.errors import ModelNotReady
from recommender.index.errors import IndexNotReady, RefreshInTransaction, SnapshotDamaged
from recommender.index.model_hooks import get_model_hooks
from recommender.lineage import is_of_another_model
from recommender.models import EmbeddingModel, IndexHead

from . import database_rows
from .apply_changes import absorb, fresh_state
from .opening import Opened, beside, open_head, open_newest, open_successor
from .state import State

logger = logging.getLogger(__name__)

FULL_RETRY_SECONDS = 1.0
FAULT_RETRY_SECONDS = 0.5
REOPEN_SECONDS = 5.0
STALE_SECONDS = 10


class Index:
    """`capacity` bounds the rows, and the vectors, that the delta may hold.

    It follows the head from model to model, or, for the compactor, the `line` of the model with this id.
    """

    def __init__(self, capacity: int | None = None, *, line: int | None = None) -> None:
        self._capacity = capacity or settings.INDEX_DELTA_ROWS
        self._line = line
        self._state: State | None = None
        self._lock = threading.Lock()
        self._refreshed_at = 0.0
        self._problem: str | None = None
        self._fault: str | None = None  # why another snapshot than the head's is served
        self._tried: int | None = None
        self._retry_at = 0.0
        self._successor: Future[Opened] | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._tick: Callable[[], None] = lambda: None

    def state(self) -> State:
        """The newest state. Without a refresher thread it is brought up to date here first, but in no transaction.

        Raises: IndexNotReady with a sentence for the operator.
        """
        if self._has_died():
            self._revive()
        stale = time.monotonic() - self._refreshed_at > settings.INDEX_REFRESH_MS / 1000
        if self._thread is None and stale and not connection.in_atomic_block:
            try:
                self.refresh()
            except (SnapshotDamaged, IndexNotReady) as exc:
                logger.warning("index not refreshed: %s", exc)
        if self._state is None:
            raise IndexNotReady(self._problem or "the index is being loaded")
        return self._state

    def refresh(self, tick: Callable[[], None] = lambda: None) -> None:
        """Catch up with the feed; single-flight. `tick` is called between steps, of which there may be many.

        Raises: RefreshInTransaction; SnapshotDamaged, IndexNotReady where nothing usable can be opened (the state
        stays what it was); django.db.Error.
        """
        if connection.in_atomic_block:
            raise RefreshInTransaction("refresh() inside a transaction could keep rows that never commit")
        with self._lock:
            close_old_connections()
            self._tick = tick
            try:
                self._refresh()
            except (SnapshotDamaged, IndexNotReady) as exc:
                self._problem = str(exc)
                raise
            self._problem = self._fault
            self._refreshed_at = time.monotonic()

    def health(self) -> dict[str, Any]:
        """usable, snapshot, model, rows, behind, seconds since the last refresh, and the problem in words."""
        state = self._state
        if state is None and self._thread is None:
            try:
                state = self.state()
            except IndexNotReady as exc:
                return {"usable": False, "snapshot": None, "rows": 0, "behind": 0, "problem": str(exc)}
        age = time.monotonic() - self._refreshed_at
        problem = self._problem
        if problem is None and self._thread is not None and state is not None and age > STALE_SECONDS:
            problem = f"the index has not been refreshed for {age:.0f} s"
        return {
            "usable": state is not None,
            "snapshot": state.snapshot_id if state else None,
            "model": state.model_version if state else None,
            "rows": state.rows if state else 0,
            "behind": state.behind if state else 0,
            "refreshed_s": round(age, 1) if self._refreshed_at else None,
            "problem": problem,
        }

    def start(self) -> None:
        """Refresh on a thread from now on; call it after the fork."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="index-refresh", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _has_died(self) -> bool:
        return self._thread is not None and not self._thread.is_alive() and not self._stop.is_set()

    def _revive(self) -> None:
        with self._lock:
            if self._has_died():
                logger.error("the index refresher ended by a fault of its own; starting it again")
                self._thread = None
                self.start()

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            pause = settings.INDEX_REFRESH_MS / 1000
            try:
                self.refresh()
            except (DatabaseError, SnapshotDamaged, IndexNotReady) as exc:
                if self._problem != str(exc) or isinstance(exc, DatabaseError):
                    logger.warning("index not refreshed, keeping what is loaded: %s", exc)
                self._problem = str(exc)
                connection.close()
                pause = FAULT_RETRY_SECONDS
            else:
                if self._state is not None and self._state.behind:
                    pause = FULL_RETRY_SECONDS
        connection.close()

    def _refresh(self) -> None:
        state = self._state
        if state is None:
            self._swap(self._open(or_earlier=True))
            return
        page = feed.read(state.position, state.model_id, self._feed_limit)
        serves = self._serves(state, page)
        reload = self._must_reload(state, page)
        if not reload:  # also when the head went back to this state before another could be opened
            self._successor = self._tried = self._fault = None
        if serves and not (reload and self._is_due(page)):
            self._advance(state, page, publish=True)
            return
        try:
            opened = self._open_next(state, page, serves=serves)
        except (SnapshotDamaged, ModelNotReady) as exc:
            if not serves or self._line is not None:
                raise
            self._fault = str(exc)
            opened = None
        if opened is None:
            self._advance(state, page, publish=True)
        else:
            self._swap(opened)

    @property
    def _feed_limit(self) -> int:
        return 5 * self._capacity

    def _wanted(self, page: feed.Page) -> int | None:
        return page.snapshot_id if self._line is None else page.newest_id

    def _must_reload(self, state: State, page: feed.Page) -> bool:
        wanted = self._wanted(page)
        if wanted is None:
            answers = EmbeddingModel.objects.active().filter(pk=state.model_id)
            return state.base.id is not None or (self._line is None and not answers.exists())
        return wanted != state.base.id

    def _serves(self, state: State, page: feed.Page) -> bool:
        """Whether the state is of this history and has missed nothing that was pruned."""
        same_history = page.epoch == state.base.epoch and not feed.is_ahead(state.position, page.position)
        return same_history and feed.covers(state.position, page.horizon)

    def _is_due(self, page: feed.Page) -> bool:
        """Whether to open the wanted snapshot now: at once when it is new, then when it is open or now and then."""
        if self._line is not None:
            return True
        if self._successor is not None:
            return self._successor.done()
        if self._wanted(page) == self._tried and time.monotonic() < self._retry_at:
            return False
        self._tried, self._retry_at = self._wanted(page), time.monotonic() + REOPEN_SECONDS
        return True

    def _open_next(self, state: State, page: feed.Page, *, serves: bool) -> Opened | None:
        """What follows this state; None while the successor of another model is opened beside it."""
        successor, self._successor = self._successor, None
        if not serves or self._line is not None or not is_of_another_model(page.snapshot_id, state.model_id):
            return self._open(or_earlier=False)
        if successor is not None:
            opened = successor.result()
            if not is_of_another_model(page.snapshot_id, opened.base.model_id):
                return opened
        if self._thread is None:
            return open_successor(state.model_id)
        self._successor = beside(partial(open_successor, state.model_id))
        return None

    def _open(self, *, or_earlier: bool) -> Opened:
        known = [part.segment for part in self._state.base.parts] if self._state else []
        if self._line is not None:
            return open_newest(self._line, known)
        return open_head(known, or_earlier=or_earlier)

    def _swap(self, opened: Opened) -> None:
        """Catch up from what was opened, then answer with it; the state before answers until then."""
        base, self._fault = opened.base, opened.fault
        if opened.fault:
            self._tried, self._retry_at = IndexHead.load().snapshot_id, time.monotonic() + REOPEN_SECONDS
        page = feed.read(base.position, base.model_id, self._feed_limit)
        if page.epoch == base.epoch and feed.covers(base.position, page.horizon):
            self._advance(fresh_state(base, self._state), page, publish=False)
        get_model_hooks().forget_retired()

    def _advance(self, state: State, page: feed.Page, *, publish: bool) -> None:
        """Absorb the page's listings, a bounded number at a time; swap after each, or once at the end."""
        for ids in database_rows.pages(page.listings):
            if len(state.delta) >= self._capacity:
                self._state = replace(state, behind=page.behind)
                return
            state = absorb(state, ids, page.vectors.intersection(ids))
            if len(state.delta.chunks) > self._capacity:
                state = replace(state, delta=state.delta.repacked())
            if publish:
                self._state = replace(state, behind=page.behind)
            self._tick()
        self._state = replace(state, position=page.position, behind=0 if page.complete else page.behind)
