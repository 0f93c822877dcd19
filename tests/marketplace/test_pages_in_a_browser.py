"""Pages in a real browser: the content security policy lets every page work, and nothing that was chosen gets lost."""

import shutil

import pytest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from playwright.sync_api import expect, sync_playwright

from listings import slots
from listings.models import Listing, ListingImage
from recommender.models import IndexSnapshot
from recommender.registry.evaluation import reports_folder
from tests.factories import draw_photo, make_image, make_listing, make_ready_image, make_user
from tests.recommender.queue_rows import make_model
from tests.recommender.registered import EVALUATION

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
# Pauses between tries are shortened, so that a test of a lost connection does not wait for them.
IMPATIENT = "const wait = window.setTimeout; window.setTimeout = (done, pause) => wait(done, pause / 50);"


@pytest.fixture(scope="module")
def browser():
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, where Django would refuse to ask the database.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        running = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield running
        running.close()


expect.set_options(timeout=60_000)


def sign_in(page, address):
    page.goto(f"{address}/sign-in/")
    page.fill("#id_username", "boss")
    page.fill("#id_password", "correct horse")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{address}/")


@pytest.fixture
def open_page(browser, live_server):
    """Open a page as a signed-in member of staff, in a browser of their own."""
    make_user("boss", staff=True, password="correct horse")
    contexts = []

    def open_page(path: str, ready: str = "main", **options):
        context = browser.new_context(base_url=live_server.url, **options)
        contexts.append(context)
        context.add_init_script(IMPATIENT)
        page = context.new_page()
        page.set_default_timeout(60_000)
        sign_in(page, live_server.url)
        page.goto(path)
        page.wait_for_selector(ready)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def look(open_page):
    """Go from page to page; the page, and what the console complained about."""
    page = open_page("/")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def look_at(path: str, ready: str):
        page.goto(path)
        page.wait_for_selector(ready)
        return page

    return look_at, complaints


def test_documentation_admin_and_storefront_load_whole(look):
    look_at, complaints = look
    listing = make_listing(title="Oak chair")
    make_ready_image(listing)
    docs = look_at("/api/docs/", ".opblock-summary-path")
    assert docs.locator(".opblock").count() >= 11
    call = docs.locator(".opblock-post", has_text="Publish a listing")
    call.locator(".opblock-summary-control").click()
    call.locator("button.try-out__btn").click()
    call.locator("button.execute").click()
    call.locator(".live-responses-table .response-col_status", has_text="201").wait_for()
    look_at("/admin/", "#content")
    look_at(f"/admin/listings/listing/{listing.pk}/change/", "#id_title")
    look_at("/", "main")
    page = look_at(f"/listings/{listing.pk}/", "main img")
    assert page.locator("main img").first.evaluate("image => image.naturalWidth") > 0
    assert complaints == []


def test_the_registry_and_its_reports_load_whole(look, settings, tmp_path):
    look_at, complaints = look
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
    page = look_at("/admin/recommender/embeddingmodel/", "#result_list progress")
    assert page.locator("#result_list progress").count() == 2
    look_at(f"/admin/recommender/embeddingmodel/{new.pk}/change/", "progress")
    look_at(f"/admin/recommender/embeddingmodel/{new.pk}/activate/", "#content input[type=submit]")
    look_at("/admin/recommender/embeddingmodel/", "#result_list")
    page.get_by_role("link", name="Show").click()
    page.get_by_role("heading", name="Report").wait_for()
    assert complaints == []


def test_the_admins_photos_become_ready_by_themselves_and_its_lists_fit_1280_pixels(look, monkeypatch):
    look_at, complaints = look
    title = "Hand-made mid-century teak sideboard with brass handles, collected from " + "Llanfairpwllgwyngyll" * 3
    listing = make_listing(make_user("a.very.long.name@a-rather-long-mail-host.example.org"), title=title, price=10**9)
    model = make_model(version="a-long-name-of-a-model-that-somebody-trained-2026-11-30")
    image = make_image(listing, reason="The stored file is not the one that was uploaded. " * 3)
    fillers = {
        "admin_similar_panel": lambda request, listing: SafeString(f"<p>Photo {listing.images.get().state}.</p>")
    }
    monkeypatch.setattr(slots, "_fillers", fillers)
    page = look_at(f"/admin/listings/listing/{listing.pk}/change/", '[data-photo-state="new"]')
    ready = make_ready_image(make_listing())
    ListingImage.objects.filter(pk=image.pk).update(state="ready", thumb_file=ready.thumb_file.name)
    page.wait_for_selector(".field-thumbnail .admin-thumb")
    page.wait_for_selector(".photo-state.ready")
    page.get_by_text("Photo ready.").wait_for()
    IndexSnapshot.objects.create(model=model, directory="snapshots/" + "f" * 80, position="1")
    for kind in ("listings/listing", "listings/listingimage", "recommender/embedding", "recommender/indexsnapshot"):
        look_at(f"/admin/{kind}/", "#result_list")
        widths = page.evaluate(
            "[document.scrollingElement, document.querySelector('.results')].map(e => e.scrollWidth)"
        )
        assert widths[0] <= page.viewport_size["width"] == 1280
        assert widths[1] <= page.evaluate("document.querySelector('.results').clientWidth"), kind
    assert complaints == []


