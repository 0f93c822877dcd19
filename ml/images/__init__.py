"""The one decoder: bytes from strangers in, upright sRGB pictures and their derivatives out. No Django, no torch."""

from .cut_off import describe_missing
from .decoder import CLEAN_SIDE, DECODES_AT_ONCE, decode, decode_file, sniff_header, try_decoding_place
from .derivatives import (
    MIN_SIDE,
    THUMB_SIDE,
    Encoded,
    encode_jpeg,
    make_clean_picture,
    make_derivatives,
    make_thumb,
    refuse_plain_picture,
    refuse_small_picture,
)
from .header import MAX_BYTES, Code, Header, PhotoRefused
from .parts import Box, PartRefused, refuse_bad_box, refuse_small_part
from .segments import count_scans

__all__ = [
    "CLEAN_SIDE",
    "DECODES_AT_ONCE",
    "MAX_BYTES",
    "MIN_SIDE",
    "THUMB_SIDE",
    "Box",
    "Code",
    "Encoded",
    "Header",
    "PartRefused",
    "PhotoRefused",
    "count_scans",
    "decode",
    "decode_file",
    "describe_missing",
    "encode_jpeg",
    "make_clean_picture",
    "make_derivatives",
    "make_thumb",
    "refuse_bad_box",
    "refuse_plain_picture",
    "refuse_small_part",
    "refuse_small_picture",
    "sniff_header",
    "try_decoding_place",
]
