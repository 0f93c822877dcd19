"""Whatever a stranger sends is either a picture or a PhotoRefused that says why, before much memory is spent."""

import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms, ImageStat

from ml.images import MAX_BYTES, PhotoRefused, decode, describe_missing, sniff_header
from ml.images.header import END_BYTES
from tests.ml.images.made import make_pictures
from tests.ml.images.refused import both, refusal
from tests.ml.pictures import FIXTURES, encode, quarters, scene


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_an_image"),
        (b"\0", "not_an_image"),
        (b"hello, this is text\n" * 50, "not_an_image"),
        (b"<html><body>hello</body></html>", "not_an_image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported"),
        (b'<?xml version="1.0"?><svg/>', "unsupported"),
        (b"\xef\xbb\xbf<svg/>", "unsupported"),
        (b"%PDF-1.7\n", "unsupported"),
        (encode(quarters(), "TIFF"), "unsupported"),
        (encode(quarters(), "BMP"), "unsupported"),
        (encode(quarters(), "JPEG2000"), "unsupported"),
        (encode(quarters(), "ICO"), "unsupported"),
        (encode(quarters(), "PPM"), "not_an_image"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100), "not_an_image"),
        (b"\xff\xd8\xff" + bytes(200), "truncated"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "truncated"),
        (b"GIF89a" + bytes(200), "truncated"),
        (b"RIFF\xff\0\0\0WEBP" + bytes(200), "truncated"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "truncated"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(100), "truncated"),
    ],
)
def test_files_that_are_no_pictures_are_refused_by_their_header(data, code):
    assert both(data) == {code}


@pytest.mark.parametrize(
    "tail",
    [
        b"<script>alert(1)</script>",
        b"<!DOCTYPE html><HTML><body>",
        b'<svg onload="x">',
        b"<?php system('id'); ?>",
        b"PK\x05\x06" + bytes(18),
    ],
)
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF"])
def test_a_picture_with_something_else_behind_its_end_is_refused(fmt, tail):
    data = (FIXTURES / "quarters.heic").read_bytes() if fmt == "HEIF" else encode(scene(1), fmt)
    assert both(data + tail) == {"not_an_image"}


@pytest.mark.parametrize("tail", [b"<script>alert(1)</script>", b"<!DOCTYPE html><HTML><body>"])
def test_a_web_page_is_found_behind_pictures_that_say_such_words_themselves(tail):
    for name, made in make_pictures().items():
        if "words" in name:
            assert both(made.data + tail) == {"not_an_image"}, name


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "GIF", "AVIF"])
def test_a_web_page_is_found_behind_a_picture_without_its_end(fmt):
    cut = {"JPEG": 2, "PNG": 12, "GIF": 1, "AVIF": 40}[fmt]
    data = encode(scene(1), fmt)[:-cut] + b"<html><body>"
    assert both(data) == {"not_an_image"}


def test_an_archive_within_the_metadata_is_refused_because_it_is_opened_from_there():
    assert both(encode(quarters(), "JPEG", comment=zipped())) == {"not_an_image"}


def zipped(size: int = 5000) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.class", bytes(size))
        file.comment = b"a comment"
    return archive.getvalue()


@pytest.mark.parametrize("size", [5000, 2 * END_BYTES])
def test_a_picture_with_an_archive_behind_it_is_refused(size):
    assert both(encode(scene(1), "JPEG") + zipped(size)) == {"not_an_image"}


def test_an_archive_whose_directory_is_long_is_refused_by_its_last_bytes():
    end = b"PK\x05\x06" + bytes(8) + (5 * END_BYTES).to_bytes(4, "little") + bytes(6)
    assert both(encode(scene(1), "JPEG") + end) == {"not_an_image"}


def test_pixels_that_happen_to_say_what_ends_an_archive_are_a_photo():
    chance = b"PK\x05\x06" + bytes(range(100, 200))
    assert decode(encode(quarters(), "JPEG") + chance).size == (64, 48)
    near = b"PK\x05\x06" + bytes(8) + (90).to_bytes(4, "little") + bytes(100)  # says: 90 bytes of directory before it
    assert decode(encode(quarters(), "JPEG") + near).size == (64, 48)


def test_a_motion_photo_with_a_film_behind_it_is_a_photo():
    film = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(5000)
    assert decode(encode(quarters(), "JPEG") + film).size == (64, 48)


def test_a_file_of_more_than_20_mb_is_refused():
    assert both(encode(quarters(), "JPEG") + bytes(MAX_BYTES)) == {"too_large"}


def samples() -> dict[str, bytes]:
    picture = scene(3, (96, 64))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    more = {"save_all": True, "append_images": [scene(4, (96, 64))]}
    return {
        "jpeg": encode(picture, "JPEG", exif=exif, icc_profile=icc),
        "progressive": encode(picture, "JPEG", progressive=True),
        "cmyk": encode(picture.convert("CMYK"), "JPEG"),
        "mpo": encode(picture, "MPO", **more),
        "png": encode(picture, "PNG", exif=exif, icc_profile=icc),
        "palette": encode(picture.convert("P"), "PNG", transparency=0),
        "gif": encode(picture, "GIF", **more),
        "webp": encode(picture, "WEBP", exif=exif, icc_profile=icc),
        "animated-webp": encode(picture, "WEBP", lossless=True, **more),
        "avif": encode(picture, "AVIF", exif=exif),
        "animated-avif": encode(picture, "AVIF", **more),
        "heic": (FIXTURES / "quarters.heic").read_bytes(),
        "transparent-heic": (FIXTURES / "quarters-transparent.heic").read_bytes(),
    }


