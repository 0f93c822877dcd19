"""The one decoder: bytes from strangers in, upright sRGB pictures and their derivatives out. No Django, no torch."""

from .decoder import decode, decode_file
from .derivatives import (
    CLEAN_SIDE,
    THUMB_SIDE,
    Encoded,
    crop,
    encode_jpeg,
    make_clean_picture,
    make_derivatives,
    make_thumb,
)
from .header import MAX_BYTES, Code, Header, PhotoRefused, sniff_header

__all__ = [
    "CLEAN_SIDE",
    "MAX_BYTES",
    "THUMB_SIDE",
    "Code",
    "Encoded",
    "Header",
    "PhotoRefused",
    "crop",
    "decode",
    "decode_file",
    "encode_jpeg",
    "make_clean_picture",
    "make_derivatives",
    "make_thumb",
    "sniff_header",
]
