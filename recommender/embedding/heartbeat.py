"""A worker process says every two seconds that it is alive; health reads the row and asks no broker.

The thread outlives trouble with database and disk: a beat that fails is followed by the next one.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now
from django.utils import timezone

from recommender.models import Heartbeat

from .lease_holders import LeaseHolder

logger = logging.getLogger(__name__)

PERIOD = 2.0
# The row of what was found lost, which is no worker's.
PICTURES = "pictures"
# Of the database, or of the disk with the file that holds a worker's number.
TROUBLE = (DatabaseError, InterfaceError, OSError)
# Beats may be late on a busy machine, so a worker is taken for dead only after several that did not come.
FRESH = timedelta(seconds=5 * PERIOD)


class HeartbeatThread:
    """Writes the process's row every `period` seconds between `start` and `stop`, and holds its number meanwhile."""

    def __init__(
        self,
        kind: str,
        describe: Callable[[], dict[str, object]] = dict,
        period: float = PERIOD,
        holder: LeaseHolder | None = None,
    ) -> None:
        self.kind = kind
        self.name = f"{kind}@{socket.gethostname()}:{os.getpid()}"[:120]
        self._describe, self._period, self._holder = describe, period, holder
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat_and_delete_row_at_end, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Delete the row, because this worker ended in order."""
        self._stopped.set()
        self._thread.join(self._period)

    def write_beat(self) -> None:
        if self._holder:
            self._holder.hold()
        number = self._holder.number if self._holder else None
        detail = {"pid": os.getpid(), "host": socket.gethostname(), "holder": number, **self._describe()}
        write_row(Heartbeat(name=self.name, kind=self.kind, seen_at=Now(), detail=detail))

    def _beat_and_delete_row_at_end(self) -> None:
        while True:
            # The connection is kept for good, because the worker's number is held by it; where the database has closed
            # it, the second try is over a new one.
            if not self._try_to_beat(is_last_try=False):
                self._try_to_beat(is_last_try=True)
            if self._stopped.wait(self._period):
                break
        with suppress(*TROUBLE):
            if self._holder:
                self._holder.let_go()
        with suppress(*TROUBLE):
            Heartbeat.objects.filter(pk=self.name).delete()
        with suppress(*TROUBLE):
            connection.close()

    def _try_to_beat(self, *, is_last_try: bool) -> bool:
        try:
            self.write_beat()
        except TROUBLE as exc:
            if is_last_try:
                logger.warning("This heartbeat is not written: %s", exc)
            with suppress(*TROUBLE):
                connection.close()
            return False
        return True


def record_schedule_alive() -> None:
    """Beat itself has no database, so each task that it rings regularly leaves its sign of life."""
    write_row(Heartbeat(name="beat", kind="beat", seen_at=Now()))


def note_what_is_lost(note: str, *, has_ended: bool) -> None:
    """What a look at all pictures found, for health: it stands until a whole look has found nothing."""
    if note:
        write_row(Heartbeat(name=PICTURES, kind=PICTURES, seen_at=Now(), detail={"note": note}))
    elif has_ended:
        Heartbeat.objects.filter(name=PICTURES).delete()


def write_row(row: Heartbeat) -> None:
    Heartbeat.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["name"], update_fields=["kind", "seen_at", "detail"]
    )


def is_worker_alive(kind: str) -> bool:
    """Whether a worker of this kind beat a moment ago."""
    now = timezone.now()
    return Heartbeat.objects.filter(kind=kind, seen_at__range=(now - FRESH, now + FRESH)).exists()
