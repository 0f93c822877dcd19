"""What the index benchmark measures with: rows, their truth, filters of a known share, and least efforts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.index import rows as made
from benchmarks.index.exact import NOTHING, Nearest, find_nearest_rows, recall_of_rows
from benchmarks.index.filter_kinds import PRICES, SHARES, make_levels
from benchmarks.index.latency import find_least_reaching, time_in_turns
from benchmarks.index.rows import Pieces, Source
from benchmarks.index.two_nn import estimate_intrinsic_dimension

DIM = 12


def make_unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def source(monkeypatch) -> Source:
    monkeypatch.setattr(made, "BLOCK_ROWS", 100)
    monkeypatch.setattr(made, "PIECE_ROWS", 300)
    anchors = make_unit_vectors(50)
    neighbours = np.argsort(-(anchors @ anchors.T), axis=1)[:, 1 : made.NEIGHBOURS + 1]
    return Source("test", "test", anchors, neighbours, make_unit_vectors(10, 1), noise=0.1)


def test_rows_are_the_same_however_many_are_made(source):
    few, many = (np.concatenate(list(source.make_blocks(count))) for count in (250, 730))
    assert few.shape == (250, DIM)
    assert few.dtype == np.float16
    assert (few[:200] == many[:200]).all()
    assert np.linalg.norm(many.astype(np.float32), axis=1) == pytest.approx(1, abs=2e-3)


def test_a_row_lies_near_its_anchor(source):
    vectors = source.make_block(made.ROWS, 0, 100).astype(np.float32)
    assert np.median((vectors @ source.anchors.T).max(axis=1)) > 0.8


def test_pieces_come_back_in_order_and_leave_when_they_were_read(source, tmp_path):
    pieces = Pieces(tmp_path, 730, DIM)
    written = np.concatenate(list(pieces.write_blocks(source.make_blocks(730))))
    assert len(list(tmp_path.iterdir())) == 3
    assert (np.concatenate(list(pieces.read_blocks())) == written).all()
    left = [(len(block), len(list(tmp_path.iterdir()))) for block in pieces.read_blocks(delete=True)]
    assert [rows for rows, _ in left] == [100] * 7 + [30]
    assert [files for _, files in left] == [3, 3, 3, 2, 2, 2, 1, 1]
    assert not list(tmp_path.iterdir())


def test_written_again_pieces_hold_only_the_new_rows(source, tmp_path):
    for _ in range(2):
        list(Pieces(tmp_path, 300, DIM).write_blocks(source.make_blocks(300)))
    assert sum(len(block) for block in Pieces(tmp_path, 300, DIM).read_blocks()) == 300


def test_the_truth_of_blocks_is_that_of_a_full_sort():
    vectors, queries = make_unit_vectors(500).astype(np.float16), make_unit_vectors(7, 2)
    similarity = queries @ vectors.astype(np.float32).T
    truth = find_nearest_rows(queries, [vectors[:90], vectors[90:]], 10)
    assert (truth == np.argsort(-similarity, axis=1)[:, :10]).all()
    assert recall_of_rows(list(truth), truth) == 1


def test_the_truth_counts_only_rows_that_pass():
    similarity = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]], np.float32)
    nearest = Nearest(2, 2)
    nearest.add_block(0, similarity, np.array([[True, False, True], [False, False, True]]))
    assert nearest.rows.tolist() == [[2, 0], [2, NOTHING]]
    assert nearest.passing.tolist() == [2, 1]
    assert recall_of_rows([np.array([2, 1]), np.array([2])], nearest.rows) == pytest.approx(2 / 3)


@pytest.mark.parametrize("dimension", [3, 8])
def test_the_intrinsic_dimension_is_that_of_the_surface_points_lie_on(dimension):
    flat = np.random.default_rng(0).uniform(size=(4000, dimension))
    turned = flat @ np.linalg.qr(np.random.default_rng(1).standard_normal((20, 20)))[0][:dimension]
    assert estimate_intrinsic_dimension(turned) == pytest.approx(dimension, rel=0.15)


def test_levels_let_their_share_of_rows_pass():
    random = np.random.default_rng(0)
    centroids, queries = make_unit_vectors(400, 3), make_unit_vectors(5, 4)
    category, price = random.integers(1, 401, 20_000), random.integers(0, PRICES, 20_000)
    shares = np.bincount(category, minlength=401)[1:] / 20_000
    found = {level.name: level.mask_rows(price, category) for level in make_levels(queries, centroids, shares)}
    assert len(found) == 3 * len(SHARES)
    for words, share in SHARES.items():
        for where in ("random", "near", "far"):
            assert found[f"{words} {where}"].mean() == pytest.approx(share, rel=0.3, abs=0.003)
    assert not (found["10% near"] & found["10% far"]).any()


def test_conditions_of_a_level_pass_what_it_says():
    from recommender.index import Filter
    from recommender.index.rows.columns import Columns, column_dtypes
    from recommender.index.rows.filter import mask_rows

    price = np.random.default_rng(0).integers(0, PRICES, 2000)
    category = np.random.default_rng(1).integers(1, 41, 2000)
    others = {name: np.ones(2000, dtype) for name, dtype in column_dtypes().items()}
    columns = Columns(**(others | {"price": price, "category": category}))
    for level in make_levels(make_unit_vectors(3), make_unit_vectors(40, 3), np.full(40, 1 / 40)):
        for query, passing in enumerate(level.mask_rows(price, category)):
            assert (mask_rows(Filter(**level.filter_arguments(query)), columns) == passing).all()


def test_the_least_effort_is_found_to_a_thirtieth():
    assert find_least_reaching(lambda effort: effort >= 10, 10, 100) == 10
    assert find_least_reaching(lambda effort: effort >= 17, 10, 100) == 17
    assert find_least_reaching(lambda effort: effort >= 100, 1, 100) in range(100, 104)
    assert find_least_reaching(lambda effort: effort >= 700, 10, 1000) in range(700, 724)
    assert find_least_reaching(lambda effort: False, 10, 100) is None


def test_whoever_is_compared_is_asked_every_question_in_turns():
    asked = []
    (first, took), (second, _) = time_in_turns(
        (lambda n: asked.append("a") or n, lambda n: asked.append("b") or -n), 120
    )
    assert first == list(range(120))
    assert second == [-n for n in range(120)]
    assert len(took) == 120
    assert "".join(asked) == "a" * 50 + "b" * 50 + "a" * 50 + "b" * 50 + "a" * 20 + "b" * 20
