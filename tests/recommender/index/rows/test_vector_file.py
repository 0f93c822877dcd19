"""Vectors come back from disk as they were added; inner products of halves are those of exact arithmetic."""

import ctypes
import hashlib
import mmap
import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.index.ann import dot_products
from recommender.index.rows.vector_file import VectorFile, VectorWriter, mapped_bytes, release_pages
from tests.recommender.index.segments import clustered, put
from tests.recommender.index.small_disk import small_disk

ROWS = 3_000
SOME = {
    "all": None,
    "none": [],
    "one": [17],
    "few, in one piece": range(0, ROWS, 30),
    "few, in several pieces": range(5, 5 + 4 * 700, 4),
    "many": range(0, ROWS, 2),
    "few, out of order": [2_999, 0, 5, 5, 1_000],
    "many, out of order": range(ROWS - 1, 0, -2),
}


def open_file(path, rows, dim=32):
    return VectorFile(path / "v", rows, dim)


@pytest.mark.parametrize("dim", [33, 64])
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("rows", SOME)
def test_inner_products_are_those_of_exact_arithmetic(rows, queries, dim):
    vectors, asked = clustered(ROWS, dim), clustered(queries, dim, seed=1)
    wanted = None if SOME[rows] is None else np.array(SOME[rows], np.int64)
    exact = asked.astype(float) @ vectors[slice(None) if wanted is None else wanted].astype(float).T
    products = dot_products.inner_products(asked, vectors, wanted)
    assert products.dtype == np.float32
    assert products.shape == exact.shape
    assert np.allclose(products, exact, rtol=0, atol=1e-6)


def test_the_rows_asked_for_may_be_few_or_many_without_a_difference():
    vectors, asked = clustered(ROWS), clustered(2, seed=1)
    whole = dot_products.inner_products(asked, vectors)
    for count in (
        dot_products.GATHERED_ROWS,
        dot_products.GATHERED_ROWS + 1,
        ROWS // dot_products.CONTIGUOUS_FROM_ONE_IN,
        ROWS // dot_products.CONTIGUOUS_FROM_ONE_IN + 1,
    ):
        rows = np.sort(np.random.default_rng(count).choice(ROWS, count, replace=False))
        assert np.array_equal(dot_products.inner_products(asked, vectors, rows), whole[:, rows])


def test_no_vectors_have_no_products():
    assert dot_products.inner_products(clustered(2), np.empty((0, 32), np.float16)).shape == (2, 0)
    assert dot_products.inner_products(np.empty((0, 32), np.float16), clustered(5)).shape == (0, 5)


def test_one_vector_becomes_one_row_of_halves():
    assert dot_products.to_float16(np.ones(4)).shape == (1, 4)
    turned = dot_products.to_float16(np.arange(6.0).reshape(2, 3).T)
    assert (turned.dtype, turned.flags.c_contiguous) == (np.float16, True)


@given(st.lists(st.integers(-9, 9), max_size=40), st.integers(0, 45))
def test_the_best_are_the_largest_in_order(values, k):
    similarity = np.array(values, np.float32)
    top = dot_products.top_k(similarity, k)
    assert len(set(top.tolist())) == len(top)
    assert similarity[top].tolist() == sorted(values, reverse=True)[:k]


def test_what_was_added_is_read_back(tmp_path):
    vectors = clustered(1_000)
    writer = put(tmp_path, vectors)
    file = open_file(tmp_path, 1_000)
    assert (writer.rows, writer.sha256) == (1_000, hashlib.sha256(vectors.tobytes()).hexdigest())
    for scattered in (False, True):
        mapped = file.open_map(scattered=scattered)
        assert np.array_equal(mapped, vectors)
        assert not mapped.flags.writeable
    assert np.array_equal(file.read_range(3, 700), vectors[3:700])
    blocks = list(file.iterate_blocks(300))
    assert [first for first, _ in blocks] == [0, 300, 600, 900]
    assert np.array_equal(np.concatenate([block for _, block in blocks]), vectors)


def test_rows_are_taken_in_any_order_and_one_beyond_the_end_is_an_error(tmp_path):
    vectors = clustered(100)
    put(tmp_path, vectors)
    file = open_file(tmp_path, 100)
    for rows in ([], [99], [5, 3, 3, 0]):
        assert np.array_equal(file.read_rows(np.array(rows, np.int64)), vectors[np.array(rows, np.int64)])
    with pytest.raises(OSError, match="v ends before row 100"):
        file.read_rows(np.array([0, 100]))


