"""Copies of a picture have hashes of few differing bits, and every near pair is found."""

import io

import numpy as np
import pytest
from PIL import Image

from ml.folders.perceptual_hash import NEAR, find_near_pairs, hash_files, hash_picture
from tests.ml.pictures import encode, scene


def differing_bits(one, other):
    return (int(one) ^ int(other)).bit_count()


def compress(picture, quality):
    return Image.open(io.BytesIO(encode(picture, "JPEG", quality=quality)))


@pytest.mark.parametrize(
    "copy",
    [
        lambda picture: compress(picture, 30),
        lambda picture: picture.resize((150, 200)),
        lambda picture: picture.resize((600, 800)).convert("RGBA"),
        lambda picture: picture.crop((3, 4, 297, 396)),
    ],
    ids=["compressed", "halved", "doubled", "cut"],
)
def test_a_copy_is_near_its_picture_and_far_from_others(copy):
    hashes = [hash_picture(scene(seed)) for seed in range(12)]
    copied = hash_picture(copy(scene(0)))
    assert copied.dtype == np.uint64
    assert differing_bits(copied, hashes[0]) <= NEAR
    assert all(differing_bits(copied, other) > NEAR for other in hashes[1:])


def test_a_hash_is_the_signs_of_the_frequencies_read_row_by_row():
    plain, darker_below = Image.new("L", (64, 64), 128), Image.linear_gradient("L").rotate(180)
    assert int(hash_picture(plain)) == 1 << 63  # nothing but brightness, whose bit is the first
    bits = f"{int(hash_picture(darker_below)):064b}"
    assert bits[0] == bits[8] == "1"  # the slowest wave down a picture begins the second row
    assert bits[1:8] == "0" * 7  # and none goes across


def test_files_are_hashed_in_their_order_and_refusals_are_named(tmp_path):
    paths = [tmp_path / f"{seed}.png" for seed in range(4)]
    for seed, path in enumerate(paths):
        path.write_bytes(encode(scene(seed), "PNG"))
    paths[1].write_bytes(b"no picture")
    hashed = hash_files(paths)
    assert hashed.kept.tolist() == [0, 2, 3]
    assert hashed.hashes.tolist() == [int(hash_picture(scene(seed))) for seed in (0, 2, 3)]
    assert [path for path, _ in hashed.refused] == [paths[1]]


def test_all_pairs_within_a_distance_are_found_and_no_others():
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**64, 300, np.uint64)
    for row, bits in enumerate((0, 1, 4, 5, 6, 30)):  # copies of the first rows, a known number of bits away
        hashes[100 + row] = hashes[row] ^ np.uint64(sum(1 << int(bit) for bit in rng.choice(64, bits, replace=False)))
    within = [[i, j] for i in range(300) for j in range(i + 1, 300) if differing_bits(hashes[i], hashes[j]) <= 5]
    across = [[i, j] for i in range(100) for j in range(200) if differing_bits(hashes[i], hashes[100 + j]) <= 5]
    assert within == [[0, 100], [1, 101], [2, 102], [3, 103]]
    assert find_near_pairs(hashes, distance=5).tolist() == within
    assert find_near_pairs(hashes[:100], hashes[100:], distance=5).tolist() == across


def test_nothing_is_near_where_there_is_nothing():
    none, one = np.empty(0, np.uint64), np.ones(1, np.uint64)
    for pairs in (find_near_pairs(none), find_near_pairs(none, one), find_near_pairs(one, none), find_near_pairs(one)):
        assert pairs.shape == (0, 2)
