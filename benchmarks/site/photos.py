"""Provides distinct JPEG photos: real ones where the shared data is at hand, else drawn by the demo catalogue."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "clothing" / "images"


def load_or_draw_photos(count: int) -> list[bytes]:
    if SHARED.is_dir():
        return [path.read_bytes() for path in islice(sorted(SHARED.glob("*.jpg")), count)]
    from listings.demo.photos import encode_planned_photo
    from listings.demo.plan import plan_catalogue

    drawn = (
        encode_planned_photo(photo) for listing in plan_catalogue(count, datetime.now(UTC)) for photo in listing.photos
    )
    return list(islice(drawn, count))
