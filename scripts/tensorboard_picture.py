"""A picture of what TensorBoard shows of a run: python scripts/tensorboard_picture.py RUN PICTURE.png [--tab images].

Starts TensorBoard on the loopback interface and photographs one of its tabs with Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

# By the element that a tab has only once it is drawn: a picture that is taken earlier would be empty.
TABS = {
    "images": "tf-image-loader",
    "projector": "plugins-component",
    "scalars": "tf-scalar-card",
    "timeseries": "scalar-card",
}
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
START_SECONDS = 60


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run of `python -m ml train`")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--tab", choices=TABS, default="images", help="(default: %(default)s)")
    parser.add_argument("--tags", default="", help="show only tags with this in them, as in neighbours")
    parser.add_argument("--size", default="1400x900", help="of the window (default: %(default)s)")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed: `apt-get install chromium`.")
    with tensorboard(options.run) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"{url}/?tagFilter={options.tags}#{options.tab}&tagFilter={options.tags}")
        photograph(page, options.tab, options.picture)
        browser.close()


def photograph(page: Page, tab: str, picture: Path) -> None:
    """Wait until the tab has drawn, then write the picture."""
    page.locator(TABS[tab]).first.wait_for(timeout=60_000)
    if tab == "images":
        page.get_by_text("Show actual image size").click()
    if tab == "timeseries":
        page.get_by_role("button", name="Settings", exact=False).last.click()
    # What is there by now still moves into its place, in the projector for several seconds.
    page.wait_for_timeout(8_000 if tab == "projector" else 3_000)
    page.screenshot(path=picture)


@contextmanager
def tensorboard(run: Path) -> Iterator[str]:
    """A TensorBoard over the run, as the address where it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(run / "tensorboard"), "--port", str(port)]
    server = subprocess.Popen([*command, "--host", "127.0.0.1"], stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url)
        yield url
    finally:
        server.terminate()
        server.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own address, and no file
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    main()
