import pytest
from django.template import Context, Template
from django.utils.safestring import SafeString

from listings import slots

pytestmark = pytest.mark.usefixtures("bare_pages")


def test_a_hole_that_nobody_fills_is_empty():
    assert slots.render_slot("similar_strip", request=None, listing=None) == ""


def test_a_filler_is_given_the_context():
    slots.register_filler("similar_strip", lambda request, listing: SafeString(f"<b>{listing}</b>"))
    assert slots.render_slot("similar_strip", request=None, listing=7) == "<b>7</b>"


def test_the_last_filler_wins():
    slots.register_filler("site_banner", lambda request: SafeString("first"))
    slots.register_filler("site_banner", lambda request: SafeString("second"))
    assert slots.render_slot("site_banner", request=None) == "second"


@pytest.mark.parametrize(
    "use", [lambda: slots.register_filler("sidebar", SafeString), lambda: slots.render_slot("sidebar")]
)
def test_a_hole_that_no_page_has_is_refused_by_name(use):
    with pytest.raises(slots.UnknownSlot, match="no slot 'sidebar'"):
        use()


def test_the_tag_passes_the_request_and_its_arguments(rf):
    slots.register_filler("similar_strip", lambda request, listing: SafeString(f"<i>{request.path} {listing}</i>"))
    page = Template('{% load storefront %}{% slot "similar_strip" listing=chosen %}')
    assert page.render(Context({"request": rf.get("/x/"), "chosen": 3})) == "<i>/x/ 3</i>"


def test_text_that_a_filler_did_not_mark_as_html_is_escaped():
    slots.register_filler("site_banner", lambda request: "<script>")  # type: ignore[arg-type, return-value]
    page = Template('{% load storefront %}{% slot "site_banner" %}')
    assert page.render(Context()) == "&lt;script&gt;"
