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

# Numbers of inverted lists, or a count for each.
ListIds: TypeAlias = NDArray[np.int64]

# The list of each row, in the narrowest type that holds the number of lists.
ListNumbers: TypeAlias = NDArray[np.unsignedinteger]

# Primary keys of the database: of listings, photos, categories or sellers.
Ids: TypeAlias = NDArray[np.int64]

# One truth value for each row.
Mask: TypeAlias = NDArray[np.bool_]

# A mask packed eight rows to a byte, the first row in the lowest bit, as FAISS reads it.
Bits: TypeAlias = NDArray[np.uint8]

# Vectors at the precision they are stored in.
HalfVectors: TypeAlias = NDArray[np.float16]

# Vectors at the precision that embedders, queries and FAISS use.
Vectors: TypeAlias = NDArray[np.float32]

# Cosine similarities, which are inner products of normalised vectors.
Similarities: TypeAlias = NDArray[np.float32]

# Vectors at any precision.
FloatVectors: TypeAlias = NDArray[np.floating]

# Latitudes or longitudes in degrees; nan where a listing states no place.
Degrees: TypeAlias = NDArray[np.float64]

# Distances between rows and centroids.
Distances: TypeAlias = NDArray[np.float32]

# Numbers of a computation, such as the points of a curve.
Reals: TypeAlias = NDArray[np.floating]

# The values of one column, a value for each row; the declaration of the column says of which dtype.
ColumnArray: TypeAlias = NDArray[Any]
