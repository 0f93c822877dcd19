"""Clients that save listings with a photo, one after another, and try again as honest clients do until it is answered.

What is sent again is the same request: with the same `Idempotency-Key` over REST, the same form on the page.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from tests.servers.visitor import Answer, Visitor

from .notebook import Notebook, Save, now
from .photos import draw_photo
from .watching import describe_answer

ANSWER_SECONDS = 15.0  # after which a client gives a request up and sends it again
PATIENCE_SECONDS = 150.0  # after which a save is given up
PAUSE_SECONDS = 0.2
MOST_PAUSE_SECONDS = 2.0


class RefusedSave(Exception):
    """The site refused what a client sent, in words."""


class Numbers:
    """Numbers of saves, never the same twice on one site, and the pictures that follow from them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._next = itertools.count(1)

    def begin_save(self, door: str) -> Save:
        number = next(self._next)
        name, content = draw_photo(number, self._seed)
        return Save(number, door, name, content, hashlib.sha256(content).hexdigest(), now())


class Saver(threading.Thread):
    """Saves until it is told to stop, and then ends the save at hand."""

    door: ClassVar[str]

    def __init__(self, visitor: Visitor, notebook: Notebook, numbers: Numbers, answered: Counter[str]) -> None:
        super().__init__(name=f"saver by {self.door}", daemon=True)
        self.visitor = visitor
        self._notebook, self._numbers, self._answered = notebook, numbers, answered
        self._ended = threading.Event()

    def stop(self) -> None:
        self._ended.set()

    def run(self) -> None:
        while not self._ended.is_set():
            save = self._numbers.begin_save(self.door)
            self._notebook.begin_save(save)
            try:
                self.save_listing(save)
            except RefusedSave as exc:
                save.refusal = str(exc)
                self._ended.wait(PAUSE_SECONDS)
            else:
                save.acknowledged = now()

    def save_listing(self, save: Save) -> None:
        """Save until it is acknowledged. Raises: RefusedSave."""
        raise NotImplementedError

    def send_until_answered(self, save: Save, send: Callable[[], Answer]) -> Answer:
        """The first answer that is not a fault's: no answer, 5xx and "too many" are tried again, after a pause."""
        last, pause = "nothing", PAUSE_SECONDS
        while now() < save.began + PATIENCE_SECONDS:
            save.tries += 1
            try:
                answer = send()
            except (OSError, http.client.HTTPException) as exc:
                last = f"no answer ({type(exc).__name__})"
            else:
                if answer.status < 500 and answer.status != 429:
                    if answer.status >= 400:
                        raise RefusedSave(describe_answer(answer))
                    return answer
                last = describe_answer(answer)
            self._answered[last] += 1
            time.sleep(pause)
            pause = min(pause * 2, MOST_PAUSE_SECONDS)
        raise RefusedSave(f"given up after {PATIENCE_SECONDS:.0f} s: {last}")


class RestSaver(Saver):
    door = "REST"

    def save_listing(self, save: Save) -> None:
        listing = {"title": save.title, "price": f"{save.price}.00"}
        created = self._send(save, lambda: self.visitor.post("/api/v1/listings/", listing, timeout=ANSWER_SECONDS))
        save.listing = created.json()["id"]
        path, files = f"/api/v1/listings/{save.listing}/images/", [("images", save.name, save.content)]
        self._send(save, lambda: self.visitor.post(path, files=files, timeout=ANSWER_SECONDS))

    def _send(self, save: Save, send: Callable[[], Answer]) -> Answer:
        """Send under a key of its own, which stays the same however often it is sent."""
        self.visitor.headers["Idempotency-Key"] = str(uuid.uuid4())
        return self.send_until_answered(save, send)


class PageSaver(Saver):
    """Fills in the form of *Sell* and sends it; a page that does not arrive is answered by sending the form again."""

    door = "page"

    def save_listing(self, save: Save) -> None:
        page = self.send_until_answered(save, lambda: self.visitor.get("/sell/", timeout=ANSWER_SECONDS))
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page.text))
        form = {**hidden, "title": save.title, "price": f"{save.price}.00", "description": ""}
        files = [("photos", save.name, save.content)]
        answer = self.send_until_answered(
            save, lambda: self.visitor.post("/sell/", form=form, files=files, timeout=ANSWER_SECONDS)
        )
        edited = re.search(r"/my/listings/(\d+)/", answer.url)
        if not edited:
            raise RefusedSave(f"the form came back from {answer.url}: {describe_answer(answer)}")
        save.listing = int(edited[1])