SAMPLES = samples()


@pytest.mark.parametrize("name", ["jpeg", "cmyk", "png", "palette", "webp", "avif", "heic"])
@pytest.mark.parametrize("kept", [0.1, 0.3])
def test_a_picture_of_which_most_was_cut_off_is_refused_as_truncated(name, kept):
    data = SAMPLES[name]
    assert refusal(decode, data[: int(len(data) * kept)]).code == "truncated"


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_more_than_its_end_says_so(progressive):
    data = encode(scene(2), "JPEG", quality=90, progressive=progressive)
    whole = decode(data)
    assert ImageChops.difference(decode(data[:-2]), whole).getbbox() is None
    for missing in (300, 1000):
        found = decode(data[: -2 - missing])
        assert describe_missing(found)
        assert ImageStat.Stat(ImageChops.difference(found, whole)).mean < [20] * 3


def test_the_header_of_a_cut_off_picture_is_read_without_decoding_it():
    data = encode(scene(3), "PNG")
    assert sniff_header(io.BytesIO(data[: len(data) // 2])).width == 300


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 1}])
@pytest.mark.parametrize("padding", [0, 200])
def test_a_jpeg_whose_end_was_never_copied_is_refused(options, padding):
    """A disk leaves zeros there. Behind a restart mark a decoder reads nothing of what it finds."""
    data = encode(scene(1, (200, 150)), "JPEG", quality=90, **options)
    third = data[: data.rindex(b"\xff\xd3", 0, len(data) // 2) if options else len(data) // 3]
    assert refusal(decode, third + bytes(padding)).code == "truncated"


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "GIF"])
def test_sniffing_reads_the_ends_of_a_file_and_not_its_pixels(fmt):
    class Counted(io.BytesIO):
        count = 0

        def read(self, *args):
            data = super().read(*args)
            self.count += len(data)
            return data

    noise = Image.effect_noise((1000, 1000), 100)
    file = Counted(encode(noise, fmt))
    assert sniff_header(file).width == 1000
    assert file.count < 200_000 < len(file.getvalue())


@pytest.mark.parametrize("kept", [0.3, 0.6])
def test_a_gif_that_was_cut_off_in_its_first_frame_is_refused(kept):
    data = encode(scene(3), "GIF")
    assert refusal(decode, data[: int(len(data) * kept)]).code == "truncated"


@st.composite
def mutated(draw) -> bytes:
    data = bytearray(SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, min(len(data), draw(st.sampled_from([64, 600, 1 << 20]))) - 1))
        match draw(st.sampled_from(["set", "extreme", "delete", "insert", "cut"])):
            case "set":
                data[at] = draw(st.integers(0, 255))
            case "extreme":
                data[at : at + 4] = draw(st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"]))
            case "delete":
                del data[at : at + draw(st.integers(1, 40))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=20))
            case "cut":
                del data[at + 1 :]
        if not data:
            return b""
    return bytes(data)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=mutated(), max_side=st.sampled_from([None, 20]))
def test_mutated_pictures_are_decoded_or_refused_and_nothing_else(data, max_side):
    for attempt in (lambda: sniff_header(io.BytesIO(data)), lambda: decode(data, max_side)):
        try:
            answer = attempt()
        except PhotoRefused:
            continue
        assert answer.width > 0
        assert answer.height > 0


@given(data=st.binary(max_size=400))
def test_random_bytes_are_refused(data):
    refusal(decode, data)


def test_an_animation_without_a_clock_is_refused():
    data = SAMPLES["animated-avif"]
    clock = data.index(b"mdhd") + 4
    assert data[clock] == 1  # 64-bit times before the time scale
    assert refusal(decode, data[: clock + 20] + bytes(4) + data[clock + 24 :]).code == "truncated"


def test_a_jpeg_of_a_thousand_scans_is_refused():
    data = SAMPLES["progressive"]
    scan = data[data.rindex(b"\xff\xda") : -2]
    refused = refusal(decode, data[:-2] + scan * 1000 + data[-2:])
    assert "scans" in refused.reason


def test_a_jpeg_of_more_segments_behind_a_scan_than_anybody_counts_is_refused():
    data = encode(quarters(), "JPEG", comment=b"\xff\xda" * 200)
    refused = refusal(decode, data[:-2] + b"\xff\xfe\0\2" * 200_002 + data[-2:])
    assert refused.code == "unsupported"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_cost_the_photo():
    data = encode(quarters(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(9))
    assert decode(data).size == (64, 48)
    assert not sniff_header(io.BytesIO(data)).oriented


def test_a_disk_that_cannot_be_read_is_not_the_photos_fault():
    class BrokenDisk(io.BytesIO):
        reads_left = 0

        def read(self, *args):
            if not self.reads_left:
                raise OSError(5, "Input/output error")
            self.reads_left -= 1
            return super().read(*args)

    disk = BrokenDisk(encode(quarters(), "JPEG"))
    for reads in range(4):
        disk.reads_left = reads
        with pytest.raises(OSError, match="Input/output"):
            sniff_header(disk)
