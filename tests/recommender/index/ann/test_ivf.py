"""Every row is in one list, a scan finds what is selected in the lists it is given, and foreign files are refused."""

import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from recommender.index.ann import ivf
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorFile
from tests.recommender.index.segments import clustered, everything, put

ROWS, DIM, LISTS = 4_000, 32, 24


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """`directory` of an inverted file, the `vectors` in it, how often a step was `told`, and the file when `opened`."""
    directory = tmp_path_factory.mktemp("ivf")
    vectors, told = clustered(ROWS, DIM), []
    put(directory, vectors)
    sample = np.arange(0, ROWS, 2)
    ivf.build_ivf(directory, VectorFile(directory / "v", ROWS, DIM), LISTS, sample, 1, lambda: told.append(1))
    opened = ivf.open_ivf(directory, ROWS, DIM)
    return SimpleNamespace(directory=directory, vectors=vectors, told=len(told), opened=opened)


def scan(opened, query, lists, depth, selection):
    turned = opened.rotate_query(query)
    lists = np.asarray(lists, np.int64)
    return opened.scan_lists(turned, lists, (opened.centroids @ turned[0])[lists], depth, selection)


@pytest.fixture
def three_cores(monkeypatch):
    """Scans of more than a few codes are shared."""
    monkeypatch.setattr(ivf, "CODES_PER_SHARE", 200)
    monkeypatch.setattr(ivf, "_count_cores", lambda: 3)
    ivf.scan_threads.forget()
    yield
    ivf.scan_threads.get().shutdown()
    ivf.scan_threads.forget()


def test_every_row_is_in_exactly_one_list(built):
    opened = built.opened
    stored = [
        faiss.rev_swig_ptr(opened.mapped_codes.get_ids(number), opened.mapped_codes.list_size(number)).copy()
        for number in range(LISTS)
        if opened.mapped_codes.list_size(number)
    ]
    assert np.sort(np.concatenate(stored)).tolist() == list(range(ROWS))
    for rows in stored:
        assert len(set(opened.list_of[rows].tolist())) == 1
    assert opened.sizes.tolist() == np.bincount(opened.list_of, minlength=LISTS).tolist()
    assert sorted(map(len, stored)) == sorted(size for size in opened.sizes.tolist() if size)


def test_a_row_is_in_the_list_of_its_nearest_centroid(built):
    turned = built.vectors.astype(np.float32) @ built.opened.rotation
    distance = np.linalg.norm(turned[:, None, :] - built.opened.centroids[None, :, :], axis=2)
    own = distance[np.arange(ROWS), built.opened.list_of]
    assert (own <= distance.min(axis=1) + 1e-4).all()


def test_a_spread_is_how_far_the_rows_of_a_list_are_from_its_centroid(built):
    turned = built.vectors.astype(np.float32) @ built.opened.rotation
    squared = np.square(turned - built.opened.centroids[built.opened.list_of]).sum(axis=1)
    expected = np.sqrt(np.bincount(built.opened.list_of, weights=squared) / built.opened.sizes)
    assert np.allclose(built.opened.residual_rms, expected, rtol=0.1)  # learnt from every other row


def test_vectors_are_turned_without_a_change_of_similarity(built):
    one, other = built.vectors[0], built.vectors[1]
    turned = float(built.opened.rotate_query(one)[0] @ built.opened.rotate_query(other)[0])
    assert turned == pytest.approx(float(one.astype(float) @ other.astype(float)), abs=1e-5)
    assert np.allclose(built.opened.rotation @ built.opened.rotation.T, np.eye(DIM), atol=1e-5)


def test_a_long_build_tells_of_its_steps(built):
    assert built.told >= ivf.KMEANS_ITERATIONS


@profile(deadline=None, max_examples=60)
@given(st.data())
def test_a_scan_returns_selected_rows_of_the_lists_it_was_given_and_all_of_them_where_it_is_deep(built, data):
    opened = built.opened
    lists = np.array(data.draw(st.lists(st.integers(0, LISTS - 1), min_size=1, unique=True)))
    share = data.draw(st.sampled_from([0, 0.01, 0.3, 0.85, 0.99, 1]))
    mask = np.random.default_rng(data.draw(st.integers(0, 100))).random(ROWS) < share
    depth = data.draw(st.sampled_from([1, 50, ROWS]))
    found = scan(opened, built.vectors[0], lists, depth, RowBitmap(mask))
    wanted = np.flatnonzero(mask & np.isin(opened.list_of, lists))
    assert len(found) == len(set(found.tolist())) == min(depth, len(wanted))
    assert set(found.tolist()) <= set(wanted.tolist())


def test_a_deep_scan_of_all_lists_finds_the_exact_best(built):
    for query in clustered(20, DIM)[:20] * np.float16(0.9) + clustered(20, DIM, seed=1) * np.float16(0.3):
        exact = np.argsort(-(built.vectors.astype(float) @ query.astype(float)))[:10]
        found = scan(built.opened, query, range(LISTS), 600, everything(ROWS))
        assert set(exact.tolist()) <= set(found.tolist())


def test_codes_put_rows_into_nearly_the_right_order(built):
    """So that a shallow scan suffices."""
    recall = []
    for query in built.vectors[:40]:
        exact = np.argsort(-(built.vectors.astype(float) @ query.astype(float)))[:10]
        recall.append(np.isin(exact, scan(built.opened, query, range(LISTS), 100, everything(ROWS))).mean())
    assert np.mean(recall) > 0.9


