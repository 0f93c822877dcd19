"""Vectors of changed photos are kept by slot, in chunks that deltas share."""

import numpy as np
import pytest

from recommender.index.rows.columns import NO_ROWS
from recommender.index.view.state import CHUNK_ROWS, VectorChunks

DIM = 4


def vectors(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float16)


def test_slots_are_given_in_order_and_keep_their_vectors_whatever_is_appended_later():
    chunks, stored = VectorChunks(DIM), vectors(2 * CHUNK_ROWS + 10)
    first = chunks.append(stored[:5])
    assert first.tolist() == [0, 1, 2, 3, 4]
    rest = chunks.append(stored[5:])
    assert np.array_equal(rest, np.arange(5, len(stored)))
    assert len(chunks) == len(stored)
    assert np.array_equal(chunks.copy_vectors(first), stored[:5])
    assert np.array_equal(chunks.copy_vectors(rest[::-1]), stored[5:][::-1])


def test_inner_products_are_those_of_the_vectors_in_the_slots():
    chunks, stored, queries = VectorChunks(DIM), vectors(CHUNK_ROWS + 3), vectors(2, seed=1)
    chunks.append(stored)
    slots = np.array([CHUNK_ROWS + 2, 0, 7])
    expected = queries.astype(np.float32) @ stored[slots].astype(np.float32).T
    assert chunks.inner_products(queries, slots) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_no_slots_give_nothing():
    chunks = VectorChunks(DIM)
    assert chunks.append(vectors(0)).tolist() == []
    assert chunks.copy_vectors(NO_ROWS).shape == (0, DIM)
    assert chunks.inner_products(vectors(2), NO_ROWS).shape == (2, 0)
