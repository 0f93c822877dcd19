"""JPEG files of cameras, editors and printers' tools."""

from __future__ import annotations

import random

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


def jpegs() -> dict[str, Made]:
    plain = encode(quarters(), "JPEG", quality=92)
    progressive = encode(quarters(), "JPEG", quality=92, progressive=True)
    cmyk = encode(quarters().convert("CMYK"), "JPEG", quality=95)
    exif = Image.Exif()
    exif[0x010E], exif[0x9286] = WORDS.decode(), WORDS
    files = {
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
    return {name: Made(data, corner_pixels(), tolerance=5) for name, data in files.items()}
