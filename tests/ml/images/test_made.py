"""Pictures of odd kinds look as in a browser, and the header says the size that they are decoded to."""

import io

import pytest

from ml.images import decode, sniff_header
from tests.ml.images.made import make_pictures, write_made_pictures
from tests.ml.images.made.containers import with_clean_aperture
from tests.ml.images.made.picture import encode, quarters


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", make_pictures())
def test_a_made_picture_looks_right(name):
    made = make_pictures()[name]
    header, picture = sniff_header(io.BytesIO(made.data)), decode(made.data)
    assert (header.width, header.height) == picture.size == made.size
    for place, wanted in made.pixels.items():
        found = picture.crop((*place, place[0] + 1, place[1] + 1)).tobytes()
        assert all(abs(a - b) <= made.tolerance for a, b in zip(found, wanted, strict=True)), (place, found, wanted)


def test_a_small_part_of_a_large_avif_is_not_shrunk_as_the_whole():
    data = with_clean_aperture(encode(quarters((400, 400)), "AVIF"), 60, 1, 60, 1, 0, 1, 0, 1)
    assert decode(data, max_side=60).size == (60, 60)


def test_all_are_written_into_a_folder(tmp_path):
    made = write_made_pictures(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: m.data for name, m in made.items()}
