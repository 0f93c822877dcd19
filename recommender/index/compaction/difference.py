"""One way in which the index and the database can differ."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.index.errors import SnapshotUnreadable


@dataclass(frozen=True, order=True)
class Difference:
    """`listing` and `image` are None where whole files are concerned.

    kind: snapshot, file, unreadable, missing, extra, doubled, a column's name, vector, unqueued or unusable
    """

    kind: str
    listing: int | None
    image: int | None
    detail: str

    def __str__(self) -> str:
        where = f" listing {self.listing} photo {self.image}:" if self.listing is not None else ""
        return f"{self.kind}:{where} {self.detail}"


def difference_from_error(kind: str, exc: Exception, detail: str) -> Difference:
    """Of this kind, unless it is this process that cannot open the files: then they may be whole, and `unreadable`."""
    is_unreadable = any(isinstance(one, SnapshotUnreadable) for one in (exc, exc.__cause__))
    return Difference("unreadable" if is_unreadable else kind, None, None, detail)
