"""What can go wrong between a request and the index."""


class IndexNotReady(RuntimeError):
    """No usable state: no active model, or no snapshot of it that can be opened."""


class ForeignVector(ValueError):
    """A query vector of another dimension or model than the state it was given to."""


class SnapshotDamaged(RuntimeError):
    """A snapshot's files are missing, incomplete, altered, or of another model or history."""


class SnapshotUnreadable(SnapshotDamaged):
    """Files that this process cannot open now: for want of memory, descriptors or rights. They may be whole."""


class RefreshInTransaction(RuntimeError):
    """refresh() was called inside a transaction, where it could see rows that never commit."""


class LeaseLost(RuntimeError):
    """Another compactor holds the lease now; what was built must not be published."""
