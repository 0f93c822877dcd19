"""The shared index: immutable FAISS segments on disk, a delta from the change feed in memory.

Everybody else imports this face alone and knows nothing of the engine behind it. Importing it loads no FAISS:
that is imported where it is called.
"""

from listings.finding.filterable import STATUSES, Filter

from .compaction.compactor import compact, rebuild, stop_merges
from .compaction.difference import Difference
from .compaction.garbage import collect_garbage
from .compaction.outcome import Action, CompactionOutcome
from .compaction.verify import repair_differences, verify
from .errors import ForeignVector, IndexNotReady
from .model_hooks import ModelHooks, PhotoCounts, set_model_hooks
from .view.candidates import Candidates
from .view.process import get_index, measure_lag, offer_search_to_recall_monitor, report_health, start_index_threads
from .view.reader import Index
from .view.search import find_nearest_listings
from .view.state import State

__all__ = [
    "STATUSES",
    "Action",
    "Candidates",
    "CompactionOutcome",
    "Difference",
    "Filter",
    "ForeignVector",
    "Index",
    "IndexNotReady",
    "ModelHooks",
    "PhotoCounts",
    "State",
    "collect_garbage",
    "compact",
    "find_nearest_listings",
    "get_index",
    "measure_lag",
    "offer_search_to_recall_monitor",
    "rebuild",
    "repair_differences",
    "report_health",
    "set_model_hooks",
    "start_index_threads",
    "stop_merges",
    "verify",
]
