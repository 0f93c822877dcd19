"""The browser as a decoder: a picture drawn on a canvas over white, and its pixels read back."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .views import LONGEST_SIDE, Refusal, Seen, View

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ORIGIN = "http://pictures.test/"  # answered by the route below, never by a network
READ_PIXELS = (Path(__file__).parent / "read_pixels.js").read_text()
SECONDS = 60


class Chromium:
    """One page of a running browser, which is given every picture in turn."""

    def __init__(self, browser: Any) -> None:
        self._browser, self._data = browser, b""
        self._page: Any = None

    def view(self, path: Path) -> Seen:
        from playwright.sync_api import Error

        self._data = path.read_bytes()
        try:
            found = self._open_page().evaluate(READ_PIXELS, LONGEST_SIDE)
        except Error as error:
            self._page = None  # a page that crashed or hangs is given up
            return Refusal(error.message.splitlines()[0][:120])
        if "refused" in found:
            return Refusal(found["refused"][:120])
        pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
        return View((found["width"], found["height"]), pixels.reshape(found["rows"], -1, 3))

    def _open_page(self) -> Any:
        if self._page is None:
            self._page = self._browser.new_page()
            self._page.set_default_timeout(SECONDS * 1000)
            self._page.route(f"{ORIGIN}**", self._answer)
            self._page.goto(ORIGIN)
        return self._page

    def _answer(self, route: Any) -> None:
        if route.request.url == ORIGIN:
            route.fulfill(body="", content_type="text/html")
        else:
            # Chromium tells pictures by their first bytes, so one type serves them all.
            route.fulfill(body=self._data, content_type="image/png", headers={"Cache-Control": "no-store"})


@contextmanager
def start_chromium() -> Iterator[Chromium]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield Chromium(browser)
        finally:
            browser.close()
