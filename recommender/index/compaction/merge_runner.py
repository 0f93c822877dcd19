"""Runs the merges of one lineage: short ones at once, a long one in the background."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from recommender.index.errors import LeaseLost, SnapshotDamaged, SnapshotUnreadable
from recommender.index.storage.snapshot import Snapshot

from .background_merge import MERGE_ERRORS, Merge
from .lease import CompactorLease
from .outcome import Action
from .retry_pause import RetryPause
from .write_snapshots import choose_merge, make_merge, publish_merge

logger = logging.getLogger(__name__)

# A merge of this many rows takes a second or two. Larger ones run in the background, so that flushes need not wait.
FOREGROUND_MERGE_ROWS = 20_000


class MergeRunner:
    """`running` is the merge in the background. It stays until it is published, came too late, or failed."""

    def __init__(self) -> None:
        self.running: Merge | None = None
        self._failed = RetryPause()

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()

    def run(self, lease: CompactorLease, base: Snapshot, *, force: bool) -> Iterator[Action]:
        """Make few segments of many: publish the merge that has ended, then begin what is due.

        Yields an action for each snapshot published. A long merge is published by a later call; with `force` this
        call waits for it. A failure is logged, and tried again much later: segments can be searched without merging.
        """
        if self._failed.is_on and not force:
            return
        try:
            published = self._publish_finished_merge(lease, base, wait=force)
            if published is not None:
                base = published
                yield Action.MERGED
            yield from self._make_or_start_due_merges(lease, base, force=force)
        except LeaseLost:
            raise
        except MERGE_ERRORS as exc:
            logger.error("segments cannot be merged, they are searched one by one: %s", exc)
            self._failed.begin()
            yield Action.FAILED

    def _publish_finished_merge(self, lease: CompactorLease, base: Snapshot, *, wait: bool) -> Snapshot | None:
        """None where no merge has ended, or it came too late. Raises: LeaseLost, OSError, SnapshotDamaged."""
        merge = self.running
        if merge is None or not (merge.is_done or wait):
            return None
        merge.wait()
        if merge.has_failed:
            self.running = None
        try:
            published = publish_merge(lease, base, merge)
        except SnapshotUnreadable:
            raise  # the files that this process could not open may be whole, so a later call tries again
        except SnapshotDamaged:
            self.running = None
            merge.remove_files()
            raise
        # Where publishing failed in another way, this line is not reached: the merge stays for a later call.
        self.running = None
        return published

    def _make_or_start_due_merges(self, lease: CompactorLease, base: Snapshot, *, force: bool) -> Iterator[Action]:
        busy = set(self.running.sources) if self.running is not None else set()
        while numbers := choose_merge(base, busy):
            if force or _count_live_rows(base, numbers) <= FOREGROUND_MERGE_ROWS:
                base = _make_and_publish_merge(lease, base, numbers)
                yield Action.MERGED
                continue
            # Only one long merge runs at a time. Its segments, and those of the next one, are left alone from here
            # on, so that the loop goes on with short merges of others.
            busy |= {base.parts[number].segment.name for number in numbers}
            if self.running is None:
                merge = make_merge(lease, base, numbers)
                # Only a merge that has started counts as running: where no thread is to be had, this raises.
                merge.start_in_background()
                self.running = merge


def _make_and_publish_merge(lease: CompactorLease, base: Snapshot, numbers: Sequence[int]) -> Snapshot:
    merge = make_merge(lease, base, numbers)
    try:
        merge.write_segment(lease.renew_if_due)
        return publish_merge(lease, base, merge) or base
    except (LeaseLost, *MERGE_ERRORS):
        merge.remove_files()
        raise


def _count_live_rows(base: Snapshot, numbers: Sequence[int]) -> int:
    return sum(int(np.count_nonzero(base.parts[number].live)) for number in numbers)
