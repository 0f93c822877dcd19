"""What comparing one picture can come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .views import Seen


class Kind(StrEnum):
    """FAULTS are those in which the references agree and this project does not."""

    REFUSED = "only we refuse it"
    TAKEN = "only we take it"
    SIZE = "size differs"
    ORIENTATION = "orientation differs"
    COLOUR = "colour differs"
    PLACES = "differs in places"
    WITH_ONE = "references disagree, we are with one"
    WITH_NONE = "references disagree, we are with none"
    DOUBTFUL = "references disagree whether it is a picture"
    HDR = "high dynamic range"
    RULE = "refused by a limit or for a format of ours"
    ALONE = "no second opinion"
    AGREE = "agree"


FAULTS = (Kind.REFUSED, Kind.TAKEN, Kind.SIZE, Kind.ORIENTATION, Kind.COLOUR, Kind.PLACES)


@dataclass(frozen=True)
class Finding:
    """One picture, what everybody made of it, and a line that says how they differ."""

    path: Path
    format: str
    kind: Kind
    detail: str
    seen: Mapping[str, Seen]  # under "ours" and each reference's name; empty where all agree
