"""The change feed: which listings changed since a position.

A position is ordered by visibility, not by sequence: on PostgreSQL it is a database snapshot, so a row written by a
transaction that was still open at the last read is delivered once it commits, and writers take no lock. On SQLite,
whose writers are serial, it is the largest id. One statement returns the new position, the head and the rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection
from django.db.models import Max, Min

from .models import IndexChange, IndexHead

ZERO = "0"


@dataclass(frozen=True)
class Page:
    """What one read saw, all in one database snapshot.

    `position` includes everything in `attributes` and `vectors` (listing ids whose own values, or whose vectors under
    the asked model, changed). `snapshot_id` is the head's, `newest_id` the newest published one of the asked model.
    `complete` is False when there were more than `limit` rows: then the position has not moved. `behind` counts the
    changes read, repeated ones once.
    """

    position: str
    epoch: uuid.UUID
    horizon: str
    snapshot_id: int | None
    newest_id: int | None
    attributes: frozenset[int]
    vectors: frozenset[int]
    behind: int
    complete: bool

    @property
    def listings(self) -> frozenset[int]:
        return self.attributes | self.vectors


# One statement, so that head, horizon and rows are of one instant: rows that were pruned between two would be missed
# without a sign. The left join gives a row for the head even where nothing changed.
READ_POSTGRESQL = """
    SELECT pg_current_snapshot()::text, head.epoch, head.horizon, head.snapshot_id,
           (SELECT MAX(id) FROM recommender_indexsnapshot WHERE model_id = %(model)s AND state = 'published'),
           change.listing_id, change.model_id
    FROM recommender_indexhead head LEFT JOIN (
        SELECT DISTINCT listing_id, model_id FROM recommender_indexchange
        WHERE xid >= pg_snapshot_xmin(%(position)s::pg_snapshot)
          AND NOT pg_visible_in_snapshot(xid, %(position)s::pg_snapshot)
          AND (model_id IS NULL OR model_id = %(model)s)
        LIMIT %(limit)s
    ) change ON true
    WHERE head.id = 1
"""

READ_SQLITE = """
    SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'recommender_indexchange'), 0),
           head.epoch, head.horizon, head.snapshot_id,
           (SELECT MAX(id) FROM recommender_indexsnapshot WHERE model_id = %(model)s AND state = 'published'),
           change.listing_id, change.model_id
    FROM recommender_indexhead head LEFT JOIN (
        SELECT DISTINCT listing_id, model_id FROM recommender_indexchange
        WHERE id > %(position)s AND (model_id IS NULL OR model_id = %(model)s)
        LIMIT %(limit)s
    ) change ON true
    WHERE head.id = 1
"""


def read_page(position: str, model_id: int, limit: int = 100_000) -> Page:
    """Read everything that became visible after `position` and concerns `model_id`, each listing once.

    To be called in autocommit, and before rows are read: they are then at least as new as the position.
    """
    postgresql = connection.vendor == "postgresql"
    asked = _as_snapshot(position) if postgresql else int(position or 0)
    with connection.cursor() as cursor:
        # One row more than the limit tells that there are more.
        cursor.execute(
            READ_POSTGRESQL if postgresql else READ_SQLITE,
            {"position": asked, "model": model_id, "limit": limit + 1},
        )
        head: list | None = None
        attributes: set[int] = set()
        vectors: set[int] = set()
        # The cursor is read row by row, because there may be very many rows and only their listings are kept.
        for row in cursor:
            *head, listing, model = row
            if listing is not None:
                (attributes if model is None else vectors).add(listing)
    if head is None:
        # Somebody flushed the database; loading the head makes it again.
        IndexHead.load()
        return read_page(position, model_id, limit)
    current, epoch, horizon, snapshot_id, newest_id = head
    changes = len(attributes) + len(vectors)
    complete = changes <= limit
    return Page(
        position=str(current) if complete else position,
        epoch=epoch if isinstance(epoch, uuid.UUID) else uuid.UUID(epoch),
        horizon=horizon,
        snapshot_id=snapshot_id,
        newest_id=newest_id,
        attributes=frozenset(attributes),
        vectors=frozenset(vectors),
        behind=changes,
        complete=complete,
    )


def append_vector_changes(listing_ids: Collection[int], model_id: int) -> None:
    """Say that these listings' vectors under this model changed, in the transaction that stores the vectors."""
    IndexChange.objects.bulk_create(IndexChange(listing_id=pk, model_id=model_id) for pk in sorted(listing_ids))


