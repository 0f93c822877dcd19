from contextlib import ExitStack

import pytest
from django.core.files.base import ContentFile
from PIL import Image

from listings.photos.uploads import check_photo, declared_length
from ml.images import DECODES_AT_ONCE, PhotoRefused, try_decoding_place
from tests.factories import draw_photo, draw_plain_photo


@pytest.mark.parametrize(
    ("said", "length"),
    [
        ("", 0),
        ("120", 120),
        ("-1", 0),
        ("many", 0),
        ("\N{SUPERSCRIPT TWO}", 0),
        ("9" * 5000, 10**18 - 1),
        ("0" * 18 + "999", 999),
    ],
)
def test_only_a_number_declares_a_length(rf, said, length):
    assert declared_length(rf.post("/", CONTENT_LENGTH=said)) == length


def refusal_code(data: bytes) -> str | None:
    try:
        check_photo(ContentFile(data, "photo"))
    except PhotoRefused as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize("size", [(64, 64), (320, 240), (1600, 1200)])
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("JPEG", {"progressive": True, "exif": b"Exif\0\0" + bytes(10_000)}),
        ("PNG", {"compress_level": 1}),
        ("GIF", {}),
        ("WEBP", {"quality": 75}),
        ("AVIF", {"quality": 20, "speed": 10}),
    ],
)
def test_one_colour_is_refused_in_every_format_and_two_are_taken(format, options, size):  # noqa: A002
    assert refusal_code(draw_plain_photo((201, 59, 43), size, format, **options)) == "one_colour"
    assert refusal_code(draw_photo(1, size, format, **options)) is None


@pytest.mark.parametrize("colour", [(200, 0, 0, 0), (255, 255, 255, 128), (0, 0, 0)])
def test_transparent_pictures_are_judged_as_they_are_shown(colour):
    assert refusal_code(draw_plain_photo(colour, format="PNG")) == "one_colour"


def test_a_picture_turned_by_its_metadata_is_measured_as_it_is_shown():
    exif = Image.Exif()
    exif[0x0112] = 6
    with pytest.raises(PhotoRefused, match="40 by 90 pixels"):
        check_photo(ContentFile(draw_photo(1, size=(90, 40), exif=exif)))


def test_a_large_file_is_left_to_the_embedding_worker():
    assert refusal_code(draw_plain_photo(format="PNG", compress_level=0)) is None


def test_a_process_that_decodes_as_much_as_it_may_leaves_the_judgement_to_the_embedding_worker():
    plain = draw_plain_photo()
    with ExitStack() as places:
        for _ in range(DECODES_AT_ONCE):
            assert places.enter_context(try_decoding_place())
        assert refusal_code(plain) is None
    assert refusal_code(plain) == "one_colour"


@pytest.mark.parametrize("trouble", [ChildProcessError("no child starts"), MemoryError()])
def test_trouble_that_is_no_photos_fault_leaves_the_judgement_to_the_embedding_worker(monkeypatch, trouble):
    def fail(data, max_side):
        raise trouble

    monkeypatch.setattr("ml.images.decode", fail)
    data = draw_plain_photo()
    assert check_photo(ContentFile(data)).file.read() == data


def test_a_checked_photo_can_be_read_from_its_start():
    data = draw_photo(1)
    assert check_photo(ContentFile(data)).file.read() == data
