"""A part of a picture is named in fractions of it upright, and costs little more than it shows."""

import io

import numpy as np
import pytest
from PIL import Image

from ml.images import decode, refuse_bad_box, refuse_small_part
from ml.images.decoder import open_for_decoding
from tests.ml.pictures import FIXTURES, claim_png, encode, quarters, scene


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((0, 0, 1, 1), (64, 48)),
        ((0, 0, 0.5, 0.5), (32, 24)),
        ((0.5, 0.25, 0.5, 0.75), (32, 36)),
        ((0.98, 0.98, 0.02, 0.02), (2, 1)),
        ((0.1, 0.1, 0.9, 0.9), (58, 44)),
    ],
)
def test_a_part_is_given_in_fractions(box, size):
    assert decode(encode(quarters(), "PNG"), box=box).size == size


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_part_is_that_of_the_upright_picture_however_it_is_stored(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    for fmt, options in (("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True})):
        data = encode(quarters(), fmt, exif=exif, **options)
        whole = np.asarray(decode(data), np.int16)
        height, width = whole.shape[:2]
        for left, top in ((0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5)):
            part = np.asarray(decode(data, box=(left, top, 0.5, 0.5)), np.int16)
            x, y = int(left * width), int(top * height)
            assert np.array_equal(part, whole[y : y + height // 2, x : x + width // 2]), (fmt, left, top)


def test_a_part_of_what_is_decoded_apart_is_the_same_part():
    data = (FIXTURES / "quarters-rotated.heic").read_bytes()
    whole = decode(data)
    half = decode(data, box=(0.5, 0, 0.5, 1))
    assert half.tobytes() == whole.crop((whole.width // 2, 0, whole.width, whole.height)).tobytes()


def test_a_part_is_decoded_at_a_fraction_where_it_is_large_enough():
    data = encode(scene(1, (4000, 3000)), "JPEG")
    assert open_for_decoding(io.BytesIO(data), 512, (0, 0, 0.5, 0.5)).draft == 2
    assert open_for_decoding(io.BytesIO(data), 512, (0, 0, 0.1, 0.1)).draft == 1
    assert decode(data, 512, (0.25, 0.25, 0.5, 0.5)).size == (1000, 750)


def test_a_part_of_the_largest_picture_that_is_taken_is_taken_too():
    """Only the part is converted, whose pixels cost most."""
    data = claim_png(7600, 7600)
    assert open_for_decoding(io.BytesIO(data), 512).reduction == 7
    assert open_for_decoding(io.BytesIO(data), 512, (0.3, 0.3, 0.05, 0.05)).reduction == 1


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 1),
        (0, 0, 1.1, 1),
        (0.6, 0, 0.5, 1),
        (-0.1, 0, 0.5, 0.5),
        (1, 0, 0.1, 0.1),
        (0, 0, float("nan"), 1),
        (float("nan"), 0, 1, 1),
        (0, 0, float("inf"), 1),
    ],
)
def test_a_part_outside_the_picture_is_refused(box):
    with pytest.raises(ValueError, match="fractions of the picture"):
        refuse_bad_box(box)


@pytest.mark.parametrize("side", [5e-324, 1e-310, 1e-9, 0.01])
def test_a_tiny_part_is_refused(side):
    with pytest.raises(ValueError, match="1/64 of the picture"):
        refuse_bad_box((0, 0, side, 1))
    with pytest.raises(ValueError, match="1/64 of the picture"):
        refuse_bad_box((0, 0, 1, side))


def test_a_part_of_too_few_pixels_is_refused():
    refuse_small_part((0, 0, 0.1, 0.1), (320, 320))
    with pytest.raises(ValueError, match="The crop is 40 by 20 pixels, and each side needs 32 or more"):
        refuse_small_part((0, 0, 0.1, 0.05), (400, 400))
