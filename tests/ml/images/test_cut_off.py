"""Pictures that were cut off: half or more of the rows is shown, with white below and a sentence; less is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ml.cleaning.images import Settings, clean_images
from ml.images import decode, decode_file, describe_missing, make_derivatives, sniff_header
from ml.images.decoder_process import DecoderProcess
from tests.ml.images.made.png import chunk, png
from tests.ml.images.refused import refusal
from tests.ml.pictures import encode, scene

SIZE = 320, 400
END = b"\xff\xd9"
# The passes of an interlaced PNG: first column and row, and the steps of both.
PASSES = (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
JPEGS = {
    "baseline": {"quality": 90},
    "4:4:4": {"quality": 90, "subsampling": 0},
    "restarts of rows": {"quality": 90, "restart_marker_rows": 2},
    "restarts of blocks": {"quality": 90, "restart_marker_blocks": 1},
    "own tables": {"quality": 90, "optimize": True},
    "first of several scans": {"quality": 90, "progressive": True},
}


def busy(mode: str) -> Image.Image:
    """As many bytes in each row as in the next, so that a share of the file is that share of the rows."""
    noise = np.random.default_rng(3).integers(60, 250, (SIZE[1] // 4, SIZE[0] // 4, 4), np.uint8)
    image = Image.fromarray(noise[:, :, :3]).resize(SIZE, Image.Resampling.BICUBIC)
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "P":
        image = image.quantize(63)
        image.putpalette([*(image.getpalette() or [])[: 3 * 63], 255, 255, 255])
        return image
    return image.convert(mode)


def cut_jpeg(data: bytes, share: float) -> bytes:
    """The file up to a share of its first scan."""
    start = data.index(b"\xff\xda") + 2
    end = data.find(b"\xff\xda", start)
    end = end if end > 0 else len(data) - 2
    if b"\xff\xc4" in data[start:end]:
        end = data.index(b"\xff\xc4", start)
    return data[: start + 12 + int((end - start - 12) * share)]


def interlaced_png(image: Image.Image, passes: float) -> bytes:
    """A PNG of the first passes and of a share of the next."""
    pixels, rows = np.asarray(image.convert("L")), []
    for x, y, right, down in PASSES:
        part = pixels[y::down, x::right]
        rows.append([b"\0" + row.tobytes() for row in part])
    kept = [row for whole in rows[: int(passes)] for row in whole]
    kept += rows[int(passes)][: round(len(rows[int(passes)]) * (passes % 1))] if passes < len(rows) else []
    head = struct.pack(">IIBBBBB", *image.size, 8, 0, 0, 0, 1)
    body = zlib.compress(b"".join(kept))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def short_png(image: Image.Image, share: float) -> bytes:
    """A PNG whose compressed pixels end properly and too early."""
    rows = np.asarray(image.convert("RGB"))[: round(image.height * share)]
    head = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def assert_shown(cut: bytes, whole: bytes, share: float, tolerance: float = 0.08, **options) -> Image.Image:
    """Check that a cut picture shows its share of the whole one, white behind it, and says how much is missing."""
    found, expected = (np.asarray(decode(data, **options)).astype(int) for data in (cut, whole))
    assert found.shape == expected.shape
    shown = int((share - tolerance) * len(found))
    assert np.abs(found[:shown] - expected[:shown]).mean() < 1
    assert found[int((share + tolerance) * len(found)) :].min() >= 245
    picture = decode(cut, **options)
    percent = int(describe_missing(picture).split(" % of the photo is missing")[0])
    assert percent == pytest.approx(100 * (1 - share), abs=100 * tolerance)
    return picture


@pytest.mark.parametrize("end", [b"", END, bytes(300)], ids=["cut", "ended", "zeros"])
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_of_which_most_rows_are_there_shows_them(name, end):
    whole = encode(busy("RGB"), "JPEG", **JPEGS[name])
    if name == "first of several scans" and not end:
        end = END
    assert decode(whole).info == {}
    tolerance = 0.2 if "several" in name else 0.08
    assert refusal(decode, cut_jpeg(whole, 0.3) + end).code == "truncated"
    found = decode(cut_jpeg(whole, 0.7) + end)
    assert found.info["missing"] == pytest.approx(0.3, abs=tolerance)
    if "several" not in name:
        assert_shown(cut_jpeg(whole, 0.7) + end, whole, 0.7)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_other_colours_shows_what_is_there(mode):
    whole = encode(busy(mode), "JPEG", quality=90)
    assert_shown(cut_jpeg(whole, 0.7) + END, whole, 0.7)
    assert "More than half" in refusal(decode, cut_jpeg(whole, 0.4) + END).reason


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_progressive_jpeg_that_was_cut_behind_its_first_scan_is_shown_and_may_be_less_sharp(share):
    whole = encode(busy("RGB"), "JPEG", quality=90, progressive=True)
    found = decode(whole[: int(len(whole) * share)])
    assert np.abs(np.asarray(found).astype(int) - np.asarray(decode(whole))).mean() < 30
    assert "may be less sharp" in describe_missing(found)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "I;16"])
def test_a_png_shows_the_rows_that_are_there(mode):
    image = busy(mode)
    whole = encode(image, "PNG", compress_level=0)
    assert_shown(whole[: int(len(whole) * 0.7)], whole, 0.7)
    assert "More than half" in refusal(decode, whole[: int(len(whole) * 0.4)]).reason


def test_a_png_whose_pixels_end_early_is_not_taken_for_whole():
    whole = encode(busy("RGB"), "PNG")
    assert_shown(short_png(busy("RGB"), 0.7), whole, 0.7)
    assert refusal(decode, short_png(busy("RGB"), 0.45)).code == "truncated"


def test_of_an_interlaced_png_rows_count_that_are_whole():
    image = busy("L")
    assert decode(interlaced_png(image, 7)).info == {}
    assert refusal(decode, interlaced_png(image, 5.9)).code == "truncated"
    assert "% of the photo" in describe_missing(decode(interlaced_png(image, 6.6)))


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("options", [{}, {"transparency": 5}], ids=["opaque", "transparent"])
def test_a_gif_shows_the_rows_that_are_there(interlace, options):
    whole = encode(busy("P"), "GIF", interlace=interlace, **options)
    found = decode(whole[: int(len(whole) * 0.8)])
    assert found.info["missing"] == pytest.approx(0.2, abs=0.06)
    assert refusal(decode, whole[: int(len(whole) * 0.3)]).code == "truncated"


@pytest.mark.parametrize("fmt", ["WEBP", "AVIF"])
def test_other_formats_are_refused_whatever_they_lack(fmt):
    data = encode(busy("RGB"), fmt)
    for share in (0.3, 0.9):
        assert refusal(decode, data[: int(len(data) * share)]).code == "truncated"


def honest(level: int, mode: str = "RGB") -> Image.Image:
    """A scene above, and one level in all the rest, as decoders leave rows that are missing."""
    image = scene(5, SIZE).convert(mode)
    ImageDraw.Draw(image).rectangle((0, 100, *SIZE), fill=(level,) * len(image.getbands()) if mode != "L" else level)
    return image


@pytest.mark.parametrize("options", [*JPEGS.values(), {"quality": 30}], ids=[*JPEGS, "coarse"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("level", [127, 128])
def test_a_jpeg_that_is_grey_below_is_whole(options, mode, level):
    data = encode(honest(level, mode), "JPEG", **options)
    assert decode(data).info == decode(data, 64).info == {}


@pytest.mark.parametrize("level", [0, 255])
def test_a_png_or_gif_that_is_black_or_white_below_is_whole(level):
    image = honest(level)
    for data in (
        encode(image, "PNG"),
        encode(image.convert("1"), "PNG"),
        encode(image.convert("LA"), "PNG"),
        encode(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG"),
        encode(image.quantize(16), "GIF"),
        interlaced_png(image, 7),
        png(np.zeros((64, 64, 3), np.uint8)) if level == 0 else encode(image, "PNG", optimize=True),
    ):
        assert decode(data).info == {}
        assert describe_missing(decode(data)) == ""


@pytest.mark.parametrize("options", [{}, {"transparency": 0}, {"transparency": 3}])
def test_a_gif_whose_first_frame_covers_a_part_of_its_canvas_is_whole(options):
    frame = Image.new("P", (40, 40), 0)
    frame.putpalette([0, 0, 0, 255, 255, 255, 200, 30, 30, 30, 200, 30])
    ImageDraw.Draw(frame).rectangle((5, 5, 20, 20), fill=2)
    data = bytearray(encode(frame, "GIF", **options))
    data[6:10] = struct.pack("<HH", 80, 90)
    found = decode(bytes(data))
    assert found.info == {}
    assert found.size == (80, 90)
    assert found.getpixel((70, 80)) == (255, 255, 255)
    assert found.getpixel((10, 10)) == (200, 30, 30)


def test_parts_and_small_pictures_know_what_is_missing():
    whole = encode(busy("RGB").resize((1280, 1600)), "JPEG", quality=80)
    cut = cut_jpeg(whole, 0.6)
    assert_shown(cut, whole, 0.6, max_side=200)
    part = decode(cut, 200, (0.25, 0.25, 0.5, 0.25))
    assert part.info["missing"] == pytest.approx(0.4, abs=0.08)
    assert refusal(decode, cut_jpeg(whole, 0.3), 200, (0, 0, 1, 0.2)).code == "truncated"


def test_the_header_of_a_cut_picture_is_read_all_the_same():
    for data in (cut_jpeg(encode(busy("RGB"), "JPEG"), 0.3), encode(busy("RGB"), "PNG")[:4000]):
        assert sniff_header(io.BytesIO(data)).width == SIZE[0]


def test_a_turned_picture_has_the_white_where_its_last_rows_are_shown():
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = encode(busy("RGB"), "JPEG", exif=exif, quality=90)
    found = np.asarray(decode(cut_jpeg(whole, 0.7)))
    assert found.shape[:2] == SIZE
    assert found[:, :100].min() > 245
    assert found[:, -200:].mean() < 200


def test_the_process_beside_this_one_tells_what_is_missing():
    data = short_png(busy("RGB"), 0.7)
    child = DecoderProcess()
    try:
        child.open(data, None, to_decode=True)
        assert child.decode().info["missing"] == pytest.approx(0.3, abs=0.01)
        child.open(encode(busy("RGB"), "PNG"), None, to_decode=True)
        assert child.decode().info == {}
    finally:
        child.end()


def test_derivatives_and_cleaned_folders_say_what_is_missing(tmp_path, caplog):
    cut = short_png(busy("RGB"), 0.7)
    _, encoded = make_derivatives(cut)
    assert encoded.note == (
        "30 % of the photo is missing, as its file was cut off or is damaged. Send it again if you have all of it."
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cut.png").write_bytes(cut)
    (tmp_path / "in" / "half.png").write_bytes(short_png(busy("RGB"), 0.4))
    cleaned = clean_images(tmp_path / "in", tmp_path / "out", Settings(64, "letterbox"), 1)
    assert cleaned.written == 1
    assert "More than half of the photo is missing" in cleaned.unreadable[0].reason
    assert f"cut.png: {encoded.note}" in caplog.text
    decode_file(tmp_path / "in" / "cut.png")
    assert f"{tmp_path / 'in' / 'cut.png'}: {encoded.note}" in caplog.text
