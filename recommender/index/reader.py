"""One process's view of the index, kept fresh from the feed.

Refreshing happens on its own thread and connection, in autocommit, and swaps immutable states: no request waits for
it and no search sees half of it. A fault here stays here: the reader keeps the state it has, retries, and says so.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from recommender import feed
from recommender.models import EmbeddingModel, IndexHead, IndexSnapshot

from . import rows, snapshot
from .absorb import absorb, empty_snapshot, fresh_state
from .errors import IndexNotReady, RefreshInTransaction, SnapshotDamaged
from .snapshot import Snapshot
from .state import State

logger = logging.getLogger(__name__)

FULL_RETRY_SECONDS = 1.0
FAULT_RETRY_SECONDS = 0.5
REOPEN_SECONDS = 5.0
STALE_SECONDS = 10


class Index:
    """`capacity` bounds the rows, and the vectors, that the delta may hold."""

    def __init__(self, capacity: int | None = None) -> None:
        self._capacity = capacity or settings.INDEX_DELTA_ROWS
        self._state: State | None = None
        self._lock = threading.Lock()
        self._refreshed_at = 0.0
        self._problem: str | None = None
        self._fault: str | None = None  # why another snapshot than the head's is served
        self._tried: int | None = None
        self._retry_at = 0.0
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

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

    def refresh(self) -> None:
        """Catch up with the feed; single-flight.

        Raises: RefreshInTransaction; SnapshotDamaged, IndexNotReady where nothing usable can be opened (the state
        stays what it was); django.db.Error.
        """
        if connection.in_atomic_block:
            raise RefreshInTransaction("refresh() inside a transaction could keep rows that never commit")
        with self._lock:
            close_old_connections()
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
        if state is not None:
            page = feed.read(state.position, state.model_id, self._feed_limit)
            if not self._must_reload(state, page) or (self._serves(state, page) and not self._retry_due(page)):
                self._advance(state, page, publish=True)
                return
        try:
            base = self._open_head()
        except SnapshotDamaged as exc:
            if state is None or not self._serves(state, page):
                raise
            self._fault = str(exc)
            self._advance(state, page, publish=True)
            return
        page = feed.read(base.position, base.model_id, self._feed_limit)
        if page.epoch == base.epoch and feed.covers(base.position, page.horizon):
            self._advance(fresh_state(base), page, publish=False)

    @property
    def _feed_limit(self) -> int:
        return 5 * self._capacity

    def _must_reload(self, state: State, page: feed.Page) -> bool:
        if not self._serves(state, page):
            return True
        if page.snapshot_id is None:
            return state.base.id is not None or not _is_active(state.model_id)
        return page.snapshot_id != state.base.id

    def _serves(self, state: State, page: feed.Page) -> bool:
        """Whether the state is of this history and has missed nothing that was pruned."""
        same_history = page.epoch == state.base.epoch and not feed.is_ahead(state.position, page.position)
        return same_history and feed.covers(state.position, page.horizon)

    def _retry_due(self, page: feed.Page) -> bool:
        """Whether to try to open the head's snapshot (again): at once when it is new, else now and then."""
        if page.snapshot_id == self._tried and time.monotonic() < self._retry_at:
            return False
        self._tried, self._retry_at = page.snapshot_id, time.monotonic() + REOPEN_SECONDS
        return True

    def _advance(self, state: State, page: feed.Page, *, publish: bool) -> None:
        """Absorb the page's listings, a bounded number at a time; swap after each, or once at the end."""
        for ids in rows.pages(page.listings):
            if len(state.delta) >= self._capacity:
                self._state = replace(state, behind=page.behind)
                return
            state = absorb(state, ids, page.vectors.intersection(ids))
            if len(state.delta.chunks) > self._capacity:
                state = replace(state, delta=state.delta.repacked())
            if publish:
                self._state = replace(state, behind=page.behind)
        self._state = replace(state, position=page.position, behind=0 if page.complete else page.behind)

    def _open_head(self) -> Snapshot:
        """The head's snapshot; for a process that has none yet, the newest earlier one that can be used."""
        head = IndexHead.objects.get_or_create(pk=1)[0]
        self._fault = None
        if head.snapshot_id is None:
            return _beginning(head)
        published = IndexSnapshot.objects.select_related("model").filter(state=IndexSnapshot.State.PUBLISHED)
        try:
            row = published.filter(pk=head.snapshot_id).first()
            if row is None:
                raise SnapshotDamaged(f"snapshot {head.snapshot_id} is marked damaged")
            return self._load(row, head)
        except SnapshotDamaged as damage:
            if self._state is not None:
                raise
            self._tried, self._retry_at = head.snapshot_id, time.monotonic() + REOPEN_SECONDS
            for row in published.exclude(pk=head.snapshot_id).order_by("-pk")[:2]:
                with suppress(SnapshotDamaged):
                    base = self._load(row, head)
                    self._fault = f"serving snapshot {row.pk}, because {damage}"
                    return base
            raise IndexNotReady(f"{damage}; waiting for the indexing worker to rebuild") from damage

    def _load(self, row: IndexSnapshot, head: IndexHead) -> Snapshot:
        if feed.is_ahead_of_database(row.position):
            raise SnapshotDamaged(f"snapshot {row.pk} is of another history: it is ahead of the database")
        if not feed.covers(row.position, head.horizon):
            raise SnapshotDamaged(f"snapshot {row.pk} is behind the pruned part of the feed")
        known = [part.segment for part in self._state.base.parts] if self._state else []
        return snapshot.load(row, head.epoch, known)


def _beginning(head: IndexHead) -> Snapshot:
    model = EmbeddingModel.objects.filter(state=EmbeddingModel.State.ACTIVE).first()
    if model is None:
        raise IndexNotReady("no embedding model is active: run `manage.py models register`")
    if not feed.covers(feed.ZERO, head.horizon):
        raise IndexNotReady("there is no snapshot yet: the indexing worker builds it")
    return empty_snapshot(model, head.epoch, feed.ZERO)


def _is_active(model_id: int) -> bool:
    return EmbeddingModel.objects.filter(pk=model_id, state=EmbeddingModel.State.ACTIVE).exists()


_indexes: dict[int, Index] = {}


def get_index() -> Index:
    """This process's index; a forked child gets its own."""
    pid = os.getpid()
    if pid not in _indexes:
        _indexes.clear()
        _indexes[pid] = Index()
    return _indexes[pid]


def start() -> None:
    """Load the index and keep it fresh on a thread; the web server calls it in each worker after the fork."""
    get_index().start()
