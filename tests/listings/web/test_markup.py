"""Every page: one h1, texts for pictures, labels for inputs, unique ids, links and files that exist, nothing inline."""

from html.parser import HTMLParser

import pytest
from django.contrib.staticfiles import finders
from django.urls import Resolver404, resolve, reverse

from tests.factories import make_image, make_listing, make_ready_image, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

UNLABELLED = {"hidden", "submit", "button"}


class Page(HTMLParser):
    """Elements as (name, attributes), and text of buttons and links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag

    def all(self, *names):
        return [attributes for name, attributes in self.elements if name in names]


def build_pages():
    seller = make_user()
    listing = make_listing(seller, category="Home / Chairs", price=3, location="Leeds", description="Fine.")
    for _ in range(2):
        make_ready_image(listing)
    make_image(listing)
    make_image(listing, state="rejected", reason="Broken.")
    make_listing(seller, status="draft")
    return seller, {
        "home": "/",
        "search": "/?q=listing&category=Home&min_price=1",
        "nothing": "/?q=zebra",
        "senseless": "/?min_price=9&max_price=1",
        "listing": listing.get_absolute_url(),
        "photo search": "/search/photo/",
        "sign in": "/sign-in/",
        "sell": "/sell/",
        "my listings": "/my/",
        "none of mine": "/my/?status=sold",
        "edit": reverse("my-listing", args=[listing.pk]),
        "delete photo": reverse("delete-photo", args=[listing.pk, listing.images.first().pk]),
        "remove": reverse("remove-listing", args=[listing.pk]),
        "missing": "/listings/999999/",
    }


PAGES = (
    "home",
    "search",
    "nothing",
    "senseless",
    "listing",
    "photo search",
    "sign in",
    "sell",
    "my listings",
    "none of mine",
    "edit",
    "delete photo",
    "remove",
    "missing",
)


@pytest.fixture(params=PAGES)
def page(request, client):
    seller, addresses = build_pages()
    if request.param != "sign in":
        client.force_login(seller)
    return Page(client.get(addresses[request.param]).content.decode())


def test_a_page_has_one_main_heading_a_title_and_a_language(page):
    assert len(page.all("h1")) == 1
    assert len(page.all("title")) == 1
    assert page.all("html")[0]["lang"] == "en-GB"
    assert len(page.all("main")) == 1


def test_every_picture_has_a_text_or_says_that_it_needs_none(page):
    assert all("alt" in image for image in page.all("img"))
    assert all(drawing.get("aria-hidden") == "true" for drawing in page.all("svg"))


def test_every_input_has_a_label(page):
    labelled = {label.get("for") for label in page.all("label")}
    for field in page.all("input", "select", "textarea"):
        if field.get("type") not in UNLABELLED:
            assert field.get("id") in labelled, field


def test_ids_are_unique_and_what_refers_to_them_finds_them(page):
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("aria-describedby", "aria-labelledby", "for"):
            assert set((attributes.get(name) or "").split()) <= set(ids), attributes


def test_nothing_is_inline_or_loaded_from_elsewhere(page):
    for name, attributes in page.elements:
        assert name != "style"
        assert "style" not in attributes
        assert not [key for key in attributes if key.startswith("on")], attributes
        for key in ("src", "href", "action"):
            assert not (attributes.get(key) or "").startswith(("http:", "https:", "//")), attributes
    assert all(script.get("src") for script in page.all("script"))


def test_linked_pages_and_files_exist(page):
    for attributes in page.all("a", "link", "script", "form"):
        address = attributes.get("href") or attributes.get("src") or attributes.get("action") or ""
        path = address.partition("?")[0].partition("#")[0].removeprefix("http://testserver")
        if path.startswith("/static/"):
            assert finders.find(path.removeprefix("/static/")), path
        elif path:
            try:
                resolve(path)
            except Resolver404:
                pytest.fail(f"{path} leads nowhere")


def test_forms_that_change_something_carry_a_token(page):
    posts = [form for form in page.all("form") if form.get("method") == "post"]
    tokens = [field for field in page.all("input") if field.get("name") == "csrfmiddlewaretoken"]
    assert len(tokens) == len(posts)