def choose(page, *seeds):
    photos = [{"name": f"{seed}.jpg", "mimeType": "image/jpeg", "buffer": draw_photo(seed)} for seed in seeds]
    page.locator("input[name=photos]").set_input_files(photos)


def press(page, button):
    page.get_by_role("button", name=button, exact=True).click()


def photos_of(title):
    return Listing.objects.get(title=title).images.count()


def test_chosen_photos_and_text_survive_mistakes_a_lost_connection_and_the_end_of_the_session(open_page, live_server):
    page = open_page("/sell/")
    chosen, error = page.locator("[data-picker-list] li"), page.locator("[data-uploader-error]")
    choose(page, 1, 2)
    page.get_by_label("Price").fill("12,50")
    press(page, "Publish")
    expect(page.locator("#id_price_error")).to_be_visible()
    page.get_by_label("Title").fill("Oak chair")
    assert page.get_by_label("Price").input_value() == "12,50"
    page.get_by_label("Price").fill("12.50")
    page.route("**/sell/", lambda route: route.abort())
    press(page, "Publish")
    expect(error).to_contain_text("No connection. Nothing here is lost")
    page.unroute("**/sell/")
    page.context.clear_cookies()
    press(page, "Publish")
    with page.context.expect_page() as opened:
        error.get_by_role("link", name="Sign in in a new tab").click()
    sign_in(opened.value, live_server.url)
    expect(chosen).to_have_count(2)
    page.route("**/photos/", lambda route: route.fulfill(status=413))
    press(page, "Publish")
    expect(error).to_contain_text("2 photos did not get through")
    page.unroute("**/photos/")
    page.route("**/photos/", lambda route: route.fulfill(status=503, json={"detail": "The database does not answer."}))
    press(page, "Publish")
    expect(chosen.first).to_contain_text("The server is busy. Not sent yet.")
    page.unroute("**/photos/")
    page.get_by_label("Title").fill("Oak stool")
    press(page, "Publish")
    page.wait_for_url("**/my/listings/*/")
    assert (photos_of("Oak stool"), Listing.objects.count()) == (2, 1)


def test_saving_changes_sends_the_chosen_photos(open_page):
    listing = make_listing(title="Oak chair")
    page = open_page(f"/my/listings/{listing.pk}/")
    choose(page, 1, 2)
    page.get_by_label("Title").fill("")
    press(page, "Save changes")
    expect(page.locator("#id_title_error")).to_be_visible()
    page.get_by_label("Title").fill("Oak stool")
    press(page, "Save and mark as sold")
    page.get_by_text("is marked as sold").wait_for()
    assert photos_of("Oak stool") == 2
    listing.images.filter(position=0).update(state="ready")
    expect(page.locator("[data-watch-said]")).to_have_text("1 photo still being prepared.")


def test_without_scripts_a_mistake_is_found_before_photos_are_sent_and_forgotten(open_page):
    page = open_page("/sell/", java_script_enabled=False)
    choose(page, 1)
    for title, price in [("", ""), ("  ", ""), ("Oak chair", "12,50"), ("Oak chair", "£12")]:
        page.get_by_label("Title").fill(title)
        page.get_by_label("Price").fill(price)
        press(page, "Publish")
        assert page.url.endswith("/sell/")
    page.get_by_label("Price").fill("12.50")
    press(page, "Publish")
    page.wait_for_url("**/my/listings/*/")
    assert photos_of("Oak chair") == 1
    choose(page, 2)
    press(page, "Save changes")
    page.get_by_text("Your changes are saved.").wait_for()
    assert photos_of("Oak chair") == 2


def test_a_new_order_waits_for_apply(open_page):
    make_listing(title="Oak chair")
    page = open_page("/")
    order = page.get_by_label("Order")
    order.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(order).to_have_value("-price")
    expect(order).to_be_focused()
    page.wait_for_timeout(300)
    assert "?" not in page.url
    press(page, "Apply")
    page.wait_for_url("**/?ordering=-price")


def test_back_and_reload_show_again_what_looked_like_a_photo(open_page, monkeypatch):
    listing = make_listing(title="Oak chair")
    make_ready_image(listing)
    card = render_to_string("listings/_card.html", {"listing": listing})
    monkeypatch.setitem(slots._fillers, "photo_search", lambda request, photo: card)
    page = open_page("/search/photo/")
    found = page.locator("#results").get_by_role("link", name="Oak chair")
    photo = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": draw_photo(1)}
    page.locator("#search-file").set_input_files(photo)
    found.click()
    page.get_by_role("heading", name="Oak chair").wait_for()
    page.go_back()
    expect(found).to_be_visible()
    page.reload()
    expect(found).to_be_visible()
    expect(page.get_by_text("1 listing looks like it.")).to_be_visible()
    assert page.locator("[data-preview] img").evaluate("image => image.naturalWidth") == 96
    page.goto("/")
    page.goto("/search/photo/")
    expect(found).to_have_count(0)
