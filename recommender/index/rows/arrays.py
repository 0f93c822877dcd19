"""Names for the arrays of the index, so that signatures say what a bare `np.ndarray` leaves to the docstring.

The names fix the dtype. The shape is written in the docstrings, where it matters: `[n]` one entry per row, `[m, dim]`
one vector per line.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Positions of rows in a segment or in the delta, and other positions and counts.
RowIds: TypeAlias = NDArray[np.int64]

# Numbers of inverted lists, or a count for each: FAISS takes list numbers as int64 alone.
ListIds: TypeAlias = NDArray[np.int64]

# The list of each row: in 16 bits where all list numbers fit into them, else in 32, because every process maps them.
ListNumbers: TypeAlias = NDArray[np.unsignedinteger]

# Primary keys of the database: of listings, photos, categories or sellers.
Ids: TypeAlias = NDArray[np.int64]

# One truth value for each row, a byte each: numpy selects by these, FAISS by `Bits`.
Mask: TypeAlias = NDArray[np.bool_]

# A mask packed eight rows to a byte, the first row in the lowest bit, as FAISS reads it.
Bits: TypeAlias = NDArray[np.uint8]

# Vectors as they are stored and compared: half as many bytes as float32, from disk to processor.
HalfVectors: TypeAlias = NDArray[np.float16]

# Vectors as embedders give them and FAISS takes them.
Vectors: TypeAlias = NDArray[np.float32]

# Cosine similarities. Vectors are normalised, so these are inner products.
Similarities: TypeAlias = NDArray[np.float32]

# Vectors of either precision, where a function converts them itself.
FloatVectors: TypeAlias = NDArray[np.floating]

# Latitudes or longitudes in degrees; nan where a listing states no place.
Degrees: TypeAlias = NDArray[np.float64]

# Distances between rows and centroids. A smaller one is nearer, while of two similarities the greater one is.
Distances: TypeAlias = NDArray[np.float32]

# Points of a curve and the like. Nothing is stored as these, so their precision is left to numpy.
Reals: TypeAlias = NDArray[np.floating]

# The values of one column, a value for each row; the declaration of the column says of which dtype.
ColumnArray: TypeAlias = NDArray[Any]