def current_position() -> str:
    """The position that includes every change visible now."""
    sql = (
        "SELECT pg_current_snapshot()::text"
        if connection.vendor == "postgresql"
        else "SELECT CAST(COALESCE(MAX(seq), 0) AS TEXT) FROM sqlite_sequence WHERE name = 'recommender_indexchange'"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def estimate_row_count() -> int:
    """How many rows the feed holds, at most: what lies between the first and last id, as counting would read all."""
    ends = IndexChange.objects.aggregate(first=Min("pk"), last=Max("pk"))
    return 0 if ends["first"] is None else ends["last"] - ends["first"] + 1


def find_earliest_position(positions: Collection[str]) -> str | None:
    """The position that all the others include. None where there are none, or they cannot be compared."""
    return next((one for one in positions if all(covers_horizon(other, one) for other in positions)), None)


def prune_rows(horizon: str) -> int:
    """Delete the rows that `horizon` includes. The caller holds the head's row lock, and stores the horizon.

    Rows whose transaction is still to come were restored from another server. They are deleted too, because no horizon
    would ever include them.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                """
                DELETE FROM recommender_indexchange
                WHERE xid < pg_snapshot_xmax(%(at)s::pg_snapshot) AND pg_visible_in_snapshot(xid, %(at)s::pg_snapshot)
                   OR xid >= (SELECT pg_snapshot_xmax(pg_current_snapshot())) AND xid <> pg_current_xact_id()
                """,
                {"at": _as_snapshot(horizon)},
            )
        else:
            cursor.execute("DELETE FROM recommender_indexchange WHERE id <= %s", [int(horizon or 0)])
        return cursor.rowcount


def covers_horizon(position: str, horizon: str) -> bool:
    """Whether a reader at `position` has seen everything that was deleted up to `horizon`."""
    if not horizon or horizon == ZERO:
        return True
    # Positions of PostgreSQL have colons and those of SQLite have none, and neither says anything about the other.
    if ":" not in horizon:
        return int(position or 0) >= int(horizon)
    if ":" not in position:
        return False
    seen, pruned = _parse_snapshot(position), _parse_snapshot(horizon)
    # The reader has seen nothing of transactions that began after its snapshot and before the horizon. So all of them
    # must still have been running at the horizon. There may be millions, so they are listed only if they are no more
    # than those that were running.
    late = set(range(seen.xmax, pruned.xmax)) if pruned.xmax - seen.xmax <= len(pruned.running) else None
    if late is None or not late <= pruned.running:
        return False
    return {xid for xid in seen.running if xid < pruned.xmax} <= pruned.running


def is_foreign_to_database(position: str) -> bool:
    """Whether a position names changes this database has not made yet: it comes from another history."""
    return is_foreign_position(position, current_position())


def is_foreign_position(position: str, now: str) -> bool:
    """Whether a position that was taken before `now` is of another history, or of another kind of database."""
    if position in {"", ZERO}:
        return False
    if ":" not in position and ":" not in now:
        return int(position) > int(now)
    return ":" not in position or ":" not in now or _parse_snapshot(position).xmax > _parse_snapshot(now).xmax


@dataclass(frozen=True)
class _Snapshot:
    """A snapshot as PostgreSQL prints it, xmin:xmax:running. It sees what is below xmax and not running."""

    xmax: int
    running: frozenset[int]


def _parse_snapshot(text: str) -> _Snapshot:
    _, xmax, running = text.split(":")
    return _Snapshot(int(xmax), frozenset(int(xid) for xid in running.split(",") if xid))


def _as_snapshot(position: str) -> str:
    # "1:1:" is a snapshot that has seen no transaction, so a position of another database hides no change.
    return position if ":" in position else "1:1:"
