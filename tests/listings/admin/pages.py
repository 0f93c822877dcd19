"""Addresses of the admin's listings, what its form sends, and what its pages say."""

from __future__ import annotations

from django.urls import reverse

LIST = "/admin/listings/listing/"
ADD = "/admin/listings/listing/add/"


def change(listing):
    return reverse("admin:listings_listing_change", args=[listing.pk])


def form(seller, images=(), **fields):
    rows = [
        {
            f"images-{number}-id": image.pk,
            f"images-{number}-listing": image.listing_id,
            f"images-{number}-position": place,
        }
        for number, (image, place) in enumerate(images)
    ]
    management = {"images-TOTAL_FORMS": len(rows), "images-INITIAL_FORMS": len(rows)}
    merged = {key: value for row in rows for key, value in row.items()}
    return {"title": "Chair", "seller": seller.pk, "status": "active", **management, **merged, **fields}


def said(response):
    return [str(message) for message in response.context["messages"]]


def shown(response):
    return [listing.title for listing in response.context["cl"].result_list]
