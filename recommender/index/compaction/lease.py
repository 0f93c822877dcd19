"""The compactor's lease on the head: one token at a time, by database time, renewed while work goes on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from recommender.index.errors import LeaseLost
from recommender.models import IndexHead

LEASE_SECONDS = 60


class Lease:
    def __init__(self, token: uuid.UUID) -> None:
        self.token = token
        self._renewed_at = time.monotonic()

    def renew_if_due(self) -> None:
        """Renew it if that is due: between steps of long work. Raises: LeaseLost."""
        if time.monotonic() - self._renewed_at > LEASE_SECONDS / 6:
            self.renew()

    def renew(self) -> None:
        """Raises: LeaseLost when another compactor took over."""
        self._renewed_at = time.monotonic()
        until = Now() + timedelta(seconds=LEASE_SECONDS)
        if not IndexHead.row().filter(token=self.token).update(token_until=until):
            raise LeaseLost("another compactor has taken over")


@contextmanager
def acquire_lease() -> Iterator[Lease | None]:
    """The lease, or None while another compactor holds it."""
    IndexHead.load()
    token = uuid.uuid4()
    free = Q(token__isnull=True) | Q(token_until__lt=Now())
    until = Now() + timedelta(seconds=LEASE_SECONDS)
    if not IndexHead.row().filter(free).update(token=token, token_until=until):
        yield None
        return
    try:
        yield Lease(token)
    finally:
        IndexHead.row().filter(token=token).update(token=None, token_until=None)
