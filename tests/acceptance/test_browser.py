"""A person at a real browser: upload in the admin, see it in the storefront, search by photo, publish from a phone.

Screenshots of every page, at 390 and 1280 px, lie in `var/screenshots/` afterwards.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import catalogue
from tests.servers.stack import PASSWORD, ROOT, UNTHROTTLED, Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = ROOT / "var" / "screenshots"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: `apt-get install chromium`"),
]


@pytest.fixture(scope="module")
def site(short_tmp: Path, prepared_var: Path) -> Iterator[Stack]:
    from tests.acceptance.conftest import copy

    with Stack(copy(prepared_var, short_tmp), demo=24, environ=UNTHROTTLED) as stack:
        stack.wait_for(lambda: (stack.var / "demo").read_text() == "done\n", "the demo is drawn", timeout=120)
        stack.wait_for(lambda: not catalogue.unsettled(stack), "the demo is embedded")
        assert catalogue.embedded(stack) > 24
        yield stack


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        yield running
        running.close()


@pytest.fixture(scope="module")
def pictures(short_tmp: Path) -> list[Path]:
    folder = short_tmp / "pictures"
    catalogue.draw(folder, listings=40)
    return sorted((folder / "images").glob("*.jpg"))


@pytest.fixture
def open_page(browser, site):
    """Opens a page for one person; a script error or a failed request on any page fails the test."""
    contexts, faults = [], []

    def make(size, phone=False):
        context = browser.new_context(viewport=size, has_touch=phone, is_mobile=phone, device_scale_factor=1)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "response", lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None
        )
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []


def shot(page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{page.viewport_size['width']}.png", full_page=True)


def sign_in(page, url: str) -> None:
    page.goto(f"{url}/sign-in/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")


def test_a_photo_uploaded_in_the_admin_shows_in_the_storefronts_similar_strip(open_page, site, pictures):
    page = open_page(DESKTOP)
    page.goto(f"{site.url}/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.goto(f"{site.url}/admin/listings/listing/add/")
    page.get_by_label("Title").fill("Lamp from the admin")
    page.evaluate("document.querySelector('select[name=seller]').append(new Option('admin', '1', true, true))")
    page.locator("input[name=photos]").set_input_files([str(path) for path in pictures[:2]])
    shot(page, "admin-add")
    page.get_by_role("button", name="Save and continue editing").click()
    page.wait_for_url("**/change/")
    listing = int(page.url.rstrip("/").split("/")[-2])
    site.wait_for(lambda: catalogue.unsettled(site) == 0, "the photos are embedded")
    page.reload()
    page.get_by_text("Similar listings").first.wait_for()
    assert page.locator("table img").count() > 0
    shot(page, "admin-change")
    page.goto(f"{site.url}/admin/listings/listing/")
    shot(page, "admin-list")
    page.goto(f"{site.url}/listings/{listing}/")
    strip = page.locator("section.similar")
    strip.get_by_role("link").first.wait_for()
    shot(page, "listing")
    found = strip.get_by_role("link").first.get_attribute("href")
    page.goto(f"{site.url}{found}")
    answer = site.admin().get(f"/api/v1{found}similar/?limit=100").expect(200).json()
    assert listing in {one["listing"]["id"] for one in answer["results"]}


def test_home_is_alive_and_a_photo_dropped_on_the_search_page_finds_its_listing_first(open_page, site):
    for size in (DESKTOP, PHONE):
        page = open_page(size, phone=size is PHONE)
        page.goto(f"{site.url}/")
        assert page.locator("main img, .grid img").count() >= 12
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert page.get_by_text("untrained").count() == 0
        shot(page, "home")
        card = page.locator(".grid a[href*='/listings/']").first
        title = card.inner_text().splitlines()[0]
        address = card.get_attribute("href")
        picture = page.locator(f".grid a[href='{address}'] img, .grid li:has(a[href='{address}']) img").first
        content = site.visitor().get(picture.get_attribute("src")).expect(200).body
        page.goto(f"{site.url}/search/photo/")
        page.locator("#search-file").set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": content})
        if page.locator("#results .grid a").count() == 0:
            button = page.get_by_role("button", name="Search", exact=True)
            if button.is_visible():
                button.click()
        first = page.locator("#results a[href*='/listings/']").first
        first.wait_for()
        shot(page, "search-by-photo")
        assert first.get_attribute("href") == address, title


def test_a_seller_publishes_from_a_phone_and_watches_each_photo(open_page, site, pictures):
    page = open_page(PHONE, phone=True)
    sign_in(page, site.url)
    page.goto(f"{site.url}/sell/")
    page.get_by_role("button", name="Publish").click()
    page.get_by_text("Give it a title").first.wait_for()
    shot(page, "sell-errors")
    page.locator("input[name=photos]").set_input_files([str(path) for path in pictures[5:8]])
    page.get_by_label("Title").fill("Published from a phone")
    page.get_by_label("Price").fill("12.50")
    shot(page, "sell")
    page.get_by_role("button", name="Publish").click()
    page.wait_for_url("**/my/listings/**")
    page.locator("[data-photo][data-state=ready]").nth(2).wait_for()
    assert page.locator("[data-photo] img").count() == 3
    shot(page, "my-listing")
    page.goto(f"{site.url}/my/")
    shot(page, "my-listings")
    listing = site.admin().get("/api/v1/listings/?q=Published+from+a+phone").json()["results"][0]
    assert [photo["state"] for photo in listing["images"]] == ["ready"] * 3
    page.goto(f"{site.url}/listings/{listing['id']}/")
    page.locator("section.similar a").first.wait_for()
    shot(page, "listing")


def test_the_whole_way_to_a_listing_needs_only_the_keyboard(open_page, site):
    page = open_page(DESKTOP)
    page.goto(f"{site.url}/")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('href') || document.activeElement.tagName"))
        if "/listings/" in str(reached[-1]):
            break
    assert "/listings/" in str(reached[-1]), reached
    assert page.evaluate("document.activeElement.matches(':focus-visible')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/listings/*/")


def test_api_docs_work_without_any_other_server(open_page, site):
    page = open_page(DESKTOP)
    strangers = []
    page.on(
        "request",
        lambda request: (
            strangers.append(request.url) if not request.url.startswith((site.url, "data:", "blob:")) else None
        ),
    )
    page.goto(f"{site.url}/api/docs/")
    page.get_by_text("/api/v1/search/image/").first.wait_for()
    shot(page, "api-docs")
    assert strangers == []
