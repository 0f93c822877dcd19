"""The content security policy lets every page work: a real browser reports no refused file, script or style."""

import shutil

import pytest

from recommender.registry.evaluation import reports_folder
from tests.factories import make_listing, make_ready_image, make_user
from tests.recommender.queue_rows import make_model
from tests.recommender.registered import EVALUATION

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]


@pytest.fixture
def look(live_server, monkeypatch):
    """Open a page as a signed-in member of staff; what the console complained about, and the page."""
    from playwright.sync_api import sync_playwright

    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    make_user("boss", staff=True, password="correct horse")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{live_server.url}/admin/login/")
        page.fill("#id_username", "boss")
        page.fill("#id_password", "correct horse")
        page.click("input[type=submit]")

        def open_page(path: str, ready: str):
            page.goto(f"{live_server.url}{path}")
            page.wait_for_selector(ready, timeout=20_000)
            return page

        yield open_page, complaints
        browser.close()


def test_documentation_admin_and_storefront_load_whole(look):
    open_page, complaints = look
    listing = make_listing(title="Oak chair")
    make_ready_image(listing)
    docs = open_page("/api/docs/", ".opblock-summary-path")
    assert docs.locator(".opblock").count() >= 11
    open_page("/admin/", "#content")
    open_page(f"/admin/listings/listing/{listing.pk}/change/", "#id_title")
    open_page("/", "main")
    page = open_page(f"/listings/{listing.pk}/", "main img")
    assert page.locator("main img").first.evaluate("image => image.naturalWidth") > 0
    assert complaints == []


def test_the_registry_and_its_reports_load_whole(look, settings, tmp_path):
    open_page, complaints = look
    settings.MODELS_ROOT = tmp_path
    old, new = (
        make_model(version="old", metrics={"evaluations": [EVALUATION]}),
        make_model("backfilling", version="new"),
    )
    reports_folder(old).mkdir()
    pixel = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    (reports_folder(old) / EVALUATION["report"]).write_text(
        f'<style>h1 {{ color: red }}</style><h1>Report</h1><img src="data:image/gif;base64,{pixel}">'
    )
    page = open_page("/admin/recommender/embeddingmodel/", "#result_list progress")
    assert page.locator("#result_list progress").count() == 2
    open_page(f"/admin/recommender/embeddingmodel/{new.pk}/change/", "progress")
    open_page(f"/admin/recommender/embeddingmodel/{new.pk}/activate/", "#content input[type=submit]")
    open_page("/admin/recommender/embeddingmodel/", "#result_list")
    page.get_by_role("link", name="Show").click()
    page.get_by_role("heading", name="Report").wait_for()
    assert complaints == []
