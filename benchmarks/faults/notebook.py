"""What the savers were promised: each save, when it was acknowledged, and when it was found."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

FIRST_PRICE = 1_000_000  # a save's price is its own, so that a search for a range of prices finds a few saves


@dataclass(eq=False)
class Save:
    """One listing with one photo. Times are monotonic seconds."""

    number: int
    door: str
    name: str
    content: bytes
    sha256: str
    began: float
    listing: int | None = None
    acknowledged: float | None = None
    found: float | None = None
    is_being_removed: bool = False  # from then on nobody may expect it
    removed: float | None = None
    tries: int = 0
    refusal: str = ""

    @property
    def price(self) -> int:
        return FIRST_PRICE + self.number

    @property
    def title(self) -> str:
        return f"Saved under fire {self.number}"

    @property
    def is_missing(self) -> bool:
        return self.acknowledged is not None and self.found is None and not self.is_being_removed


class Notebook:
    """The saves of one episode; several threads write into it."""

    def __init__(self) -> None:
        self.saves: list[Save] = []
        self._lock = threading.Lock()

    def begin_save(self, save: Save) -> None:
        with self._lock:
            self.saves.append(save)

    def list_saves(self) -> list[Save]:
        with self._lock:
            return list(self.saves)

    def list_acknowledged(self, since: float = 0.0) -> list[Save]:
        """Those acknowledged after this moment."""
        return [save for save in self.list_saves() if save.acknowledged is not None and save.acknowledged > since]

    def list_missing(self) -> list[Save]:
        return [save for save in self.list_saves() if save.is_missing]

    def take_found_save(self) -> Save | None:
        """One that was found, so that it can be removed."""
        return next((save for save in self.list_saves() if save.found is not None and not save.is_being_removed), None)


def now() -> float:
    return time.monotonic()
