"""The compactor's lease, and a clock that is set."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from recommender.index.compaction.lease import LEASE_SECONDS, acquire_lease
from recommender.models import IndexHead

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("ends_in", "free"), [(-1, True), (LEASE_SECONDS - 1, False), (7200, True)])
def test_a_lease_that_is_over_or_of_the_future_is_free(ends_in, free):
    with acquire_lease() as held:
        assert held
        IndexHead.row().update(token_until=timezone.now() + timedelta(seconds=ends_in))
        with acquire_lease() as other:
            assert (other is not None) is free
