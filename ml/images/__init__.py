"""The one decoder: bytes from strangers in, upright sRGB pictures and their derivatives out. No Django, no torch."""

from .decoder import decode, read
from .derivatives import CLEAN_SIDE, THUMB_SIDE, clean, crop, encode_jpeg, thumb
from .header import MAX_BYTES, Header, sniff
from .refusal import Code, PhotoRefused

__all__ = [
    "CLEAN_SIDE",
    "MAX_BYTES",
    "THUMB_SIDE",
    "Code",
    "Header",
    "PhotoRefused",
    "clean",
    "crop",
    "decode",
    "encode_jpeg",
    "read",
    "sniff",
    "thumb",
]
