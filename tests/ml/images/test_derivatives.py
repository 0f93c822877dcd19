import io

import numpy as np
import pytest
from PIL import Image

from ml.images import (
    CLEAN_SIDE,
    THUMB_SIDE,
    decode,
    encode_jpeg,
    make_clean_picture,
    make_derivatives,
    make_thumb,
)
from tests.ml.pictures import assert_corners, encode, quarters, scene


@pytest.mark.parametrize(
    ("size", "cleaned", "thumbed"),
    [
        ((2048, 1024), (512, 256), (320, 160)),
        ((600, 800), (384, 512), (240, 320)),
        ((513, 512), (512, 511), (320, 319)),
        ((512, 300), (512, 300), (320, 188)),
        ((100, 50), (100, 50), (100, 50)),
        ((1, 1), (1, 1), (1, 1)),
        ((10_000, 1), (512, 1), (320, 1)),
    ],
)
def test_derivatives_have_their_longest_side_and_are_never_enlarged(size, cleaned, thumbed):
    picture = Image.new("RGB", size)
    assert (CLEAN_SIDE, THUMB_SIDE) == (512, 320)
    assert make_clean_picture(picture).size == cleaned
    assert make_thumb(make_clean_picture(picture)).size == thumbed


def test_a_photo_keeps_its_corners_from_file_to_thumbnail():
    data = encode(quarters(3000, 2000), "JPEG", quality=90)
    again = decode(encode_jpeg(make_clean_picture(decode(data, CLEAN_SIDE))))
    assert again.size == (512, 341)
    assert_corners(make_thumb(again))


def test_scaled_decoding_looks_like_full_decoding():
    data = encode(scene(5, (2400, 1800)), "JPEG", quality=92)
    fast, full = (np.asarray(make_clean_picture(decode(data, side)), int) for side in (CLEAN_SIDE, None))
    assert np.abs(fast - full).mean() < 3


def test_the_encoded_file_holds_no_metadata():
    picture = quarters()
    picture.info = {"comment": b"at home", "exif": b"Exif\0\0", "icc_profile": b"x", "xmp": b"x", "dpi": (1, 1)}
    data = encode_jpeg(picture)
    found = Image.open(io.BytesIO(data))
    assert set(found.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert not found.getexif()
    assert b"at home" not in data
    assert picture.info["comment"] == b"at home"


def test_one_decode_gives_all_that_is_kept_and_the_size_of_the_upright_original():
    turned = Image.Exif()
    turned[0x0112] = 6
    data = encode(scene(3, (1200, 900)), "JPEG", exif=turned.tobytes())
    picture, encoded = make_derivatives(data)
    assert picture.size == (384, 512)
    assert (encoded.width, encoded.height) == (900, 1200)
    assert encoded.clean == encode_jpeg(picture)
    assert decode(encoded.thumb).size == (240, 320)
