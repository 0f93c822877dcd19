from pathlib import Path

from listings.models import Listing


def ensure_demo_marker(marker: Path) -> None:
    """Note, the first time only, whether this site began empty and wants the demo catalogue."""
    if not marker.exists():
        marker.write_text("unwanted\n" if Listing.objects.exists() else "wanted\n")
