"""Formats of pictures that are not taken, so that a refusal can name them."""

from __future__ import annotations

import re

_UNSUPPORTED = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"8BPS": "Photoshop",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\1\0": "icon",
    b"%PDF-": "PDF",
}
_SVG = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:\?xml|!--|!doctype svg|svg)", re.IGNORECASE)


def find_other_format(prefix: bytes) -> str | None:
    """What people call the format that the first bytes of a file announce; None where they are no picture's."""
    if _SVG.match(prefix):
        return "SVG or XML"
    return next((name for magic, name in _UNSUPPORTED.items() if prefix.startswith(magic)), None)
