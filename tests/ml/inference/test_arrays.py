import numpy as np
import pytest

from ml.inference.arrays import is_indexable


def test_zero_nan_and_infinite_vectors_are_not_indexable():
    vectors = np.full((5, 4), 0.5, np.float32)
    vectors[1] = 0
    vectors[2, 3] = np.nan
    vectors[3, 0] = np.inf
    assert is_indexable(vectors).tolist() == [True, False, False, False, True]
    assert is_indexable(np.empty((0, 4), np.float32)).tolist() == []


@pytest.mark.parametrize(("length", "passes"), [(0.5, False), (0.95, True), (1.0, True), (1.05, True), (2.0, False)])
def test_vectors_are_of_unit_length_within_low_precision(length, passes):
    vectors = np.array([[0.6, 0.8], [1, 0]], np.float16) * np.float16(length)
    assert is_indexable(vectors).tolist() == [passes, passes]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_largest_numbers_are_refused_without_a_warning(dtype):
    assert is_indexable(np.full((1, 8), np.finfo(dtype).max, dtype)).tolist() == [False]
