"""The index of this process: made on first use, so after any fork."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from listings.finding.filterable import Filter
from ml.per_process import PerProcess
from recommender import feed
from recommender.index.errors import IndexNotReady
from recommender.index.rows.arrays import Vectors
from recommender.index.storage.snapshot import purge_seconds
from recommender.models import IndexSnapshot

from .candidates import Candidates
from .health import IndexHealth
from .reader import Index
from .recall_monitor import RecallMonitor
from .recall_window import Recall, summarise_recall_by_kind
from .state import State

LAG_LIMIT = 10_000
LATE_SECONDS = 3_600  # a large segment may be rewritten a little late, which is no reason for an alarm


@dataclass(frozen=True, kw_only=True)
class ProcessHealth(IndexHealth):
    """The health of this process's index, with how many rows changed since its snapshot, of how many segments that is,
    and the recall of its searches by kind of query."""

    delta_rows: int
    segments: int
    recall: dict[str, Recall]


@dataclass(frozen=True)
class Lag:
    """`snapshot_age_s`: seconds; None for the empty snapshot · `position_lag`: changes not yet seen, LAG_LIMIT at most.

    Without a state, both are None.
    """

    snapshot_age_s: float | None = None
    position_lag: int | None = None


own_index = PerProcess(Index)
own_monitor = PerProcess(lambda: RecallMonitor(settings.INDEX_MONITOR_SHARE))


def get_index() -> Index:
    """This process's index; a forked child gets its own."""
    return own_index.get()


def start_index_threads() -> None:
    """Load the index, keep it fresh and judge its answers on threads; each web process calls it after the fork."""
    get_index().start()
    if settings.INDEX_MONITOR_SHARE:
        own_monitor.get().start()


def offer_search_to_recall_monitor(
    state: State, vectors: Vectors, k: int, where: Filter, exclude: Collection[int], found: Candidates
) -> None:
    """Perhaps compare this answer with an exact one, later and elsewhere; never waits.

    The arguments are those of find_nearest_listings, and its answer. Only web processes have a monitor: they call
    `start_index_threads`.
    """
    if monitor := own_monitor.get_if_made():
        monitor.offer_search(state, vectors, k, where, exclude, found)


def report_health() -> ProcessHealth:
    index, monitor = get_index(), own_monitor.get_if_made()
    state = _get_state_or_none()
    known = index.health()
    problems = [
        known.problem,
        monitor.window.describe_problem(settings.INDEX_RECALL_TARGET) if monitor else None,
        _describe_overdue_purge(state) if state else None,
        _describe_missed_filters(state) if state else None,
    ]
    return ProcessHealth(
        **vars(known) | {"problem": "; ".join(problem for problem in problems if problem) or None},
        delta_rows=len(state.delta) if state else 0,
        segments=len(state.base.parts) if state else 0,
        recall=monitor.window.recall_by_kind() if monitor else summarise_recall_by_kind([]),
    )


def _describe_overdue_purge(state: State) -> str | None:
    """That deleted photos' vectors are still on disk after the time that was promised."""
    known = (part.dead_seconds for part in state.base.parts if math.isfinite(part.dead_seconds))
    longest = max(known, default=0.0)
    if longest <= purge_seconds() + LATE_SECONDS:
        return None
    return (
        f"vectors of deleted photos have been in the index files for {longest / 86_400:.1f} days, PURGE_DAYS is "
        f"{settings.PURGE_DAYS:g}: look into the compactor's log, then run `manage.py index compact`"
    )


def _describe_missed_filters(state: State) -> str | None:
    """That a segment missed the recall target with filters when it was built, on its own rows."""
    least = min((part.segment.filtered_recall for part in state.base.parts), default=1.0)
    if least >= settings.INDEX_RECALL_TARGET:
        return None
    return (
        f"searches with a filter that leaves nothing near find {least:.1%} of what an exact search finds, as measured "
        f"when the index was built (the target is {settings.INDEX_RECALL_TARGET:.1%})"
    )


def measure_lag() -> Lag:
    """How far this process is behind the database, which takes two queries. Raises: django.db.Error."""
    state = _get_state_or_none()
    if state is None:
        return Lag()
    unseen = feed.read_page(state.position, state.model_id, LAG_LIMIT).behind
    return Lag(_snapshot_age(state.snapshot_id), min(unseen, LAG_LIMIT))


def _snapshot_age(snapshot_id: int | None) -> float | None:
    if snapshot_id is None:
        return None
    created = IndexSnapshot.objects.filter(pk=snapshot_id).values_list("created_at", flat=True).first()
    # The row of a snapshot that was retired may be deleted while a reader still serves its files.
    # One of the future was written before the clock was set back.
    return max(0.0, round((timezone.now() - created).total_seconds(), 1)) if created else None


def _get_state_or_none() -> State | None:
    try:
        return get_index().get_state()
    except IndexNotReady:
        return None
