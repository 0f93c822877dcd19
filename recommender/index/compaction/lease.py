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

# After a compactor was killed no other can go on for this long. One that works renews its lease far more often.
LEASE_SECONDS = 60


class CompactorLease:
    """The right to build and publish, for as long as the head carries this token."""

    def __init__(self, token: uuid.UUID) -> None:
        self.token = token
        self._renewed_at = time.monotonic()

    def renew_if_due(self) -> None:
        """Call it between the steps of long work. Raises: LeaseLost."""
        if time.monotonic() - self._renewed_at > LEASE_SECONDS / 6:
            self.renew()

    def renew(self) -> None:
        """Raises: LeaseLost when another compactor took over."""
        self._renewed_at = time.monotonic()
        # The token is a condition, because a compactor that slept past the end of its lease must not take it back from
        # the next one.
        until = Now() + timedelta(seconds=LEASE_SECONDS)
        if not IndexHead.row().filter(token=self.token).update(token_until=until):
            raise LeaseLost("another compactor has taken over")

    def new_directory_name(self) -> str:
        """A name for a new directory of files that tells whose work it is."""
        return f"{directory_prefix(self.token)}-{uuid.uuid4().hex[:8]}"


def directory_prefix(token: uuid.UUID) -> str:
    """What the names of all directories begin with that are written under the lease with this token."""
    return token.hex[:12]


@contextmanager
def acquire_lease() -> Iterator[CompactorLease | None]:
    """The lease, or None while another compactor holds it."""
    IndexHead.objects.get_or_create(pk=1)
    token = uuid.uuid4()
    until = Now() + timedelta(seconds=LEASE_SECONDS)
    # A lease that would last for longer than one can was given before the clock was set back.
    free = Q(token__isnull=True) | Q(token_until__lt=Now()) | Q(token_until__gt=until + timedelta(seconds=5))
    if not IndexHead.row().filter(free).update(token=token, token_until=until):
        yield None
        return
    try:
        yield CompactorLease(token)
    finally:
        IndexHead.row().filter(token=token).update(token=None, token_until=None)
