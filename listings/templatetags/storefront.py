"""What templates of every room use to show a listing."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django import template
from django.conf import settings
from django.template import Context
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from listings import slots
from listings.models import Listing, ListingImage
from ml.catalogue.counts import describe_count

register = template.Library()

SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥"}


@register.simple_tag(takes_context=True, name="slot")
def fill_slot(context: Context, name: str, **values: object) -> SafeString:
    """`{% slot "similar_strip" listing=listing %}`: the slot's content, given the request too."""
    return slots.render_slot(name, request=context.get("request"), **values)


@register.filter(name="price")
def format_price(amount: Decimal | None) -> str:
    """The price as people read it: none stated and given away are not numbers."""
    if amount is None:
        return "Price on request"
    if amount == 0:
        return "Free"
    # People write £45 and not £45.00, so whole prices are shown without hundredths.
    number = f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"
    return f"{currency_sign()}{number}"


@register.simple_tag
def currency_sign() -> str:
    currency = settings.MARKETPLACE_CURRENCY
    return SYMBOLS.get(currency, f"{currency} ")


@register.simple_tag
def site_name() -> str:
    return settings.MARKETPLACE_NAME


@register.filter
def lead_photo(listing: Listing) -> ListingImage | None:
    """The first photo that can be shown; costs no query where the listing was read with `with_details()`."""
    return next((image for image in listing.photos if image.thumb_file), None)


@register.filter(name="ago")
def format_age(moment: datetime) -> str:
    """ "just now", "5 minutes ago", "2 weeks ago"."""
    if timezone.now() - moment < timedelta(minutes=1):
        return "just now"
    return f"{timesince(moment, depth=1)} ago"


@register.filter
def photo_alt(image: ListingImage, title: str) -> str:
    """Text for who cannot see the photo: photos have no captions, so the title and the place in the row must do."""
    return title if image.position == 0 else f"{title}, photo {image.position + 1}"


@register.filter
def photo_summary(listing: Listing) -> str:
    """ "3 photos, 1 being prepared, 1 not usable"."""
    images = listing.photos
    waiting = sum(image.state == ListingImage.State.NEW for image in images)
    rejected = sum(image.state == ListingImage.State.REJECTED for image in images)
    total = describe_count(len(images), "photo") if images else "No photos"
    more = [(waiting, "being prepared"), (rejected, "not usable")]
    return ", ".join([total, *(f"{count} {words}" for count, words in more if count)])


@register.filter
def status_words(listing: Listing) -> str:
    return "On sale" if listing.status == Listing.Status.ACTIVE else listing.get_status_display()
