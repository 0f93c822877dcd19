"""Changes a price and removes listings all the time, and looks whether an answer tells an older story.

An answer is stale if it was asked for two seconds after a change was acknowledged and misses it, without saying that
the index is behind. What was removed may never be in an answer that was asked for afterwards.
"""

from __future__ import annotations

import http.client
import threading
import time

from tests.servers.visitor import Answer, Visitor

from .notebook import Notebook, Save, now
from .watching import ask_once

FIRST_PRICE = 500_000
CHANGE_EVERY_SECONDS = 2.5
ASK_EVERY_SECONDS = 0.1
FRESH_SECONDS = 2.0


class Changer(threading.Thread):
    """`shown` is the price that answers have to know and since when, None while it is being changed."""

    def __init__(self, admin: Visitor, listing: int, notebook: Notebook, first: int) -> None:
        super().__init__(name="changer", daemon=True)
        self._admin, self.listing, self._notebook, self._first = admin, listing, notebook, first
        self._ended = threading.Event()
        self.shown: tuple[int, float] | None = None
        self.removed: Save | None = None
        self.changes = 0

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.is_set():
            self._change_price(FIRST_PRICE + self._first + self.changes)
            if save := self._notebook.take_found_save():
                self._remove_listing(save)
            self._ended.wait(CHANGE_EVERY_SECONDS)

    def _change_price(self, price: int) -> None:
        self.shown = None
        if self._ask_until_done("PATCH", f"/api/v1/listings/{self.listing}/", {"price": f"{price}.00"}):
            self.changes += 1
            self.shown = (price, now())

    def _remove_listing(self, save: Save) -> None:
        save.is_being_removed = True
        if self._ask_until_done("DELETE", f"/api/v1/listings/{save.listing}/", None):
            save.removed = now()
            self.removed = save

    def _ask_until_done(self, method: str, path: str, data: object) -> bool:
        while not self._ended.is_set():
            try:
                # 404: it was removed by the request before, whose answer was lost.
                if self._admin.request(method, path, data, timeout=5).status in {200, 204, 404}:
                    return True
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.2)
        return False


class StalenessWatch(threading.Thread):
    """Asks for what the changer did last; `stale` are answers that do not know it, in words."""

    def __init__(self, base: str, anchor: int, changer: Changer) -> None:
        super().__init__(name="staleness", daemon=True)
        self._visitor, self._changer = Visitor(base), changer
        self._path = f"/api/v1/listings/{anchor}/similar/?limit=5"
        self._ended = threading.Event()
        self.stale: list[str] = []
        self.judged = 0

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(ASK_EVERY_SECONDS):
            self._judge_price()
            self._judge_removal()

    def _judge_price(self) -> None:
        shown, asked = self._changer.shown, now()
        if shown is None or asked < shown[1] + FRESH_SECONDS:
            return
        answer = self._ask(shown[0])
        # A change that began meanwhile may be in the answer already.
        if answer is None or self._changer.shown != shown:
            return
        found = {result["listing"]["id"] for result in answer["results"]}
        if self._changer.listing not in found and not answer["index"]["behind"]:
            self.stale.append(f"a price changed {asked - shown[1]:.1f} s before is not known: {answer['index']}")

    def _judge_removal(self) -> None:
        removed, asked = self._changer.removed, now()
        if removed is None or removed.removed is None:
            return
        answer = self._ask(removed.price)
        if answer and any(result["listing"]["id"] == removed.listing for result in answer["results"]):
            self.stale.append(f"{removed.listing}, removed {asked - removed.removed:.1f} s before, is in an answer")

    def _ask(self, price: int) -> dict | None:
        answer = ask_once(self._visitor, f"{self._path}&min_price={price}&max_price={price}")
        if not isinstance(answer, Answer) or answer.status != 200:
            return None
        self.judged += 1
        return answer.json()