@pytest.mark.parametrize("share", [1, 0.97, 0.3])
def test_a_wide_scan_shared_by_threads_finds_the_same_rows(built, three_cores, monkeypatch, share):
    selection = RowBitmap(np.random.default_rng(0).random(ROWS) < share)
    lists = np.random.default_rng(1).permutation(LISTS)[:17]
    for query in built.vectors[:10]:
        shared = {depth: scan(built.opened, query, lists, depth, selection) for depth in (100, ROWS)}
        with monkeypatch.context() as patch:
            patch.setattr(ivf, "_count_cores", lambda: 1)
            alone = {depth: scan(built.opened, query, lists, depth, selection) for depth in (100, ROWS)}
        assert np.array_equal(np.sort(shared[ROWS]), np.sort(alone[ROWS]))
        assert len(set(shared[100].tolist())) == len(shared[100]) == 300  # each of the three looked as deep
        assert len(set(alone[100].tolist()) - set(shared[100].tolist())) <= 1  # equal promises may swap


def test_where_what_is_not_selected_lies_together_each_share_of_a_scan_finds_its_best(built, three_cores):
    """All but the rows nearest to the query are selected: nearly all, and none of those that codes put first."""
    query = built.vectors[3]
    order = np.argsort(-(built.vectors.astype(float) @ query.astype(float)))
    mask = np.ones(ROWS, bool)
    mask[order[: ROWS // 8]] = False
    found = scan(built.opened, query, np.arange(LISTS), 100, RowBitmap(mask))
    turned = built.opened.rotate_query(query)
    near = (built.opened.centroids @ turned[0]).astype(np.float32)
    asked_for_each = built.opened.scan_codes(turned, np.arange(LISTS), near, 100, RowBitmap(mask))
    assert len(set(asked_for_each.tolist()) - set(found.tolist())) <= 1  # equal promises may swap
    assert mask[found].all()


def test_a_wide_scan_of_fewer_lists_than_threads_finds_all_rows_of_them(built, three_cores):
    largest = int(np.argmax(built.opened.sizes))
    assert built.opened.sizes[largest] > ivf.CODES_PER_SHARE
    found = scan(built.opened, built.vectors[0], [largest], ROWS, everything(ROWS))
    assert sorted(found.tolist()) == np.flatnonzero(built.opened.list_of == largest).tolist()


@pytest.fixture
def copied(built, tmp_path):
    return shutil.copytree(built.directory, tmp_path / "copy")


@pytest.mark.parametrize("change", [-8_000, -1, 1])
def test_codes_of_another_length_are_refused(copied, change):
    content = (copied / ivf.CODES).read_bytes()
    (copied / ivf.CODES).write_bytes(content[:change] if change < 0 else content + b"\0" * change)
    with pytest.raises(ValueError, match=f"has {len(content) + change} bytes, not {len(content)}"):
        ivf.open_ivf(copied, ROWS, DIM)


ALTERED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a list number too large": (ivf.LISTS, lambda lists: np.where(np.arange(ROWS) == 7, LISTS, lists)),
    "a row too few": (ivf.LISTS, lambda lists: lists[:-1]),
    "a row too many": (ivf.LISTS, lambda lists: np.append(lists, lists[:1])),
    "rows in another list": (ivf.LISTS, np.zeros_like),
    "a centroid too few": (ivf.CENTROIDS, lambda centroids: centroids[:-1]),
    "a centroid too many": (ivf.CENTROIDS, lambda centroids: np.concatenate([centroids, centroids[:1]])),
    "centroids of fewer dimensions": (ivf.CENTROIDS, lambda centroids: centroids[:, :-1]),
    "centroids in one row": (ivf.CENTROIDS, np.ravel),
    "a spread too few": (ivf.RESIDUAL_RMS, lambda spreads: spreads[:-1]),
    "a rotation of fewer dimensions": (ivf.ROTATION, lambda rotation: rotation[:-1]),
}


@pytest.mark.parametrize("damage", ALTERED)
def test_arrays_of_another_shape_or_segment_are_refused(copied, damage):
    name, alter = ALTERED[damage]
    np.save(copied / name, alter(np.load(copied / name)), allow_pickle=False)
    says = "bytes, not" if damage == "rows in another list" else "another segment"
    with pytest.raises(ValueError, match=says):
        ivf.open_ivf(copied, ROWS, DIM)


@pytest.mark.parametrize(("rows", "dim"), [(ROWS - 1, DIM), (ROWS, DIM + 1)])
def test_an_inverted_file_of_another_segment_is_refused(built, rows, dim):
    with pytest.raises(ValueError, match="another segment"):
        ivf.open_ivf(built.directory, rows, dim)


@pytest.mark.parametrize("name", ivf.FILES)
def test_a_missing_file_is_an_error(copied, name):
    (copied / name).unlink()
    with pytest.raises(FileNotFoundError):
        ivf.open_ivf(copied, ROWS, DIM)


@pytest.mark.parametrize("name", [name for name in ivf.FILES if name.endswith(".npy")])
def test_an_array_that_ends_too_early_is_refused(copied, name):
    (copied / name).write_bytes((copied / name).read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"mmap length|could not|cannot"):
        ivf.open_ivf(copied, ROWS, DIM)


def test_codes_that_cannot_be_mapped_for_want_of_memory_are_not_called_foreign(built, monkeypatch):
    def refuse(stored):
        raise RuntimeError("could not mmap: Cannot allocate memory")

    monkeypatch.setattr(faiss.OnDiskInvertedLists, "do_mmap", refuse)
    with pytest.raises(OSError, match=r"FAISS cannot map .*codes\.ivf: could not mmap"):
        ivf.open_ivf(built.directory, ROWS, DIM)
