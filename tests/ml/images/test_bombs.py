"""Pictures that claim, or hide, more pixels than may be decoded are refused before they cost memory."""

import io
import subprocess
import sys
import zlib
from functools import cache

import pytest
from PIL import Image

from ml.images import decode
from tests.ml.images.refused import both, refusal
from tests.ml.pictures import FIXTURES, encode


@cache
def bomb(name: str) -> bytes:
    """A few kilobytes that claim, and hold, far more pixels than are taken."""
    if name == "jpeg":
        return encode(Image.new("L", (8100, 8000)), "JPEG", quality=1)
    return encode(Image.new("1", (5000, 4900)), name.upper())


@pytest.mark.parametrize("name", ["jpeg", "png", "gif"])
def test_pictures_of_too_many_pixels_are_refused_by_their_header(name):
    assert both(bomb(name)) == {"too_many_pixels"}


def test_a_heic_whose_header_claims_too_many_pixels_is_refused():
    size = (64).to_bytes(4) + (48).to_bytes(4)
    data = (FIXTURES / "quarters.heic").read_bytes()
    assert size in data
    assert both(data.replace(size, (6000).to_bytes(4) + (5000).to_bytes(4))) == {"too_many_pixels"}


def test_a_heic_that_holds_more_pixels_than_its_header_claims_is_refused():
    data = (FIXTURES / "quarters.heic").read_bytes()
    lie = data.replace((64).to_bytes(4) + (48).to_bytes(4), (4).to_bytes(4) + (4).to_bytes(4))
    assert refusal(decode, lie.replace((64).to_bytes(4) * 2, (4).to_bytes(4) * 2)).code == "truncated"


def test_an_avif_that_holds_more_pixels_than_its_header_claims_is_refused_before_it_is_decoded():
    size = (9000).to_bytes(4) + (8001).to_bytes(4)
    data = encode(Image.new("L", (9000, 8001)), "AVIF", speed=10, quality=1)
    assert len(data) < 5000
    assert size in data
    lie = data.replace(size, (16).to_bytes(4) + (16).to_bytes(4))
    assert Image.open(io.BytesIO(lie)).size == (16, 16)
    assert both(lie) == {"too_many_pixels"}


def test_the_largest_jpeg_is_taken_and_decoded_at_a_fraction():
    picture = decode(encode(Image.new("L", (8000, 8000), 90), "JPEG", quality=1), max_side=512)
    assert picture.size == (1000, 1000)


def huge_png_header() -> bytes:
    header = b"IHDR" + (30_000).to_bytes(4) * 2 + b"\x08\x06\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4) + b"\0\0\1\0IDAT"


@pytest.mark.parametrize(
    "header",
    [
        huge_png_header(),
        b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08",
        b"RIFF\x24\0\0\0WEBPVP8X\n\0\0\0\x10\0\0\0\xfe\x3f\0\xfe\x3f\0" + bytes(20),
    ],
)
def test_a_header_that_claims_gigabytes_costs_no_memory(header, tmp_path):
    """Each in its own process, whose peak is then known."""
    path = tmp_path / "bomb"
    path.write_bytes(header + bytes(64))
    code = (
        "import sys; from ml.images import decode, PhotoRefused\n"
        "peak = lambda: next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "before = peak()\n"
        "try: decode(open(sys.argv[1], 'rb').read())\n"
        "except PhotoRefused as refused: print(peak() - before, refused.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    kibibytes, code = done.stdout.split()
    assert int(kibibytes) < 30_000
    assert code == "too_many_pixels"
