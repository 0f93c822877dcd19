"""The gate of lower precisions: what it measures, and what it lets through."""

import numpy as np
import pytest

from ml.exporting.agreement import Agreement, measure_agreement


def unit_rows(number, seed=0, dim=16):
    rows = np.random.default_rng(seed).standard_normal((number, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_runtime_agrees_with_itself():
    vectors = unit_rows(60)
    found = measure_agreement(vectors, vectors)
    assert (found.cosine_mean, found.cosine_min) == (pytest.approx(1), pytest.approx(1))
    assert (found.overlap, found.pictures) == (1, 60)


def ten_nearest(vectors, row):
    others = [i for i in range(len(vectors)) if i != row]
    return set(sorted(others, key=lambda i: -float(vectors[i] @ vectors[row]))[:10])


def test_the_overlap_counts_shared_neighbours():
    reference, other = unit_rows(40), unit_rows(40, seed=1)
    found = measure_agreement(reference, other)
    both = [len(ten_nearest(reference, row) & ten_nearest(other, row)) / 10 for row in range(40)]
    assert found.overlap == pytest.approx(np.mean(both))
    assert found.cosine_min == pytest.approx((reference * other).sum(axis=1).min())


@pytest.mark.parametrize("broken", [np.nan, np.inf, 0.0])
def test_a_vector_that_is_none_agrees_with_none(broken):
    reference = unit_rows(40)
    vectors = reference.copy()
    vectors[7] = broken
    assert measure_agreement(reference, vectors).cosine_min == 0


@pytest.mark.parametrize(
    ("measured", "holds"),
    [
        (Agreement(0.99, 0.93, 0.95, 500), True),
        (Agreement(0.9899, 0.93, 0.95, 500), False),
        (Agreement(0.99, 0.9299, 0.95, 500), False),
        (Agreement(0.99, 0.93, 0.9499, 500), False),
        (Agreement(1.0, 1.0, 1.0, 499), False),
        (Agreement(float("nan"), 1.0, 1.0, 500), False),
    ],
)
def test_every_figure_must_hold(measured, holds):
    assert measured.is_close_enough is holds
