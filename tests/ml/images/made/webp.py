"""WebP files whose optional chunks are broken, misplaced, doubled, unknown or full of words."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from tests.ml.images.made.jpeg import WORDS
from tests.ml.images.made.picture import Made, corner_pixels, encode, quarters
from tests.ml.images.made.png import SRGB, SWAPPED, THROUGH_SWAPPED

Chunk = tuple[bytes, bytes]
UPRIGHT_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\1\0\0\0\0\0\0"


def list_chunks(data: bytes) -> Iterator[Chunk]:
    at = 12
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def join_chunks(chunks: Iterable[Chunk]) -> bytes:
    parts = [kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) for kind, body in chunks]
    content = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def webps() -> dict[str, Made]:
    whole = encode(quarters(), "WEBP", quality=95, icc_profile=SRGB, exif=UPRIGHT_EXIF, xmp=b"<x/>")
    chunks = dict(list_chunks(whole))
    head, profile = (b"VP8X", chunks[b"VP8X"]), (b"ICCP", chunks[b"ICCP"])
    rest = [(kind, body) for kind, body in chunks.items() if kind not in (b"VP8X", b"ICCP")]

    def with_body(kind: bytes, body: bytes) -> bytes:
        return join_chunks((chunks | {kind: body}).items())

    files = {
        "broken-profile.webp": with_body(b"ICCP", b"garbage"),
        "empty-profile.webp": with_body(b"ICCP", b""),
        "broken-exif.webp": with_body(b"EXIF", b"II*\0\xff\xff\xff\xff"),
        "short-exif.webp": with_body(b"EXIF", b"\1\2\3"),
        "words-in-xmp.webp": with_body(b"XMP ", WORDS),
        "missing-profile.webp": join_chunks([head, *rest]),
        "late-profile.webp": join_chunks([head, *rest, profile]),
        "two-profiles.webp": join_chunks([head, profile, profile, *rest]),
        "unknown-chunk.webp": join_chunks([head, (b"ABCD", b"xyz"), profile, *rest]),
        "trailer.webp": whole + b"trailer",
    }
    made = {name: Made(data, corner_pixels()) for name, data in files.items()}
    return made | {"profile.webp": Made(with_body(b"ICCP", SWAPPED), THROUGH_SWAPPED)}
