"""JPEG files of cameras, editors and printers' tools."""

from __future__ import annotations

import random
import struct
from itertools import product

from PIL import Image

from tests.ml.images.made.picture import Made, corner_pixels, encode, quarters

XML = b'<?xml version="1.0"?>\n<!DOCTYPE plist PUBLIC "-//Example//DTD PLIST 1.0//EN" "http://example.org/plist.dtd">\n'
WORDS = XML + b"<html><body><script>alert(1)</script><?php echo 1 ?></body></html>"


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2) + body


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    return jpeg[:2] + segment(marker, body) + jpeg[2:]


def without_segment(jpeg: bytes, marker: int) -> bytes:
    start = jpeg.index(b"\xff" + bytes([marker]))
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4]) :]


def film(size: int) -> bytes:
    """What a phone appends to a picture that moves; by chance its bytes hold every marker of a JPEG."""
    return b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + (size + 8).to_bytes(4) + b"mdat" + random.Random(7).randbytes(size)


def scans_in_thumbnail() -> bytes:
    """EXIF with a thumbnail that says the mark of a scan two hundred times."""
    exif = Image.Exif()
    exif[0x010E] = "a thumbnail"
    return exif.tobytes() + b"\xff\xd8" + b"\xff\xda\0\x08" * 200 + b"\xff\xd9"


def printers_profile() -> bytes:
    """An ICC profile of inks: the L*a*b* colour of each mixture of cyan, magenta, yellow and black, full or none."""
    inks = {(0, 0, 0): (95, 0, -2), (1, 0, 0): (55, -37, -50), (0, 1, 0): (48, 74, -3), (0, 0, 1): (88, -5, 93)}
    inks |= {(0, 1, 1): (47, 68, 48), (1, 0, 1): (50, -68, 33), (1, 1, 0): (24, 22, -46), (1, 1, 1): (23, 0, 0)}
    nodes = b""
    for *mixture, black in product((0, 1), repeat=4):
        lightness, a, b = (16, 0, 0) if black else inks[mixture[0], mixture[1], mixture[2]]
        nodes += bytes([round(lightness * 2.55), a + 128, b + 128])
    identity = b"".join(struct.pack(">i", 65536 * (i % 4 == 0)) for i in range(9))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + bytes(range(256)) * 4 + nodes + bytes(range(256)) * 3
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(80),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        b"A2B0": table,
    }
    at, directory, bodies = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for kind, body in tags.items():
        padded = body + bytes(-len(body) % 4)
        directory += kind + struct.pack(">II", at + len(bodies), len(body))
        bodies += padded
    head = b"\0\0\0\0\2\x10\0\0prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return struct.pack(">I", at + len(bodies)) + head + directory + bodies


def jpegs() -> dict[str, Made]:
    plain = encode(quarters(), "JPEG", quality=92)
    progressive = encode(quarters(), "JPEG", quality=92, progressive=True)
    cmyk = encode(quarters().convert("CMYK"), "JPEG", quality=95)
    exif = Image.Exif()
    exif[0x010E], exif[0x9286] = WORDS.decode(), WORDS
    adobe_rgb = Image.Exif()
    adobe_rgb[0x010F], adobe_rgb.get_ifd(0x8769)[0xA001] = "a camera", 2
    sideways = b"http://ns.adobe.com/xap/1.0/\0" + b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    files = {
        "colour-space-in-exif.jpg": encode(quarters(), "JPEG", quality=92, exif=adobe_rgb),
        "turn-in-xmp.jpg": with_segment(encode(quarters(), "JPEG", quality=92, exif=adobe_rgb), 0xE1, sideways),
        "film.jpg": plain + film(8_000_000),
        "film-progressive.jpg": progressive + film(5_000_000),
        "scans-in-thumbnail.jpg": with_segment(plain, 0xE1, scans_in_thumbnail()),
        "scans-in-maker-note.jpg": with_segment(plain, 0xE4, b"\xff\xda" * 300),
        "words-in-app13.jpg": with_segment(plain, 0xED, b"Photoshop 3.0\0" + WORDS),
        "words-in-comment.jpg": with_segment(plain, 0xFE, WORDS),
        "words-in-exif.jpg": encode(quarters(), "JPEG", quality=92, exif=exif),
        "words-in-xmp.jpg": with_segment(plain, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + WORDS),
        "words-in-second-picture.jpg": plain + with_segment(plain, 0xE1, WORDS),
        "padded-second-picture.jpg": plain + bytes(40) + with_segment(plain, 0xFE, WORDS),
        "joined.jpg": plain + progressive,
        "cut-profile.jpg": with_segment(plain, 0xE2, b"ICC_PROFILE\0\1\2" + bytes(200)),
        "broken-mpf.jpg": with_segment(plain, 0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
        "cmyk-adobe.jpg": cmyk,
        "cmyk-bare.jpg": without_segment(cmyk, 0xEE),
        "fill-bytes.jpg": plain[:2] + b"\xff" * 50 + plain[2:],
        "no-end.jpg": plain[:-2],
        "half-end.jpg": plain[:-1],
        "no-end-progressive.jpg": progressive[:-2],
        "no-end-trailer.jpg": plain[:-2] + b"\0\0\1\x0a\x0e\0\0\0Image_UTC_Data1577836800000SEFHk" + bytes(20),
        "trailer.jpg": plain + b"Image_UTC_Data1577836800000SEFHk" + bytes(20) + b"SEFT",
    }
    inks = encode(quarters().convert("CMYK"), "JPEG", quality=95, icc_profile=printers_profile())
    # As libvips shows it; Chromium is within 9.
    printed = corner_pixels((201, 80, 60), (56, 125, 93), (80, 78, 131), (232, 198, 61))
    made = {
        "cmyk-profile.jpg": Made(inks, printed, tolerance=9),
        "cmyk-profile-bare.jpg": Made(without_segment(inks, 0xEE), printed, tolerance=9),
    }
    return made | {name: Made(data, corner_pixels(), tolerance=5) for name, data in files.items()}
