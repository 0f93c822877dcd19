"""The shared index: immutable FAISS segments on disk, a delta from the change feed in memory.

Nothing outside this package may know which engine runs behind it. Importing it loads no FAISS.
"""

from .errors import ForeignVector, IndexNotReady
from .rows.columns import STATUSES
from .rows.filter import Candidates, Where
from .view.process import get_index, health, lag, start, watch_recall
from .view.reader import Index
from .view.state import State

__all__ = [
    "STATUSES",
    "Candidates",
    "ForeignVector",
    "Index",
    "IndexNotReady",
    "State",
    "Where",
    "get_index",
    "health",
    "lag",
    "start",
    "watch_recall",
]