def test_single_precision_is_stored_as_halves(tmp_path):
    wide = clustered(50).astype(np.float32) + np.float32(1e-6)
    put(tmp_path, wide)
    assert np.array_equal(open_file(tmp_path, 50).open_map(scattered=False), wide.astype(np.float16))


@pytest.mark.parametrize("expected", [0, 1, 60, 1_000])
def test_the_file_has_as_many_rows_as_were_added_whatever_was_expected(tmp_path, expected):
    vectors = clustered(60)
    put(tmp_path, vectors, expected)
    assert (tmp_path / "v").stat().st_size == vectors.nbytes
    assert np.array_equal(open_file(tmp_path, 60).open_map(scattered=False), vectors)


def test_no_rows_are_an_empty_file(tmp_path):
    assert put(tmp_path, np.empty((0, 32), np.float16), expected=10).rows == 0
    file = open_file(tmp_path, 0)
    assert file.open_map(scattered=True).shape == (0, 32)
    assert list(file.iterate_blocks()) == []


@pytest.mark.parametrize("change", [-64, -1, 1, 64])
def test_a_file_of_another_size_is_refused(tmp_path, change):
    put(tmp_path, clustered(60))
    os.truncate(tmp_path / "v", 60 * 64 + change)
    with pytest.raises(ValueError, match="does not hold 60 vectors of 32"):
        open_file(tmp_path, 60).open_map(scattered=False)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path, 0).open_map(scattered=False)


def test_space_for_the_expected_rows_is_taken_before_the_first_is_added(tmp_path):
    with VectorWriter(tmp_path / "v", 10_000, 32):
        assert (tmp_path / "v").stat().st_size == 10_000 * 64
        assert (tmp_path / "v").stat().st_blocks * 512 >= 10_000 * 64


def test_a_full_disk_is_an_error_before_the_first_row(tmp_path):
    with small_disk(tmp_path / "disk", 1_024) as disk, pytest.raises(OSError, match="No space left on device"):
        VectorWriter(disk.root / "v", 20_000, 32)


def test_a_disk_that_more_rows_than_expected_fill_is_an_error(tmp_path):
    vectors = clustered(20_000)
    with small_disk(tmp_path / "disk", 1_024) as disk, pytest.raises(OSError, match="No space left on device"):
        put(disk.root, vectors, expected=10)


def test_pages_that_are_let_go_leave_the_memory_of_the_process_and_can_be_read_again(tmp_path):
    rows, dim = 4_096, 512
    vectors = np.random.default_rng(0).standard_normal((rows, dim)).astype(np.float16)
    put(tmp_path, vectors)
    mapped = VectorFile(tmp_path / "v", rows, dim).open_map(scattered=True)
    assert float(mapped.sum(dtype=np.float64)) == float(vectors.sum(dtype=np.float64))
    before = mapped_bytes()
    release_pages(mapped)
    assert before - mapped_bytes() > 3 << 20  # of 4
    assert np.array_equal(mapped, vectors)
    release_pages(vectors)  # no map: nothing to do


def test_no_more_than_was_asked_for_is_read_ahead_into_the_page_cache(tmp_path):
    half = 32 << 20
    with (tmp_path / "v").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if cached_bytes(tmp_path / "v"):
        pytest.skip("this file system keeps its files in memory")
    open_file(tmp_path, 1 << 15, 1 << 10).start_read_ahead(half).join()
    for _ in range(200):
        if cached_bytes(tmp_path / "v") >= half:
            break
        time.sleep(0.05)
    assert half <= cached_bytes(tmp_path / "v") <= 1.5 * half


def test_a_missing_file_is_not_read_ahead_and_no_fault(tmp_path):
    open_file(tmp_path, 10).start_read_ahead(1 << 20).join()


def cached_bytes(path):
    """How much of a file is in the page cache, as the kernel tells it of a map."""
    size, access = path.stat().st_size, mmap.PROT_READ | mmap.PROT_WRITE  # ctypes takes no address in a read-only map
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, flags=mmap.MAP_PRIVATE, prot=access) as mapped:
        pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), pages) == 0
        return mmap.PAGESIZE * sum(page & 1 for page in pages)
