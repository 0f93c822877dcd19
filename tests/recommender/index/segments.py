"""Vectors, columns and segments that the tests of segments are made of."""

import numpy as np

from recommender.index.rows.columns import Columns, column_dtypes
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorWriter
from recommender.index.storage import segment

DIM = 32


def clustered(rows, dim=DIM, seed=0, noise=0.6):
    """float16[rows, dim], L2-normalised, around a few hundred points."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((300, dim))
    vectors = centres[random.integers(len(centres), size=rows)] + noise * random.standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def plain_columns(rows):
    """One photo a listing, and nothing else said of it."""
    numbers = {"listing": np.arange(rows), "image": np.arange(rows)}
    return Columns(**{name: numbers.get(name, np.zeros(rows)).astype(dtype) for name, dtype in column_dtypes().items()})


def with_values(columns, **arrays):
    """The same rows with other values in some columns."""
    return Columns(**(columns.arrays | arrays))


def write(directory, vectors, model="m1", **options):
    pages = [(plain_columns(len(vectors)), vectors)] if len(vectors) else []
    return segment.write_segment(directory, pages, expected=len(vectors), dim=vectors.shape[1], model=model, **options)


def everything(rows):
    return RowBitmap(np.ones(rows, bool))


def flip(path, place):
    """Alter one byte; a negative place counts from the end."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


def put(path, vectors, expected=None):
    with VectorWriter(path / "v", len(vectors) if expected is None else expected, vectors.shape[1]) as writer:
        for block in np.array_split(vectors, 5):
            writer.write_vectors(block)
    return writer
