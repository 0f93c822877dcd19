"""Every kind of picture a seller may send comes out upright, in sRGB, over white."""

import io
import re
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from ml.images import decode, sniff_header
from ml.images.decoder import load_picture, open_for_decoding
from tests.ml.images.made.png import chunk, gamma_chunk, png
from tests.ml.pictures import BLUE, FIXTURES, GREEN, RED, WHITE, YELLOW, assert_corners, encode, quarters

ORIENTATION = 0x0112


def with_orientation(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    return exif


def transparent_quarter(mode: str) -> Image.Image:
    image = quarters().convert(mode)
    alpha = Image.new("L", image.size, 255)
    ImageDraw.Draw(alpha).rectangle((image.width // 2, image.height // 2, image.width, image.height), 0)
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize(
    ("fmt", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("JPEG", {"quality": 95, "subsampling": 2}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_plain_pictures_of_each_format_are_decoded(fmt, options):
    data = encode(quarters(), fmt, **options)
    header = sniff_header(io.BytesIO(data))
    assert (header.format, header.width, header.height, header.oriented) == (fmt, 64, 48, False)
    assert_corners(decode(data))


def test_heic_is_decoded():
    data = (FIXTURES / "quarters.heic").read_bytes()
    assert sniff_header(io.BytesIO(data)).format == "HEIF"
    assert_corners(decode(data))


def test_heic_is_turned_by_its_container():
    data = (FIXTURES / "quarters-rotated.heic").read_bytes()
    header = sniff_header(io.BytesIO(data))
    assert (header.width, header.height) == (64, 48)
    assert_corners(decode(data))


def test_heic_with_alpha_is_white_where_transparent():
    assert_corners(decode((FIXTURES / "quarters-transparent.heic").read_bytes()), (RED, GREEN, BLUE, WHITE))


def test_mpo_of_a_phone_gives_its_first_picture_and_counts_as_jpeg():
    data = encode(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))], quality=95)
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert sniff_header(io.BytesIO(data)).format == "JPEG"
    assert_corners(decode(data))
    assert_corners(decode(data, max_side=16))


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        (0xE0, b"JFIF"),
        (0xE0, b"JFIF\0\1"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1"),
        (0xEE, b"Adobe"),
        (0xEE, b"Adobe\0"),
    ],
)
def test_a_jpeg_segment_that_is_too_short_for_its_name_is_passed_over(marker, body):
    data = encode(quarters(), "JPEG", quality=95)
    segment = bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body
    data = data[:2] + segment + data[2:]
    header = sniff_header(io.BytesIO(data))
    assert (header.format, header.width, header.height) == ("JPEG", 64, 48)
    assert_corners(decode(data))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_every_exif_orientation_is_applied(fmt, turn):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quarters().transpose(undo[turn]) if turn in undo else quarters()
    data = encode(stored, fmt, exif=with_orientation(turn), quality=95)
    header = sniff_header(io.BytesIO(data))
    assert (header.width, header.height, header.oriented) == (64, 48, turn != 1)
    picture = decode(data)
    assert picture.size == (64, 48)
    assert_corners(picture)


def test_a_nonsense_orientation_counts_as_upright():
    data = encode(quarters(), "JPEG", exif=with_orientation(77), quality=95)
    assert not sniff_header(io.BytesIO(data)).oriented
    assert_corners(decode(data))


@pytest.mark.parametrize(
    ("fmt", "mode"),
    [("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "L"), ("PNG", "1"), ("PNG", "P"), ("GIF", "L"), ("GIF", "P")],
)
def test_colour_modes_look_as_pillow_converts_them(fmt, mode):
    stored = quarters().convert(mode)
    expected = stored.convert("RGB")
    found = decode(encode(stored, fmt, **({"quality": 95} if fmt == "JPEG" else {})))
    assert np.abs(np.asarray(found, int) - np.asarray(expected, int)).mean() < 4


def test_sixteen_bit_grey_is_scaled_not_clipped():
    levels = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    found = np.asarray(decode(encode(Image.fromarray(levels), "PNG")), int)
    assert np.abs(found - (levels >> 8)[..., None].astype(int)).max() == 0


def test_sixteen_bit_grey_with_a_transparent_level_is_white_there():
    levels = np.full((8, 8), 20000, np.uint16)
    levels[:4] = 300
    found = decode(encode(Image.fromarray(levels), "PNG", transparency=300))
    assert found.getpixel((2, 2)) == WHITE
    assert found.getpixel((2, 6)) == (20000 >> 8,) * 3


def test_sixteen_bit_colour_is_decoded():
    """Pillow cannot write one."""
    assert_corners(decode(png((np.asarray(quarters(), ">u2") * 257).astype(">u2"), depth=16)))


@pytest.mark.parametrize("fmt", ["PNG", "WEBP", "AVIF"])
def test_alpha_becomes_white(fmt):
    assert_corners(decode(encode(transparent_quarter("RGB"), fmt, quality=95)), (RED, GREEN, BLUE, WHITE))


@pytest.mark.parametrize("coding", [gamma_chunk(100_000), chunk(b"cICP", b"\1\x08\0\1")])
def test_half_transparent_colours_are_converted_before_white_shines_through(coding):
    """Light of levels (220, 40, 30) looks like (239, 110, 96), and half of that and half of white lie in between."""
    pixels = np.full((8, 8, 4), (220, 40, 30, 128), np.uint8)
    found = decode(png(pixels, kind=6, before=[coding])).getpixel((4, 4))
    assert found == pytest.approx((247, 182, 175), abs=2)


def test_alpha_becomes_white_also_when_the_picture_is_shrunk():
    picture = transparent_quarter("RGB").resize((640, 480), Image.Resampling.NEAREST)
    found = decode(encode(picture, "PNG"), max_side=64)
    assert found.size == (128, 96)
    assert_corners(found, (RED, GREEN, BLUE, WHITE))


def test_grey_with_alpha_becomes_white_where_transparent():
    found = decode(encode(transparent_quarter("L"), "PNG"))
    assert found.getpixel((48, 36)) == WHITE
    assert found.getpixel((16, 12)) == (76, 76, 76)


@pytest.mark.parametrize("fmt", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(fmt):
    image = Image.new("P", (64, 48), 0)
    image.putpalette([0, 0, 0, *RED, *BLUE])
    ImageDraw.Draw(image).rectangle((0, 0, 31, 23), 1)
    found = decode(encode(image, fmt, transparency=0))
    assert_corners(found, (RED, WHITE, WHITE, WHITE))


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_gives_its_first_frame(fmt):
    frames = [Image.new("RGB", (64, 48), BLUE), Image.new("RGB", (64, 48), YELLOW)]
    data = encode(quarters(), fmt, save_all=True, append_images=frames, duration=50)
    animation: Any = Image.open(io.BytesIO(data))
    assert animation.n_frames == 3
    assert_corners(decode(data), tolerance=20)


@pytest.mark.parametrize("fmt", ["AVIF", "WEBP"])
def test_what_is_never_shown_in_part_is_decoded_once_however_it_ends(fmt, monkeypatch):
    empty = encode(Image.new("RGBA", (64, 48)), fmt, save_all=True, append_images=[quarters().convert("RGBA")])
    opened = open_for_decoding(io.BytesIO(empty), None)
    monkeypatch.setattr(Image, "open", Mock(side_effect=AssertionError))
    assert load_picture(opened).getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("options", [{"quality": 95}, {"lossless": True}])
@pytest.mark.parametrize("background", [b"\0\0\0\0", b"\0\0\xff\xff"])
def test_what_the_first_frame_of_a_webp_leaves_of_its_canvas_is_white(options, background):
    """The frame lies at (20, 10). Whatever colour a file says for the rest, browsers show what is behind it."""

    def riff_chunk(kind: bytes, body: bytes) -> bytes:
        return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)

    picture = encode(quarters(), "WEBP", **options)[12:]
    places = b"".join(number.to_bytes(3, "little") for number in (20 // 2, 10 // 2, 64 - 1, 48 - 1, 100))
    canvas = b"".join(number.to_bytes(3, "little") for number in (160 - 1, 100 - 1))
    head, frame = riff_chunk(b"VP8X", b"\x02\0\0\0" + canvas), riff_chunk(b"ANMF", places + b"\0" + picture)
    body = b"WEBP" + head + riff_chunk(b"ANIM", background + bytes(2)) + frame + frame
    found = decode(b"RIFF" + len(body).to_bytes(4, "little") + body)
    assert found.size == (160, 100)
    assert {found.getpixel(place) for place in ((2, 2), (10, 50), (120, 30), (50, 80))} == {WHITE}
    assert_corners(found.crop((20, 10, 84, 58)))


@pytest.mark.parametrize("size", [(1, 1), (10_000, 1), (1, 10_000)])
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "GIF"])
def test_extreme_shapes_are_decoded(fmt, size):
    data = encode(Image.new("RGB", size, RED), fmt)
    assert decode(data).size == size
    assert max(decode(data, max_side=512).size) >= min(512, max(size))


def test_colours_are_read_through_the_embedded_profile():
    """In this profile the first channel is green and the second red."""
    swap = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = re.sub(b"[rg]XYZ", lambda match: swap[match[0]], srgb)
    red, green, blue = quarters().split()
    swapped = Image.merge("RGB", (green, red, blue))
    assert_corners(decode(encode(swapped, "PNG", icc_profile=profile)))
    assert_corners(decode(encode(swapped, "PNG")), (GREEN, RED, BLUE, YELLOW))


@pytest.mark.parametrize(
    "profile", [b"broken", b"\0" * 200, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
)
def test_a_broken_or_foreign_profile_is_passed_over(profile):
    assert_corners(decode(encode(quarters(), "JPEG", icc_profile=profile, quality=95)))


@pytest.mark.parametrize(
    ("size", "max_side"),
    [((4000, 3000), 512), ((3000, 4000), 512), ((4000, 100), 512), ((600, 500), 512), ((300, 200), 512)],
)
def test_scaled_decoding_keeps_at_least_the_wanted_side(size, max_side):
    for fmt in ("JPEG", "PNG"):
        picture = decode(encode(quarters(*size), fmt), max_side=max_side)
        assert max(picture.size) >= min(max_side, max(size))
        assert max(picture.size) < max(4 * max_side, 1)
        assert abs(picture.width / picture.height - size[0] / size[1]) / (size[0] / size[1]) < 0.05


def test_nothing_of_the_file_travels_with_the_pixels():
    exif = with_orientation(6)
    exif[0x010F] = "a camera"
    data = encode(quarters(), "JPEG", exif=exif, comment=b"at home", icc_profile=b"broken")
    assert decode(data).info == {}


def test_the_file_is_left_at_its_start():
    file = io.BytesIO(encode(quarters(), "WEBP"))
    sniff_header(file)
    assert file.tell() == 0
