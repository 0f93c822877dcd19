"""Looks for what was saved, as a visitor would: by listings like another one, in a range of prices."""

from __future__ import annotations

import threading

from tests.servers.visitor import Answer, Visitor

from .notebook import Notebook, Save, now
from .watching import ask_once

EVERY_SECONDS = 0.1
RESULTS = 100  # of one answer; prices are whole numbers, so that a range of 100 prices holds as many saves at most


class Finder(threading.Thread):
    """Notes when each acknowledged save is found first."""

    def __init__(self, base: str, anchor: int, notebook: Notebook) -> None:
        super().__init__(name="finder", daemon=True)
        self._visitor, self._anchor, self._notebook = Visitor(base), anchor, notebook
        self._ended = threading.Event()

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            for some in split_by_price(self._notebook.list_missing()):
                asked = f"min_price={some[0].price}&max_price={some[-1].price}"
                found = find_similar(self._visitor, self._anchor, asked)
                for save in some:
                    if found and save.listing in found:
                        save.found = now()


def find_similar(visitor: Visitor, anchor: int, query: str) -> set[int] | None:
    """Ids of listings like the anchor; None where the site did not answer with any."""
    answer = ask_once(visitor, f"/api/v1/listings/{anchor}/similar/?limit={RESULTS}&{query}")
    if not isinstance(answer, Answer) or answer.status != 200:
        return None
    return {result["listing"]["id"] for result in answer.json()["results"]}


def split_by_price(saves: list[Save]) -> list[list[Save]]:
    """In groups whose prices lie so close together that one answer can hold all of them."""
    groups: list[list[Save]] = []
    for save in sorted(saves, key=lambda save: save.number):
        if groups and save.number < groups[-1][0].number + RESULTS:
            groups[-1].append(save)
        else:
            groups.append([save])
    return groups
