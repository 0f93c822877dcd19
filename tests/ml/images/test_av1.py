"""The coded size of AVIF files, against encoders that were told the size."""

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ml.images.av1 import Bits, count_coded_pixels
from tests.ml.pictures import encode, quarters, scene


def half_transparent(image: Image.Image) -> Image.Image:
    image.putalpha(128)
    return image


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (777, 555), (3000, 2000)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_the_coded_size_is_the_size_that_was_encoded(size, subsampling):
    data = encode(Image.new("RGB", size), "AVIF", speed=10, subsampling=subsampling)
    assert count_coded_pixels(data) == size[0] * size[1]


def test_alpha_counts_as_a_picture_of_its_own():
    assert count_coded_pixels(encode(half_transparent(quarters()), "AVIF")) == 2 * 64 * 48


def test_metadata_counts_nothing():
    exif = Image.Exif()
    exif[0x0112] = 6
    other = encode(scene(1), "AVIF")
    looks_coded = other[other.index(b"mdat") + 4 :]
    assert count_coded_pixels(encode(quarters(), "AVIF", exif=exif, xmp=looks_coded)) == 64 * 48


def test_of_an_animation_the_first_frame_of_the_track_counts_beside_the_still():
    frames = [scene(seed, (64, 48)) for seed in range(6)]
    data = encode(quarters(), "AVIF", save_all=True, append_images=frames)
    assert count_coded_pixels(data) == 2 * 64 * 48


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def container(*, items: int, extents: int, method: int = 0, coded: bool = True, outside: bool = False) -> bytes:
    """A megabyte whose items, all of the same id, have extents that take no byte to describe and claim all of it."""
    entry = box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 1, 0) + (b"av01\0" if coded else b"Exif\0"))
    named = box(b"iinf", b"\0\0\0\0" + struct.pack(">H", 1) + entry)
    item = struct.pack(">HHHH", 1, method, 0, extents)
    located = box(b"iloc", b"\1\0\0\0" + b"\0\0" + struct.pack(">H", items) + item * items)
    inside = b"" if outside else located
    return box(b"meta", b"\0\0\0\0" + named + inside) + (located if outside else b"") + box(b"mdat", bytes(1_000_000))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (container(items=1, extents=2), "overlap"),
        (container(items=400, extents=1), "overlap"),
        (container(items=400, extents=1, outside=True), "overlap"),
        (container(items=1, extents=65_535, method=1), "too many"),
        (container(items=65_535, extents=0), "too many"),
        (container(items=400, extents=65_535, coded=False), "too many"),
        (container(items=1, extents=15_000, method=1) * 2, "too many"),
        (box(b"free", b"") * 100_000, "too many boxes"),
    ],
)
def test_a_file_that_claims_more_than_it_holds_is_refused_before_anything_is_copied(data, reason):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=reason):
            count_coded_pixels(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


def test_items_that_are_no_pictures_are_not_copied():
    data = container(items=400, extents=1, coded=False)
    tracemalloc.start()
    try:
        assert count_coded_pixels(data) == 0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@given(data=st.binary(min_size=1, max_size=40), widths=st.lists(st.integers(0, 70)))
def test_bits_are_read_as_from_one_long_number(data, widths):
    bits, digits = Bits(data), "".join(f"{byte:08b}" for byte in data)
    for width in widths:
        if width > len(digits):
            with pytest.raises(IndexError):
                bits.read_number(width)
            return
        assert bits.read_number(width) == int(digits[:width] or "0", 2)
        digits = digits[width:]
