"""What may be done with embedding models. Code outside this package changes a model only through these functions."""

from .backfill_progress import BackfillProgress, measure_progress
from .lifecycle import activate, backfill, find_previous_model, retire, retire_and_delete, rollback
from .registration import register

__all__ = [
    "BackfillProgress",
    "activate",
    "backfill",
    "find_previous_model",
    "measure_progress",
    "register",
    "retire",
    "retire_and_delete",
    "rollback",
]
