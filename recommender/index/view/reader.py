"""One process's view of the index, kept fresh from the feed.

Refreshing happens on its own thread and connection, in autocommit, and swaps immutable states: no request waits for
it and no search sees half of it. A fault here stays here: the reader keeps the state it has, retries, and says so.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from recommender.index.errors import IndexNotReady, RefreshInTransaction, SnapshotDamaged

from .health import IndexHealth
from .refresher import Refresher
from .state import State

logger = logging.getLogger(__name__)

BEHIND_RETRY_SECONDS = 1.0  # a full delta takes nothing in until the compactor has flushed, so haste is of no use
FAULT_RETRY_SECONDS = 0.5
STALE_SECONDS = 10  # a refresh may take long when much changed; after this long health calls it a problem


class Index:
    """A view of the index that follows the head from model to model, as searches need it.

    capacity: how many rows, and how many vectors, the delta may hold
    lineage_of: a model's id, for the compactor: the view keeps to this model's newest snapshot instead
    """

    def __init__(self, capacity: int | None = None, *, lineage_of: int | None = None) -> None:
        self._refresher = Refresher(capacity or settings.INDEX_DELTA_ROWS, lineage_of)
        self._lock = threading.Lock()  # the refresher keeps things between calls, so one thread at a time may refresh
        # Not 0, because the clock counts from the machine's start, which may be less than a refresh period ago.
        self._refreshed_at = -math.inf
        self._problem: str | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def get_state(self) -> State:
        """The newest state. Without a refresher thread it is brought up to date here first, but in no transaction.

        Raises: IndexNotReady with a sentence for the operator.
        """
        if self._has_thread_died():
            self._restart_dead_thread()
        stale = time.monotonic() - self._refreshed_at > settings.INDEX_REFRESH_MS / 1000
        if self._thread is None and stale and not connection.in_atomic_block:
            try:
                self.refresh()
            except (SnapshotDamaged, IndexNotReady) as exc:
                logger.warning("index not refreshed: %s", exc)
        if (state := self._refresher.state) is None:
            raise IndexNotReady(self._problem or "the index is being loaded")
        return state

    def refresh(self, on_page: Callable[[], None] = lambda: None) -> None:
        """Catch up with the feed; one thread at a time. `on_page` is called between pages, of which there may be many.

        Raises: RefreshInTransaction; SnapshotDamaged, IndexNotReady where nothing usable can be opened (the state
        stays what it was); django.db.Error.
        """
        if connection.in_atomic_block:
            raise RefreshInTransaction("refresh() inside a transaction could keep rows that never commit")
        with self._lock:
            # Django drops connections that the database has closed when a request ends, and none ends on the refresher
            # thread.
            close_old_connections()
            try:
                self._refresher.refresh(on_page, in_background=self._thread is not None)
            except (SnapshotDamaged, IndexNotReady) as exc:
                self._problem = str(exc)
                raise
            self._problem = self._refresher.fallback_reason
            self._refreshed_at = time.monotonic()

    def health(self) -> IndexHealth:
        state = self._refresher.state
        if state is None and self._thread is None:
            try:
                state = self.get_state()
            except IndexNotReady as exc:
                return IndexHealth(usable=False, problem=str(exc))
        age = time.monotonic() - self._refreshed_at
        problem = self._problem
        if problem is None and self._thread is not None and state is not None and age > STALE_SECONDS:
            problem = f"the index has not been refreshed for {age:.0f} s"
        refreshed_s = round(age, 1) if math.isfinite(age) else None
        if state is None:
            return IndexHealth(usable=False, refreshed_s=refreshed_s, problem=problem)
        return IndexHealth(
            usable=True,
            snapshot=state.snapshot_id,
            model=state.model_version,
            rows=state.rows,
            behind=state.behind,
            refreshed_s=refreshed_s,
            problem=problem,
        )

    def start(self) -> None:
        """Refresh on a thread from now on; call it after the fork."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._refresh_until_stopped, name="index-refresh", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _has_thread_died(self) -> bool:
        return self._thread is not None and not self._thread.is_alive() and not self._stop.is_set()

    def _restart_dead_thread(self) -> None:
        with self._lock:
            # Several requests may have found the thread dead, and the first of them has started another one.
            if self._has_thread_died():
                logger.error("the index refresher ended by a fault of its own; starting it again")
                self._thread = None
                self.start()

    def _refresh_until_stopped(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            pause = settings.INDEX_REFRESH_MS / 1000
            try:
                self.refresh()
            except (DatabaseError, SnapshotDamaged, IndexNotReady) as exc:
                # A refresh that fails is tried again twice a second, so damage that lasts would fill the log.
                if self._problem != str(exc) or isinstance(exc, DatabaseError):
                    logger.warning("index not refreshed, keeping what is loaded: %s", exc)
                self._problem = str(exc)
                # The connection may be at fault, and the next try opens another.
                connection.close()
                pause = FAULT_RETRY_SECONDS
            else:
                if (state := self._refresher.state) is not None and state.behind:
                    pause = BEHIND_RETRY_SECONDS
        connection.close()
