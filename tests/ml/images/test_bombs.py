"""Pictures that claim, or hide, more pixels than memory is given for are refused before they cost it."""

import io
import subprocess
import sys
import zlib
from functools import partial

import pytest
from PIL import Image

from ml.images import decode, sniff_header
from ml.images.decoder import open_for_decoding
from ml.images.ends import find_end
from ml.images.header import LARGE_BYTES, PEAK_BYTES
from tests.ml.images.refused import both, refusal
from tests.ml.pictures import FIXTURES, claim_png, encode, quarters

SIZE = (64).to_bytes(4) + (48).to_bytes(4)


def claim_jpeg(side: int, **options: object) -> bytes:
    """A small JPEG whose header says that it is a square of `side`."""
    data = encode(quarters(), "JPEG", **options)
    return data.replace((48).to_bytes(2) + (64).to_bytes(2), side.to_bytes(2) * 2, 1)


def claim_heic(side: int) -> bytes:
    return (FIXTURES / "quarters.heic").read_bytes().replace(SIZE, side.to_bytes(4) * 2)


GIF = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08"
WEBP = b"RIFF\x24\0\0\0WEBPVP8X\n\0\0\0\x10\0\0\0\xfe\x3f\0\xfe\x3f\0" + bytes(20)


@pytest.mark.parametrize(
    "data", [claim_jpeg(40_000, progressive=True), claim_png(20_000, 20_000), GIF, claim_heic(20_000)]
)
def test_pictures_of_too_many_pixels_are_refused_by_their_header(data):
    assert both(data + bytes(100)) == {"too_many_pixels"}


def test_the_refusal_names_the_size_and_what_to_do():
    assert refusal(sniff_header, io.BytesIO(claim_png(20_000, 20_001))).reason == (
        "The photo is too large to be opened here: 20,000 x 20,001 pixels. Save it smaller and send it again."
    )


def test_a_jpeg_in_scans_of_one_channel_each_takes_memory_like_a_progressive_one():
    """A header of three channels whose first scan has one of them."""

    def claim(side: int) -> tuple[bytes, bytes]:
        whole = claim_jpeg(side, subsampling=0)
        start = whole.index(b"\xff\xda")
        return whole, whole[:start] + b"\xff\xda\0\x08\x01\x01\x00\x00\x3f\x00" + whole[start + 14 :]

    whole, parts = claim(30_000)
    assert sniff_header(io.BytesIO(whole)).width == 30_000
    assert refusal(sniff_header, io.BytesIO(parts)).code == "too_many_pixels"
    # One that may be decoded leaves this process all the same: of 26 million pixels 156 MB are kept.
    whole, parts = claim(5100)
    assert [open_for_decoding(io.BytesIO(data), 512).is_costly for data in (whole, parts)] == [False, True]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("24 MP", (5712, 4284)),
        ("48 MP", (8064, 6048)),
        ("50 MP", (8160, 6144)),
        ("64 MP", (9248, 6936)),
        ("108 MP", (12032, 9024)),
        ("200 MP", (16320, 12240)),
    ],
)
def test_the_sizes_of_devices_are_taken(name, size):
    turned = Image.Exif()
    turned[0x0112] = 6
    if size[0] * size[1] < 51_000_000:  # larger ones are JPEG
        heic = (FIXTURES / "quarters.heic").read_bytes().replace(SIZE, size[0].to_bytes(4) + size[1].to_bytes(4))
        header = sniff_header(io.BytesIO(heic))
        assert sorted([header.width, header.height]) == sorted(size)
    for options in ({}, {"progressive": True}) if size[0] < 10_000 else ({},):
        data = encode(quarters(), "JPEG", exif=turned, **options)
        data = data.replace((48).to_bytes(2) + (64).to_bytes(2), size[1].to_bytes(2) + size[0].to_bytes(2))
        assert sniff_header(io.BytesIO(data)).height == size[0]


def test_threads_need_not_wait_for_each_other_with_heic_photos_of_12_megapixels():
    heic = (FIXTURES / "quarters.heic").read_bytes().replace(SIZE, (4032).to_bytes(4) + (3024).to_bytes(4))
    assert open_for_decoding(io.BytesIO(heic), 512).peak_bytes < LARGE_BYTES


def test_of_a_huge_jpeg_the_most_that_memory_allows_is_decoded_for_a_small_part_of_it():
    opened = open_for_decoding(io.BytesIO(claim_jpeg(20_000)), 15_000)
    assert (opened.draft, opened.peak_bytes <= PEAK_BYTES) == (4, True)
    assert refusal(decode, claim_jpeg(20_000)).code == "too_many_pixels"


def test_a_large_jpeg_is_decoded_at_a_fraction():
    picture = decode(encode(Image.new("L", (8000, 8000), 90), "JPEG", quality=1), max_side=512)
    assert picture.size == (1000, 1000)


@pytest.mark.parametrize("data", [claim_png(30_000, 30_000), GIF, WEBP])
def test_a_header_that_claims_gigabytes_costs_no_memory(data, tmp_path):
    """Each in its own process, whose peak is then known."""
    path = tmp_path / "bomb"
    path.write_bytes(data + bytes(64))
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
    assert code in ("too_many_pixels", "truncated")


