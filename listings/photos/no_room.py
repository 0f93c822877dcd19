"""Files that were sent and cannot be kept now: by no fault of theirs, but of a disk."""

from __future__ import annotations

import errno
from dataclasses import dataclass

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@dataclass(frozen=True)
class Place:
    """Where files are written: as visitors are told, and what tells the operator where it is."""

    name: str
    setting: str


ORIGINALS = Place("the disk for photos", "ORIGINALS_ROOT")
PICTURES = Place("the disk for pictures", "MEDIA_ROOT")
TEMPORARY = Place("the disk for files on their way", "the temporary folder")


class CannotStore(OSError):
    """A file cannot be kept now; the message is for whoever sent it. Its cause is what the operator reads."""

    def __init__(self, place: Place, cause: OSError) -> None:
        self.place, self.cause, self.trouble = place, cause, explain_refusal(cause)
        self.sentence = f"{place.name.capitalize()} {self.trouble}, so the photo was not kept. Try again later."
        # Insufficient storage, or a service that is not there now.
        self.status = 507 if cause.errno in FULL else 503
        super().__init__(self.sentence)


def explain_refusal(cause: OSError) -> str:
    """What a disk is that refused a write."""
    if cause.errno in FULL:
        return "is full"
    return "takes no changes now" if cause.errno in READ_ONLY else "cannot be written to now"
