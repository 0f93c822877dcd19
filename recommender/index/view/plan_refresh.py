"""Decides what a refresh does, from what is served, what should be, and what was tried.

The decision asks neither the database, a thread nor the clock, so its whole matrix is tested without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

REOPEN_SECONDS = 5.0  # a snapshot that could not be opened is tried again, but not at every refresh


class Outcome(Enum):
    ADVANCE = auto()
    """What is served is what should be: only the feed's changes are applied."""
    WAIT = auto()
    """Another snapshot should be served and cannot be yet: the feed's changes are applied meanwhile."""
    RELOAD = auto()
    """Open the wanted snapshot here: it is of the same model, or what is served must not answer any more."""
    OPEN_SUCCESSOR = auto()
    """Another model shall answer: open its snapshot while the one that is served goes on."""
    TAKE_SUCCESSOR = auto()
    """The successor's opening has ended: serve what it opened, or tell why it failed."""


@dataclass(frozen=True)
class Target:
    """A snapshot (None: the empty one that every history begins with) and its model (None: no such row exists)."""

    snapshot_id: int | None
    model_id: int | None


@dataclass(frozen=True)
class Attempt:
    """When, in seconds of a monotonic clock, this snapshot was last begun to be opened."""

    snapshot_id: int | None
    at: float


@dataclass(frozen=True)
class Successor:
    """The opening of another model's snapshot; `model_id` is what it opened, None before it ends and if it failed."""

    has_ended: bool
    model_id: int | None = None


def plan_refresh(
    served: Target,
    wanted: Target,
    *,
    can_advance: bool,
    follows_head: bool,
    successor: Successor | None,
    attempt: Attempt | None,
    now: float,
) -> Outcome:
    """What the next refresh does.

    can_advance: what is served is of the database's history, and the feed still has every change it has not seen
    follows_head: readers for searches follow the head from model to model; the compactor's keep to one model's lineage
    """
    if not can_advance:
        # What is served must not answer any more, so there is nothing to go on with while something else is opened.
        return Outcome.RELOAD
    if wanted == served:
        return Outcome.ADVANCE
    if not follows_head:
        return Outcome.RELOAD
    if successor is not None:
        return _plan_with_successor(served, wanted, successor)
    if attempt is not None and attempt.snapshot_id == wanted.snapshot_id and now < attempt.at + REOPEN_SECONDS:
        return Outcome.WAIT
    return Outcome.OPEN_SUCCESSOR if _is_of_another_model(wanted, served) else Outcome.RELOAD


def _plan_with_successor(served: Target, wanted: Target, successor: Successor) -> Outcome:
    if not successor.has_ended:
        return Outcome.WAIT
    if not _is_of_another_model(wanted, served):
        return Outcome.RELOAD  # the head came back to this model while the successor was opened
    if successor.model_id is None or successor.model_id == wanted.model_id:
        return Outcome.TAKE_SUCCESSOR
    return Outcome.OPEN_SUCCESSOR  # the head went on to a third model while the second one was opened


def _is_of_another_model(wanted: Target, served: Target) -> bool:
    return wanted.snapshot_id is not None and wanted.model_id is not None and wanted.model_id != served.model_id