def count_on(fmt: str, part: bytes, times: int, at: int = 2, start: bytes = b"", end: bytes = b"") -> bytes:
    """A picture with `part` so many times in its metadata."""
    data = encode(quarters(), fmt)
    return data[:at] + start + part * times + end + data[at:]


@pytest.mark.parametrize(
    "data",
    [
        count_on("JPEG", b"\xff\xfe\0\2", 70_000),
        count_on("JPEG", b"\xff\xd8", 120_000),
        count_on("JPEG", b"\0", 250_000, start=b"\xff\xfe\0\2"),
        count_on("JPEG", b"\xff\xe1\0\x09Exif\0\0x", 40_000, start=b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)),
        count_on("PNG", b"\0\0\0\0teXt" + zlib.crc32(b"teXt").to_bytes(4), 210_000, at=33),
        count_on("GIF", b"\1x", 110_000, at=13 + 3 * 4, start=b"!\1", end=b"\0"),
    ],
    ids=["comments", "starts", "junk", "exif", "chunks", "blocks"],
)
def test_metadata_in_more_parts_than_pictures_have_is_not_read(data):
    """Of 40 MB of such parts, some took a quarter of an hour."""
    assert both(data) == {"truncated"}


def test_metadata_of_many_megabytes_is_read():
    large = b"\xff\xe1\xff\xff" + bytes(65_533)
    assert decode(count_on("JPEG", large, 300)).size == (64, 48)


def test_parts_are_counted_in_all_pictures_of_a_file_together():
    picture = b"\xff\xd8" + b"\xff\xfe\0\2" * 90_000 + b"\xff\xd9"
    assert find_end(picture * 2, "JPEG") == 2 * len(picture)
    assert find_end(picture * 4, "JPEG") < 3 * len(picture)


def repeat_last_scan(data: bytes, times: int, size: tuple[int, int] | None = None) -> bytes:
    """A progressive JPEG of 64 by 48 pixels with its last scan again and again, which claims to be of another size."""
    start = data.rindex(b"\xff\xda")
    data = data[:start] + data[start:-2] * (times + 1) + data[-2:]
    sides = (48).to_bytes(2) + (64).to_bytes(2)
    return data.replace(sides, size[1].to_bytes(2) + size[0].to_bytes(2), 1) if size else data


@pytest.mark.parametrize(
    ("mode", "size", "times", "taken"),
    [
        ("L", (64, 48), 90, True),
        ("L", (64, 48), 200, False),
        ("L", (8000, 8000), 0, True),
        ("L", (8000, 8000), 8, True),
        ("L", (8000, 8000), 94, False),
        ("RGB", (8000, 8000), 6, True),
        ("RGB", (8000, 8000), 20, False),
        ("RGB", (9248, 6936), 0, True),
        ("CMYK", (5000, 5000), 0, True),
        ("CMYK", (5000, 5000), 20, False),
    ],
)
def test_a_jpeg_is_judged_by_the_pixels_of_all_its_scans_at_the_door_and_when_it_is_decoded(mode, size, times, taken):
    data = repeat_last_scan(encode(quarters().convert(mode), "JPEG", progressive=True), times, size)
    for header_only in (True, False) if size[0] > 1000 else (False,):
        open_it = partial(open_for_decoding, io.BytesIO(data), 512, header_only=header_only)
        if taken:
            assert open_it().is_costly == (size[0] > 1000)
        else:
            refused = refusal(open_it)
            assert refused.reason == "The JPEG has too many scans. Save the photo again and send it once more."
            assert refused.code == "unsupported"


def test_of_channels_of_the_same_number_that_is_counted_which_the_decoder_takes():
    """A hundred scans go through the first of them, which has all samples or a sixteenth."""
    data = repeat_last_scan(encode(quarters(), "JPEG", progressive=True, subsampling=0), 100)
    named = b"\x01\x11\x00\x02\x11\x01\x03\x11\x01"
    assert named in data
    large = data.replace(named, b"\x01\x44\x00\x01\x11\x01\x01\x11\x01")
    small = data.replace(named, b"\x01\x11\x00\x01\x11\x01\x01\x44\x01")
    assert refusal(open_for_decoding, io.BytesIO(large), None).code == "unsupported"
    assert open_for_decoding(io.BytesIO(small), None).header.width == 64


def test_a_jpeg_that_is_coded_arithmetically_is_refused_and_one_whose_metadata_holds_such_marks_is_not():
    data = encode(quarters(), "JPEG")
    assert refusal(decode, data.replace(b"\xff\xc0", b"\xff\xc9", 1)).code == "unsupported"
    assert decode(data[:2] + b"\xff\xfe\0\6\xff\xc9\xff\xca" + data[2:]).size == (64, 48)


def test_a_large_jpeg_has_fewer_scans_than_a_small_one():
    """A scan costs time by the pixels it might change, even if it says nothing."""
    data = encode(Image.new("L", (64, 48)), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    data = data[:start] + data[start:-2] * 50 + data[-2:]
    assert decode(data).size == (64, 48)
    data = data.replace((48).to_bytes(2) + (64).to_bytes(2), (9000).to_bytes(2) + (10_000).to_bytes(2), 1)
    assert refusal(decode, data, 512).code == "unsupported"
